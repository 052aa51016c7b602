//! Audits of records whose names are sealed: records that passes over values do not find are not read, and keep keys.

use std::sync::Arc;

use waxseal_core::PadNames;
use waxseal_keys::ChangeError;
use waxseal_keys::rotation::{Audit, AuditGap};
use waxseal_named::{NameTable, NamedPattern};
use waxseal_policy::ProtectedNames;
use waxseal_stores::{Expiry, NamedStore, RecordPattern, RecordStore, Slot};
use waxseal_sweep::Stop;
use waxseal_upkeep::{ScopeHandle, SealedNames, Upkeep};

use crate::versions::{accept_3, process};
use crate::world::{Process, World, name};

/// The upkeep of the same records, with sealed names.
fn upkeep(process: &Process) -> (Upkeep, Arc<dyn RecordStore>) {
    let pattern = RecordPattern::parse("wa:{user}").unwrap();
    let protected = Arc::new(ProtectedNames::new(vec![pattern.clone()]));
    let pad = PadNames::default();
    let table = NameTable::new(protected, process.ring.keyring(), |_| {
        Some(NamedPattern { pad })
    });
    let table = table.unwrap().unwrap();
    let stored = process.store.clone();
    let store: Arc<dyn RecordStore> =
        Arc::new(NamedStore::new(stored.clone(), Arc::new(table.clone())));
    let scope = ScopeHandle {
        store: store.clone(),
        pattern,
        sealer: process.sealer.clone(),
        users: process.users.clone(),
        names: Some(SealedNames { table, stored, pad }),
    };
    let upkeep = Upkeep::new(process.ring.clone(), "library", vec![scope], None);
    (upkeep.unwrap(), store)
}

async fn audit(upkeep: &Upkeep) -> Audit {
    upkeep.audit(&Stop::default()).await.unwrap()
}

#[tokio::test]
async fn a_record_that_is_not_found_by_its_name_was_not_read() {
    let world = World::new();
    let process = process(&world).await;
    let (upkeep, store) = upkeep(&process);
    process.write("found", "1").await;
    let written = process.store.get(&name("found"), &Slot::Whole).await;
    let written = written.unwrap().unwrap();
    process.store.delete(&name("found")).await.unwrap();
    let at = name("found");
    let put = store.put(&at, &Slot::Whole, &written, Expiry::Persistent);
    put.await.unwrap();
    let found = audit(&upkeep).await;
    assert_eq!((found.unseen, found.values.values().sum::<u64>()), (0, 1));

    // A value under a name in clear, as if another process had written it.
    process.write("astray", "2").await;
    let astray = audit(&upkeep).await;
    assert_eq!(astray.unseen, 1);
    assert!(accept_3(&process, &found).is_ok());
    let error = accept_3(&process, &astray).err();
    let gap = AuditGap::Unseen(1);
    assert!(
        matches!(&error, Some(ChangeError::Unproven { gap: found, .. }) if *found == gap),
        "{error:?}"
    );
    assert!(astray.members.is_empty());
}
