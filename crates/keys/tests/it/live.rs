//! A live ring over a store in memory.

mod changes;
mod following;
mod losses;
mod starts;

use std::sync::Arc;

use waxseal_core::SecretKey;
use waxseal_keys::{
    CacheBounds, CacheLookup, Change, Custodian, Custodians, KeyState, LiveOptions, LiveRing,
    LocalCustodian, MemoryDocumentStore, MemoryUserKeys, Ring, Settings, UserKeyError, UserKeys,
};

fn custodian() -> Arc<dyn Custodian> {
    let secret = SecretKey::generate().unwrap();
    Arc::new(LocalCustodian::new("env:TEST", &secret).unwrap())
}

fn options() -> LiveOptions {
    LiveOptions {
        environment: "test".to_owned(),
        copy: None,
        opens_compromised: false,
        now_ms: Arc::new(|| 1_000_000),
    }
}

/// A ring in a store of its own.
async fn live_ring() -> LiveRing {
    let custodian = custodian();
    let custodians = Custodians::default().with(custodian.clone());
    let ring = Ring::create("test", Settings::default(), &[custodian], &[], 1_000_000)
        .await
        .unwrap();
    LiveRing::create(
        Arc::new(MemoryDocumentStore::default()),
        &ring,
        custodians,
        options(),
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn a_key_passes_through_its_states_and_other_processes_follow() {
    let custodian = custodian();
    let custodians = Custodians::default().with(custodian.clone());
    let ring = Ring::create("test", Settings::default(), &[custodian], &[], 1_000_000)
        .await
        .unwrap();
    let store = Arc::new(MemoryDocumentStore::default());
    let one = LiveRing::create(store.clone(), &ring, custodians.clone(), options())
        .await
        .unwrap();
    let two = LiveRing::open(store, custodians, options()).await.unwrap();
    let old = one.ring().sealing().id;
    one.change(&Change::Add { instead_of: old }).await.unwrap();
    let pending = one.ring().in_state(KeyState::Pending).next().unwrap().id;
    assert!(two.learn(pending).await);
    let at_once = true;
    two.change(&Change::Promote {
        id: pending,
        at_once,
    })
    .await
    .unwrap();
    one.refresh().await.unwrap();
    assert_eq!(one.keyring().current().sealing_id(), pending);
    one.change(&Change::Archive(old)).await.unwrap();
    one.change(&Change::Destroy(old)).await.unwrap();
    assert!(one.keyring().current().role(old).is_none());
}

#[tokio::test]
async fn an_erased_user_gets_a_new_key_and_the_ledger_wins() {
    let live = live_ring().await;
    let store = Arc::new(MemoryUserKeys::default());
    let users = UserKeys::new(store.clone(), live.clone(), CacheBounds::default());
    let refused = users.read_or_create(&[b"u"]).await.err();
    assert!(
        matches!(refused, Some(UserKeyError::Lost { .. })),
        "the store was not accepted: {refused:?}"
    );
    assert!(store.backup().is_empty());
    users.accept_store();
    let calls = store.calls();
    let key = users.read_or_create(&[b"u"]).await.unwrap().remove(0);
    assert_eq!(store.calls() - calls, 2);
    let backup = store.backup();
    live.change(&Change::Erase(live.ring().user(b"u")))
        .await
        .unwrap();
    assert!(users.destroy(b"u").await.unwrap());
    store.restore(backup);
    let read = users.reread(&[b"u"]).await.unwrap().remove(0).unwrap();
    assert_eq!(read.id(), None);
    let new = users.read_or_create(&[b"u"]).await.unwrap().remove(0);
    assert_ne!(new.id(), key.id());
    assert!(matches!(users.cached(b"u"), CacheLookup::Key(_)));
}

#[tokio::test(start_paused = true)]
async fn a_lost_record_of_a_users_key_is_restored_unless_the_user_was_erased() {
    let live = live_ring().await;
    let store = Arc::new(MemoryUserKeys::default());
    let bounds = CacheBounds::default();
    let users = UserKeys::new(store.clone(), live.clone(), bounds);
    users.accept_store();
    let key = users.read_or_create(&[b"u"]).await.unwrap().remove(0);
    store.restore(Default::default());
    tokio::time::advance(bounds.age).await;
    assert!(matches!(users.cached(b"u"), CacheLookup::Unknown));
    let again = users.read_or_create(&[b"u"]).await.unwrap().remove(0);
    assert_eq!(again.id(), key.id());
    assert_eq!(store.backup().len(), 1);

    // Erased by another process, and lost after that: it stays erased.
    let change = Change::Erase(live.ring().user(b"u"));
    live.change(&change).await.unwrap();
    store.restore(Default::default());
    tokio::time::advance(bounds.age).await;
    let read = users.read(&[b"u"]).await.unwrap().remove(0).unwrap();
    assert_eq!(read.id(), None);
    assert!(store.backup().is_empty());
}
