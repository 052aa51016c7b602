//! A store that lost a write, as a server does that fails over, and was written to afterwards.

use std::sync::Arc;

use waxseal_core::SecretKey;
use waxseal_keys::{
    Change, Custodian, Custodians, Document, DocumentStore, KeyState, LiveOptions, LiveRing,
    LocalCustodian, MemoryDocumentStore, Ring, Settings,
};

#[tokio::test]
async fn lost_keys_and_erasures_are_restored_although_the_store_was_written_to_afterwards() {
    let secret = SecretKey::generate().unwrap();
    let custodian = Arc::new(LocalCustodian::new("env:TEST", &secret).unwrap());
    let custodians = Custodians::default().with(custodian.clone());
    let ring = Ring::create("test", Settings::default(), &[custodian], &[], 1_000)
        .await
        .unwrap();
    let store = Arc::new(MemoryDocumentStore::default());
    let options = LiveOptions {
        environment: "test".to_owned(),
        copy: None,
        opens_compromised: false,
        now_ms: Arc::new(|| 1_000),
    };
    let one = LiveRing::create(store.clone(), &ring, custodians.clone(), options.clone())
        .await
        .unwrap();
    let before = store.read(&Document::Ring).await.unwrap();
    let first = one.ring().sealing().id;
    one.change(&Change::Add { instead_of: first })
        .await
        .unwrap();
    let second = one.ring().in_state(KeyState::Pending).next().unwrap().id;
    let at_once = true;
    one.change(&Change::Promote {
        id: second,
        at_once,
    })
    .await
    .unwrap();
    let user = one.ring().user(b"some-user");
    one.change(&Change::Erase(user.clone())).await.unwrap();

    // The three writes are lost, and another process that never saw them writes four times.
    store.set(Document::Ring, before);
    let two = LiveRing::open(store.clone(), custodians, options)
        .await
        .unwrap();
    let other = two.ring().user(b"another-user");
    for _ in 0..4 {
        two.change(&Change::Erase(other.clone())).await.unwrap();
    }
    assert!(two.ring().version() > one.ring().version());

    let ring = one.refresh().await.unwrap();
    assert_eq!(ring.sealing().id, first);
    assert_eq!(ring.entry(second).unwrap().state, KeyState::DecryptOnly);
    assert_eq!(ring.erasure(&user).unwrap().epoch, 1);
    assert_eq!(ring.erasure(&other).unwrap().epoch, 4);
    assert!(two.learn(second).await);
    assert!(two.ring().is_same_as(&ring));
    assert!(two.ring().erasure(&user).is_some());
}

#[tokio::test]
async fn a_lost_mark_of_a_compromised_key_is_restored_and_lowered_times_wait_for_the_longer_ones() {
    let secret = SecretKey::generate().unwrap();
    let custodian: Arc<dyn Custodian> = Arc::new(LocalCustodian::new("env:TEST", &secret).unwrap());
    let custodians = [custodian];
    let ring = Ring::create("test", Settings::default(), &custodians, &[], 1_000)
        .await
        .unwrap();
    let first = ring.sealing().id;
    let ring = ring.with_new_key(&custodians, 1_000).await.unwrap();
    let second = ring.in_state(KeyState::Pending).next().unwrap().id;
    let ring = ring.with_sealing(second, 2_000, true).unwrap();
    let marked = ring.with_compromised(first, 3_000).unwrap();
    let other = ring.with_erasure("some-user", 3_000);
    let whole = other.merged_with(&marked, 4_000).unwrap();
    let state = whole.entry(first).unwrap().state;
    assert_eq!(state, KeyState::Compromised);
    assert!(whole.merged_with(&marked, 4_000).is_none());

    let long = Settings::default();
    let short = Settings {
        refresh_ms: 1_000,
        propagation_ms: 2_000,
        retention_ms: 3_000,
        ..long.clone()
    };
    let lowered = ring.with_settings(short.clone(), 5_000, false).unwrap();
    assert_eq!(*lowered.settings(), short);
    assert_eq!(lowered.effective_settings(5_000), long);
    assert_eq!(
        lowered.longer_times_until(),
        Some(5_000 + long.retention_ms)
    );
    let over = 5_000 + long.retention_ms;
    assert_eq!(lowered.effective_settings(over), short);
    let at_once = ring.with_settings(short.clone(), 5_000, true).unwrap();
    assert_eq!(at_once.effective_settings(5_000), short);
}
