//! States whose users have keys of their own, and states under a ring that changes.

mod starts;

use std::sync::Arc;

use waxseal_core::{Binding, Format, KeyId, OpenError, Shape};
use waxseal_keys::{RingError, Settings};
use waxseal_sessions::{OnRefused, StateError, quarantine};
use waxseal_stores::{MemoryStore, RecordName, RecordStore, Slot};
use waxseal_testing::{Lines, RedisServer};

use crate::rings::{Process, Shared};
use crate::*;

const OTHER_USER: &str = "5215500000000";
const REFUSALS: [OnRefused; 3] = [OnRefused::Quarantine, OnRefused::Absent, OnRefused::Error];

/// The user key that a value is under, if it is under one.
fn user_key(stored: &[u8]) -> Option<KeyId> {
    let header = Shape::of_header(stored)?;
    header.flags.per_user_key().then_some(header.key)
}

fn named(user: &str) -> RecordName {
    RecordName::from(format!("wa:{user}"))
}

async fn stored(store: &impl RecordStore, user: &str) -> Vec<u8> {
    let stored = store.get(&named(user), &Slot::Whole).await.unwrap();
    stored.expect("it is there")
}

async fn put_stored(store: &MemoryStore, user: &str, value: &[u8]) {
    let expiry = waxseal_stores::Expiry::Persistent;
    let put = store.put(&named(user), &Slot::Whole, value, expiry).await;
    put.unwrap();
}

#[tokio::test]
async fn a_state_is_sealed_under_the_key_of_its_user() {
    let (server, shared) = (RedisServer::start(), Shared::default());
    let process = shared.first().await;
    let store = connect(&server).await;
    let states = process
        .start(store.clone(), process.of_users())
        .await
        .unwrap();
    for user in [USER, OTHER_USER] {
        states.set(user, &state("showing_menu")).await.unwrap();
    }
    let theirs = [
        stored(&*store, USER).await,
        stored(&*store, OTHER_USER).await,
    ];
    let ids = theirs.each_ref().map(|it| user_key(it).expect("per user"));
    assert_ne!(ids[0], ids[1]);
    // The ring alone does not open it.
    let opened = process
        .sealer(Format::Classic)
        .open(&theirs[0], Binding::record(NAME.as_bytes()));
    assert_eq!(opened.err(), Some(OpenError::UnknownKey { id: ids[0] }));

    let another = shared.another().await;
    let others = another
        .start(connect(&server).await, another.of_users())
        .await
        .unwrap();
    assert_eq!(others.get(USER).await.unwrap(), Some(state("showing_menu")));
    let change = |old: Option<State>| old.map(|_| state("confirming"));
    others.update(USER, change).await.unwrap();
    assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));
    assert_eq!(user_key(&stored(&*store, USER).await), Some(ids[0]));
    assert!(states.clear(USER).await.unwrap());
    assert_eq!(others.get::<State>(USER).await.unwrap(), None);
}

#[tokio::test]
async fn values_under_the_ring_and_plain_ones_are_read_and_resealed_for_the_user_when_written() {
    let process = Shared::default().first().await;
    let store = Arc::new(MemoryStore::default());
    let states = process.start(store.clone(), process.of_users());
    let states = states.await.unwrap();
    let value = state_json("confirming");
    for before in [
        value.clone(),
        sealed(&KEY, Format::Classic, NAME, &value),
        sealed(&KEY, Format::Sealed, NAME, &value),
    ] {
        put_stored(&store, USER, &before).await;
        assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));
        assert_eq!(stored(&*store, USER).await, before);
        states.update(USER, |old: Option<State>| old).await.unwrap();
        assert!(user_key(&stored(&*store, USER).await).is_some());
        assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));
    }
    // A name without a user has no user key.
    states.set("", &state("confirming")).await.unwrap();
    assert_eq!(user_key(&stored(&*store, "").await), None);
    assert_eq!(states.get("").await.unwrap(), Some(state("confirming")));
}

#[tokio::test]
async fn only_the_state_of_an_erased_user_is_permanently_erased() {
    for on_refused in REFUSALS {
        let (server, process) = (RedisServer::start(), Shared::default().first().await);
        let store = connect(&server).await;
        let options = process.of_users().on_refused(on_refused);
        let states = process.start(store.clone(), options).await.unwrap();
        states.set(USER, &state("confirming")).await.unwrap();
        let before = stored(&*store, USER).await;
        process.erase(USER).await;
        let at = process.ring.ring().erasures()[0].at;

        let (lines, _guard) = Lines::capture(tracing::Level::TRACE);
        // However often: it does not count as a failure.
        for _ in 0..40 {
            match states.get::<State>(USER).await {
                Ok(None) => assert_ne!(on_refused, OnRefused::Error),
                Err(StateError::Erased { at: when, record }) => {
                    assert_eq!((on_refused, when), (OnRefused::Error, at));
                    assert!(record.starts_with("wa:#"), "{record}");
                }
                other => panic!("{on_refused:?}: {other:?}"),
            }
        }
        assert!(states.exists(USER).await.unwrap());
        assert_eq!(stored(&*store, USER).await, before);
        assert!(quarantine::list(&*store).await.unwrap().is_empty());
        let text = lines.text();
        assert!(text.contains(" INFO ") && text.contains("of a user who was erased"));
        assert!(!text.contains(" WARN "), "{text}");
        assert_reveals_nothing(&text);

        if on_refused == OnRefused::Quarantine {
            put(&mut server.client(), "wa:5215500000000", &before);
            let none = states.get::<State>(OTHER_USER).await;
            assert!(matches!(none, Err(StateError::Open { .. })), "{none:?}");
            let damaged = [&sealed(&KEY, Format::Sealed, "wa:x", b"{}")[..], b"x"].concat();
            put(&mut server.client(), "wa:5215500000000", &damaged);
            assert_eq!(states.get::<State>(OTHER_USER).await.unwrap(), None);
            assert_eq!(quarantine::list(&*store).await.unwrap().len(), 1);
        }
    }
}

#[tokio::test]
async fn an_erased_user_who_returns_gets_a_new_key() {
    for (on_refused, updates) in REFUSALS.into_iter().flat_map(|r| [(r, false), (r, true)]) {
        let process = Shared::default().first().await;
        let store = Arc::new(MemoryStore::default());
        let options = process.of_users().on_refused(on_refused);
        let states = process.start(store.clone(), options).await.unwrap();
        states.set(USER, &state("confirming")).await.unwrap();
        let before = stored(&*store, USER).await;
        process.erase(USER).await;
        // An update that writes nothing changes nothing.
        let none = states.update(USER, |old: Option<State>| old).await.unwrap();
        assert_eq!((none, stored(&*store, USER).await), (None, before.clone()));
        if updates {
            let change = |old: Option<State>| {
                assert_eq!(old, None);
                Some(state("showing_menu"))
            };
            states.update(USER, change).await.unwrap();
        } else {
            states.set(USER, &state("showing_menu")).await.unwrap();
        }
        assert_eq!(states.get(USER).await.unwrap(), Some(state("showing_menu")));
        let now = stored(&*store, USER).await;
        assert!(user_key(&now).is_some() && user_key(&now) != user_key(&before));
        // A backup restores nothing.
        put_stored(&store, USER, &before).await;
        let old = states.get::<State>(USER).await;
        match on_refused {
            OnRefused::Error => assert!(matches!(old, Err(StateError::Erased { .. }))),
            _ => assert_eq!(old.unwrap(), None),
        }
    }
}

#[tokio::test]
async fn a_process_with_an_older_ring_reads_what_is_under_the_newer_key() {
    let (server, shared) = (RedisServer::start(), Shared::default());
    let (first, another) = (shared.first().await, shared.another().await);
    let start = async |process: &Process| {
        let store = connect(&server).await;
        let sealer = process.sealer(Format::Sealed);
        StateManager::start(store, sealer, process.follows()).await
    };
    let (writer, reader) = (start(&first).await.unwrap(), start(&another).await.unwrap());
    let newer = first.rotate().await;
    writer.set(USER, &state("confirming")).await.unwrap();
    let header = Shape::of_header(&get(&mut server.client(), NAME).unwrap());
    assert_eq!(header.map(|header| header.key), Some(newer));
    assert!(another.ring.keyring().current().role(newer).is_none());
    assert_eq!(reader.get(USER).await.unwrap(), Some(state("confirming")));
    // From now on it seals under that key.
    reader.set(USER, &state("showing_menu")).await.unwrap();
    let header = Shape::of_header(&get(&mut server.client(), NAME).unwrap());
    assert_eq!(header.map(|header| header.key), Some(newer));
    // A key that no ring holds stays unknown.
    let unknown = sealed(&OTHER_KEY, Format::Sealed, NAME, &state_json("confirming"));
    put(&mut server.client(), NAME, &unknown);
    let error = reader.get::<State>(USER).await.unwrap_err();
    let StateError::Open { error, .. } = error else {
        panic!("{error:?}")
    };
    assert!(matches!(error, OpenError::UnknownKey { .. }), "{error}");
}

#[tokio::test]
async fn a_classic_value_under_a_newer_key_never_counts_as_damaged() {
    let shared = Shared::default();
    let (first, another) = (shared.first().await, shared.another().await);
    let store = Arc::new(MemoryStore::default());
    let writer = first.start(store.clone(), first.follows()).await.unwrap();
    let reader = another.start(store.clone(), another.follows());
    let reader = reader.await.unwrap();
    first.rotate().await;
    writer.set(USER, &state("confirming")).await.unwrap();
    let before = stored(&*store, USER).await;
    assert_eq!(Shape::of(&before), Shape::MaybeClassic);
    shared.place.set_out_of_reach(true);
    for _ in 0..10 {
        let error = reader.get::<State>(USER).await.unwrap_err();
        assert!(matches!(&error, StateError::Ring(_)), "{error:?}");
    }
    assert_eq!(stored(&*store, USER).await, before);
    shared.place.set_out_of_reach(false);
    assert_eq!(reader.get(USER).await.unwrap(), Some(state("confirming")));
    // A value that no key opens is damaged.
    let damaged = sealed(&OTHER_KEY, Format::Classic, NAME, b"{}");
    put_stored(&store, USER, &damaged).await;
    assert_eq!(reader.get::<State>(USER).await.unwrap(), None);
    assert_eq!(quarantine::list(&*store).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_user_with_a_cached_key_costs_no_call_and_another_costs_one() {
    let shared = Shared::default();
    let (first, another) = (shared.first().await, shared.another().await);
    let store = Arc::new(MemoryStore::default());
    let states = first.start(store.clone(), first.of_users()).await.unwrap();
    let others = another.start(store.clone(), another.of_users());
    let others = others.await.unwrap();
    let mut before = 0;
    let mut cost = || {
        let calls = shared.keys.calls();
        calls - std::mem::replace(&mut before, calls)
    };
    // The starts have read the mark of the store.
    cost();
    // If nothing is stored, no key is read. The first write reads and creates it.
    assert_eq!(states.get::<State>(USER).await.unwrap(), None);
    assert_eq!(cost(), 0);
    states.set(USER, &state("confirming")).await.unwrap();
    assert_eq!(cost(), 2);
    states.set(USER, &state("confirming")).await.unwrap();
    assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));
    assert_eq!(cost(), 0);
    assert_eq!(others.get(USER).await.unwrap(), Some(state("confirming")));
    assert_eq!(cost(), 1);
    others.set(USER, &state("confirming")).await.unwrap();
    assert_eq!(others.get(USER).await.unwrap(), Some(state("confirming")));
    assert_eq!(cost(), 0);
    // A key that the other process does not know, although it has read before.
    let name = OTHER_USER.as_bytes();
    assert!(another.users.read(&[name]).await.unwrap()[0].is_none());
    states.set(OTHER_USER, &state("confirming")).await.unwrap();
    cost();
    let read = others.get(OTHER_USER).await.unwrap();
    assert_eq!((read, cost()), (Some(state("confirming")), 1));
}

#[tokio::test]
async fn nothing_is_sealed_under_a_ring_that_was_unreachable_for_too_long() {
    let (shared, settings) = (Shared::default(), Settings::default());
    let process = shared.first().await;
    let store = Arc::new(MemoryStore::default());
    let states = process.start(store.clone(), process.follows());
    let states = states.await.unwrap();
    states.set(USER, &state("confirming")).await.unwrap();
    shared.place.set_out_of_reach(true);
    shared.put_clock_forward(settings.propagation_ms + 1);
    states.set(USER, &state("showing_menu")).await.unwrap();
    let before = stored(&*store, USER).await;
    shared.put_clock_forward(settings.retention_ms);
    let error = states.set(USER, &state("confirming")).await.unwrap_err();
    let is_lapsed = matches!(&error, StateError::Ring(RingError::Lapsed { .. }));
    assert!(is_lapsed, "{error:?}");
    assert_reveals_nothing(&texts_of(&error));
    let update = states.update(USER, |old: Option<State>| old).await;
    assert!(matches!(update, Err(StateError::Ring(_))), "{update:?}");
    assert_eq!(stored(&*store, USER).await, before);
    // Reading continues.
    assert_eq!(states.get(USER).await.unwrap(), Some(state("showing_menu")));
    shared.place.set_out_of_reach(false);
    states.set(USER, &state("confirming")).await.unwrap();
}

#[tokio::test]
async fn without_the_store_of_their_keys_states_of_users_are_errors_and_never_none() {
    let shared = Shared::default();
    let (first, another) = (shared.first().await, shared.another().await);
    let store = Arc::new(MemoryStore::default());
    let states = first.start(store.clone(), first.of_users()).await.unwrap();
    states.set(USER, &state("confirming")).await.unwrap();
    shared.keys.set_out_of_reach(true);
    let others = another.start(store.clone(), another.of_users());
    let others = others.await.unwrap();
    let before = stored(&*store, USER).await;
    for _ in 0..10 {
        let error = others.get::<State>(USER).await.unwrap_err();
        assert!(matches!(&error, StateError::Users(it) if it.is_transient()));
        assert_reveals_nothing(&texts_of(&error));
        let error = others.set(USER, &state("confirming")).await.unwrap_err();
        assert!(matches!(&error, StateError::Users(it) if it.is_transient()));
    }
    assert_eq!(stored(&*store, USER).await, before);
    // Values under cached keys and under the ring are read.
    assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));
    let ring = sealed(&KEY, Format::Sealed, NAME, &state_json("showing_menu"));
    put_stored(&store, USER, &ring).await;
    assert_eq!(others.get(USER).await.unwrap(), Some(state("showing_menu")));
    shared.keys.set_out_of_reach(false);
    others.set(USER, &state("confirming")).await.unwrap();
}
