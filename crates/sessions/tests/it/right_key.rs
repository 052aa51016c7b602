//! The right key among planted envelopes, plain values that look like Base64, and an outdated ring.
//! The store in memory scans by name, so the first values of a sample are known.

use std::sync::Arc;

use waxseal_core::{Format, KeyId, Mode, Shape};
use waxseal_keys::Change;
use waxseal_sessions::{Canary, CanaryState, GuardError, GuardedRecords, StateManager};
use waxseal_stores::{Expiry, MemoryStore, RecordName, RecordPattern, RecordStore, Slot};

use crate::guards::{CANARY, key_id};
use crate::*;

async fn put_stored(store: &Arc<MemoryStore>, name: &str, stored: &[u8]) {
    let name = RecordName::from(name);
    let put = store.put(&name, &Slot::Whole, stored, Expiry::Persistent);
    put.await.unwrap();
}

fn records() -> [GuardedRecords; 1] {
    [GuardedRecords::from(RecordPattern::parse("wa:*").unwrap())]
}

async fn canary_key(store: &MemoryStore) -> KeyId {
    let stored = store.get(&RecordName::from(CANARY), &Slot::Whole).await;
    Shape::of_header(&stored.unwrap().unwrap()).unwrap().key
}

/// A key that no process of these tests has.
fn third_key() -> [u8; 32] {
    let mut key = KEY;
    key.reverse();
    key
}

/// Not sealed, and of the form of a classic value.
fn base64_token(index: usize) -> Vec<u8> {
    let name = format!("token{index}");
    sealed(&third_key(), Format::Classic, &name, b"0123456789")
}

async fn start_in(store: &Arc<MemoryStore>, key: &[u8; 32]) -> Result<StateManager, GuardError> {
    let sealer = sealer(key, Mode::On, Format::Sealed);
    StateManager::start(store.clone(), sealer, Options::default()).await
}

#[tokio::test]
async fn a_migration_that_has_just_begun_is_not_stopped_by_the_first_values_of_the_store() {
    for planted in ["sealed", "classic"] {
        let store = Arc::new(MemoryStore::default());
        start_in(&store, &KEY).await.unwrap();
        for index in 0..20 {
            let name = format!("wa:0{index:03}");
            let stored = match planted {
                "sealed" => sealed(&third_key(), Format::Sealed, &name, b"{}"),
                _ => base64_token(index),
            };
            put_stored(&store, &name, &stored).await;
        }
        for index in 0..150 {
            put_stored(
                &store,
                &format!("wa:1{index:03}"),
                &state_json("confirming"),
            )
            .await;
        }
        let name = "wa:2000";
        put_stored(&store, name, &sealed(&KEY, Format::Sealed, name, b"{}")).await;
        let started = start_in(&store, &KEY).await;
        assert!(started.is_ok(), "{planted}: {:?}", started.err());
        let refused = start_in(&store, &OTHER_KEY).await.err();
        assert!(
            matches!(refused, Some(GuardError::WrongKey(_))),
            "{planted}"
        );
    }
}

#[tokio::test]
async fn plain_values_that_look_like_base64_beside_others_do_not_outvote_the_canary() {
    let store = Arc::new(MemoryStore::default());
    start_in(&store, &KEY).await.unwrap();
    for index in 0..12 {
        put_stored(&store, &format!("wa:token{index}"), &base64_token(index)).await;
    }
    put_stored(&store, "wa:plain", &state_json("confirming")).await;
    start_in(&store, &KEY).await.unwrap();
    // Without plain values among them they count as sealed.
    store.delete(&RecordName::from("wa:plain")).await.unwrap();
    let refused = start_in(&store, &KEY).await.err();
    assert!(matches!(refused, Some(GuardError::WrongKey(_))));
}

#[tokio::test]
async fn an_envelope_that_only_names_a_compromised_key_does_not_outvote_a_canary() {
    let shared = rings::Shared::default();
    let process = shared.first().await;
    let store = Arc::new(MemoryStore::default());
    start_in(&store, &OTHER_KEY).await.unwrap();
    let compromised = process.ring.ring().sealing().id;
    process.rotate().await;
    let change = Change::Compromise(compromised);
    process.ring.change(&change).await.unwrap();
    // Only its header is genuine.
    let mut named = sealed(&OTHER_KEY, Format::Sealed, NAME, b"{}");
    let id = u32::from_str_radix(&compromised.to_string(), 16).unwrap();
    named[4..8].copy_from_slice(&id.to_be_bytes());
    put_stored(&store, NAME, &named).await;
    let refused = process.start(store.clone(), process.follows()).await.err();
    assert!(
        matches!(refused, Some(GuardError::WrongKey(_))),
        "{refused:?}"
    );
    assert_eq!(canary_key(&store).await, key_id(&OTHER_KEY));
}

#[tokio::test]
async fn an_outdated_ring_learns_the_key_of_the_canary_and_keeps_it() {
    for sealed_under_the_old_key in [true, false] {
        let shared = rings::Shared::default();
        let (behind, ahead) = (shared.first().await, shared.another().await);
        let store = Arc::new(MemoryStore::default());
        if sealed_under_the_old_key {
            put_stored(&store, NAME, &sealed(&KEY, Format::Sealed, NAME, b"{}")).await;
        }
        let newer = ahead.rotate().await;
        let canary = Canary::of(store.clone()).ring(ahead.ring.clone());
        let sealer = ahead.sealer(Format::Sealed);
        let created = canary.check_or_create(&sealer, &records()).await;
        assert_eq!(created.unwrap(), CanaryState::Created);
        assert_eq!(canary_key(&store).await, newer);
        let started = behind.start(store.clone(), behind.follows()).await;
        assert!(started.is_ok(), "{:?}", started.err());
        assert_eq!(canary_key(&store).await, newer);
    }
}

#[tokio::test]
async fn a_store_with_few_classic_values_among_plain_ones_counts_as_sealed() {
    let store = Arc::new(MemoryStore::default());
    let canary = Canary::of(store.clone());
    put_stored(&store, "wa:1", &state_json("confirming")).await;
    assert_eq!(canary.sealed_under(&records()).await.unwrap(), None);
    put_stored(
        &store,
        "wa:2",
        &sealed(&KEY, Format::Classic, "wa:2", b"{}"),
    )
    .await;
    let under = canary.sealed_under(&records()).await.unwrap();
    assert!(under.expect("sealed").unnamed);
}

#[tokio::test]
async fn thousands_of_empty_values_do_not_delay_a_start() {
    let store = Arc::new(MemoryStore::default());
    for index in 0..5_000 {
        put_stored(&store, &format!("wa:{index:04}"), b"").await;
    }
    let name = "wa:last";
    put_stored(&store, name, &sealed(&KEY, Format::Sealed, name, b"{}")).await;
    let canary = Canary::of(store.clone());
    let sample = canary.survey(&usual_sealer(), &records()).await.unwrap();
    assert_eq!(sample.opened, 0, "the sample went on to the last record");
    let alone = [GuardedRecords::from(
        RecordPattern::parse("wa:last*").unwrap(),
    )];
    let sample = canary.survey(&usual_sealer(), &alone).await.unwrap();
    assert_eq!(sample.opened, 1);
}

#[tokio::test]
async fn another_ring_does_not_start_on_values_of_users_whose_keys_are_all_missing() {
    let (shared, other) = (rings::Shared::default(), rings::Shared::default());
    let process = shared.first().await;
    let store = Arc::new(MemoryStore::default());
    let states = process.start(store.clone(), process.of_users()).await;
    let states = states.unwrap();
    for index in 0..10 {
        let user = format!("521555000000{index}");
        states.set(&user, &state("confirming")).await.unwrap();
    }
    store.delete(&RecordName::from(CANARY)).await.unwrap();
    let stranger = other.first_with(&OTHER_KEY).await;
    let refused = stranger.start(store.clone(), stranger.of_users()).await;
    let error = refused.err().expect("nothing vouches for the ring");
    assert!(
        matches!(error, GuardError::UsersUnknown { count: 10 }),
        "{error:?}"
    );
    let canary = store.get(&RecordName::from(CANARY), &Slot::Whole).await;
    assert_eq!(canary.unwrap(), None);
    process
        .start(store.clone(), process.of_users())
        .await
        .unwrap();
    // Erased users have no keys, as the ring says.
    store.delete(&RecordName::from(CANARY)).await.unwrap();
    for index in 0..10 {
        process.erase(&format!("521555000000{index}")).await;
    }
    process
        .start(store.clone(), process.of_users())
        .await
        .unwrap();
}

#[tokio::test]
async fn guarded_records_of_an_application_confirm_or_refute_the_key() {
    let store = Arc::new(MemoryStore::default());
    let name = "wa:1";
    put_stored(&store, name, &sealed(&KEY, Format::Sealed, name, b"{}")).await;
    let of_sessions = || {
        Options::default()
            .prefix("sess:")
            .guarded_records(records())
    };
    let start = |key: &[u8; 32]| {
        let sealer = sealer(key, Mode::On, Format::Sealed);
        StateManager::start(store.clone(), sealer, of_sessions())
    };
    let refused = start(&OTHER_KEY).await.err();
    assert!(matches!(refused, Some(GuardError::WrongKey(_))));
    start(&KEY).await.unwrap();
    assert_eq!(canary_key(&store).await, key_id(&KEY));
}
