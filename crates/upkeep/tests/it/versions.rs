//! Versions of the sealed format: what a pass writes, and what the audit after it counts.

use std::collections::BTreeMap;

use waxseal_core::{EnvelopeRules, EnvelopeVersion, Group, SealError};
use waxseal_keys::rotation::{Audit, AuditGap, Evidence};
use waxseal_keys::{ChangeError, DocumentFormat, Ring};
use waxseal_stores::{RecordName, RecordPattern, Slot};
use waxseal_sweep::Stop;
use waxseal_upkeep::{ScopeHandle, Upkeep, UpkeepError};

use crate::world::{Process, World, calm, name, name_binding, now_ms};

/// The position of the version in a sealed envelope.
const VERSION: usize = 2;

/// A process with a ring in format 2, whose users have keys of their own.
pub(crate) async fn process(world: &World) -> Process {
    let custodians = [world.custodian()];
    let (format, settings) = (DocumentFormat::V2, calm());
    let ring = Ring::create_in(format, "test", settings, &custodians, &[], now_ms()).await;
    world.put(&ring.unwrap()).await;
    world.process(true).await
}

async fn put_version_2(process: &Process, user: &str) -> Result<(), SealError> {
    let sealer = process.sealer.clone().rules(EnvelopeRules::default());
    let sealed = sealer.seal(b"older", name_binding(&name(user)))?;
    process.put(user, &sealed).await;
    Ok(())
}

fn versions(audit: &Audit) -> Vec<(&str, u64)> {
    let versions = audit.versions.iter();
    versions
        .map(|(version, count)| (version.as_str(), *count))
        .collect()
}

/// Whether version 3 alone could be accepted after this audit, at the end of all waits.
pub(crate) fn accept_3(process: &Process, audit: &Audit) -> Result<Ring, ChangeError> {
    let audit = Audit {
        began_ms: u64::MAX,
        ..audit.clone()
    };
    let (version, evidence) = (
        EnvelopeVersion::V3,
        Evidence {
            audit: Some(&audit),
            force: false,
        },
    );
    let ring = process.ring.ring();
    ring.with_envelopes(version, version, u64::MAX, evidence)
}

#[tokio::test]
async fn a_pass_brings_values_to_the_written_version_and_own_records_stay_readable_to_former_ones()
{
    let world = World::new();
    let process = process(&world).await;
    process.write("newer", "1").await;
    process.write_as_user("own", "2").await;
    put_version_2(&process, "older").await.unwrap();
    let audit = process.upkeep.audit(&Stop::default()).await.unwrap();
    let expected = [("2", 1), ("3", 2), ("classic", 0), ("plain", 0)];
    assert_eq!(versions(&audit), expected);
    let error = accept_3(&process, &audit).err();
    let gap = AuditGap::Version {
        version: EnvelopeVersion::V2,
        values: 1,
    };
    assert!(
        matches!(&error, Some(ChangeError::Unproven { gap: found, .. }) if *found == gap),
        "{error:?}"
    );

    let (_, audit) = process.upkeep.sweep(&Stop::default()).await.unwrap();
    let expected = [("2", 0), ("3", 3), ("classic", 0), ("plain", 0)];
    assert_eq!(versions(&audit), expected);
    assert!(accept_3(&process, &audit).is_ok());
    assert_eq!(process.stored("older").await[VERSION], 3);
    // Under the key of its user, as a pass brings all of them.
    let older = process.read_as_user("older").await;
    assert_eq!(older.unwrap(), "older");
    let record = format!("waxseal:user:{}", process.ring.ring().user(b"own"));
    let record = RecordName::from(record);
    let key = process.store.get(&record, &Slot::Whole).await.unwrap();
    assert_eq!(key.unwrap()[VERSION], 2);
}

#[tokio::test]
async fn an_audit_of_no_values_shows_that_none_is_in_an_older_version() {
    let world = World::new();
    let process = process(&world).await;
    // A user's key alone: a record of Waxseal's own.
    process.keys().read_or_create(&[b"u"]).await.unwrap();
    let audit = process.upkeep.audit(&Stop::default()).await.unwrap();
    assert_eq!(audit.values.values().sum::<u64>(), 1);
    assert!(accept_3(&process, &audit).is_ok());
    // The same audit by a former version, which counts no versions.
    let former = Audit {
        versions: BTreeMap::new(),
        ..audit
    };
    let error = accept_3(&process, &former).err();
    let gap = AuditGap::NoVersions;
    assert!(
        matches!(&error, Some(ChangeError::Unproven { gap: found, .. }) if *found == gap),
        "{error:?}"
    );
}

#[tokio::test]
async fn records_that_are_configured_otherwise_keep_no_others_from_being_registered() {
    let world = World::new();
    let process = process(&world).await;
    let scope = |records: &str, group: Option<&str>| ScopeHandle {
        store: process.store.clone(),
        pattern: RecordPattern::parse(records).unwrap(),
        sealer: {
            let group = group.map(|id| Group::new(id.as_bytes(), false));
            process.sealer.clone().in_group(group)
        },
        users: None,
        names: None,
    };
    let upkeep = |scopes| Upkeep::new(process.ring.clone(), "library", scopes, None).unwrap();
    let group = |records: &str| {
        let ring = process.ring.ring();
        let mut scopes = ring.protected_scopes().iter();
        let scope = scopes.find(|it| it.records == records).cloned();
        scope.and_then(|it| it.settings).and_then(|it| it.group)
    };
    let first = upkeep(vec![scope("sess:*", Some("one"))]);
    first.register().await.unwrap();
    assert_eq!(group("sess:*").as_deref(), Some("one"));
    let both = upkeep(vec![
        scope("sess:*", Some("other")),
        scope("new:*", Some("other")),
    ]);
    let error = both.register().await.unwrap_err();
    assert!(
        matches!(
            &error,
            UpkeepError::Configured(ChangeError::Protected { .. })
        ),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .contains("does not start again until both are the same")
    );
    assert_eq!(group("sess:*").as_deref(), Some("one"));
    assert_eq!(group("new:*").as_deref(), Some("other"));
    // A library without settings does not know those of others.
    let library = upkeep(vec![scope("sess:*", None)]);
    library.register().await.unwrap();
    assert_eq!(group("sess:*").as_deref(), Some("one"));
}
