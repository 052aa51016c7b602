//! Values that cannot be opened: moved to quarantine, listed, restored, deleted, or kept.

use std::sync::Arc;
use std::time::Duration;

use waxseal_core::{Format, Mode, OpenError};
use waxseal_sessions::quarantine::{self, Restored};
use waxseal_sessions::{OnRefused, Options, StateError, StateManager};
use waxseal_stores::{Clock, MemoryStore, RecordName, RecordStore, RedisStore};
use waxseal_testing::RedisServer;

use crate::*;

const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

async fn start_with(store: Arc<dyn RecordStore>, on_refused: OnRefused) -> StateManager {
    let options = Options::default()
        .on_refused(on_refused)
        .keep_quarantined(KEEP);
    StateManager::start(store, usual_sealer(), options)
        .await
        .unwrap()
}

fn good(format: Format) -> Vec<u8> {
    sealed(&KEY, format, NAME, &state_json("confirming"))
}

fn flipped(mut value: Vec<u8>) -> Vec<u8> {
    let middle = value.len() / 2;
    // Stays in the Base64 alphabet as well.
    value[middle] = if value[middle] == b'A' { b'B' } else { b'A' };
    value
}

/// States after tampering or a disk failure.
fn damaged() -> Vec<(&'static str, Vec<u8>)> {
    let elsewhere = sealed(&KEY, Format::Sealed, "wa:other", &state_json("confirming"));
    let cut = |mut value: Vec<u8>, length: usize| {
        value.truncate(length);
        value
    };
    vec![
        ("tampered, classic", flipped(good(Format::Classic))),
        ("tampered, sealed", flipped(good(Format::Sealed))),
        ("truncated, classic", cut(good(Format::Classic), 60)),
        ("truncated, sealed", cut(good(Format::Sealed), 60)),
        ("truncated within the header", cut(good(Format::Sealed), 5)),
        ("moved from another record", elsewhere),
        ("not text at all", b"\x00\xff\xfe{}".to_vec()),
    ]
}

/// A server with one damaged state in quarantine.
async fn one_moved() -> (RedisServer, Arc<RedisStore>, StateManager, Vec<u8>) {
    let server = RedisServer::start();
    let store = connect(&server).await;
    let states = start_with(store.clone(), OnRefused::Quarantine).await;
    let stored = flipped(good(Format::Sealed));
    put(&mut server.client(), NAME, &stored);
    (server, store, states, stored)
}

#[tokio::test]
async fn a_damaged_state_is_none_and_is_unchanged_in_quarantine() {
    for (how, stored) in damaged() {
        let server = RedisServer::start();
        let store = connect(&server).await;
        let states = start_with(store.clone(), OnRefused::Quarantine).await;
        let mut client = server.client();
        put(&mut client, NAME, &stored);
        let record_expires = expires_at(&mut client, NAME);

        let before = server_time(&mut client);
        assert_eq!(states.get::<State>(USER).await.unwrap(), None, "{how}");
        let after = server_time(&mut client);
        assert_eq!(get(&mut client, NAME), None, "{how}");
        assert_eq!(states.get::<State>(USER).await.unwrap(), None, "{how}");

        let entries = quarantine::list(&*store).await.unwrap();
        let [entry] = &entries[..] else {
            panic!("{how}: {} entries", entries.len())
        };
        assert_eq!(entry.record, RecordName::from(NAME));
        assert_eq!(entry.size, stored.len());
        assert_eq!(entry.record_expires_at, Some(record_expires));
        assert!((before..=after).contains(&entry.moved_at), "{how}");
        assert!(
            entry.cause.starts_with("Failed to decrypt Redis data"),
            "{}",
            entry.cause
        );

        let name = format!("waxseal:quarantine:{{{NAME}}}:{}", entry.id);
        let parcel = get(&mut client, &name).expect("it is named after its record");
        let line = parcel.iter().position(|byte| *byte == b'\n').unwrap();
        assert_eq!(parcel[line + 1..], stored, "{how}");
        let expires = expires_at(&mut client, &name);
        assert_eq!(entry.expires_at, Some(expires));
        let keep = u64::try_from(KEEP.as_millis()).unwrap();
        assert!((before + keep..=after + keep).contains(&expires), "{how}");
        assert_reveals_nothing(&format!("{entry:?} {}", entry.cause));
    }
}

#[tokio::test]
async fn two_states_that_were_swapped_are_both_quarantined() {
    let server = RedisServer::start();
    let store = connect(&server).await;
    let states = start_with(store.clone(), OnRefused::Quarantine).await;
    states.set("one", &state("confirming")).await.unwrap();
    states.set("two", &state("confirming")).await.unwrap();
    let mut client = server.client();
    for (from, to) in [("wa:one", "swap"), ("wa:two", "wa:one"), ("swap", "wa:two")] {
        assert_eq!(client.cmd(&["RENAME", from, to]).to_text(), "OK");
    }
    assert_eq!(states.get::<State>("one").await.unwrap(), None);
    assert_eq!(states.get::<State>("two").await.unwrap(), None);
    assert_eq!(quarantine::list(&*store).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_update_of_a_damaged_state_starts_without_a_state() {
    let (server, store, states, stored) = one_moved().await;
    let begin = |old: Option<State>| {
        assert_eq!(old, None);
        Some(state("showing_menu"))
    };
    states.update(USER, begin).await.unwrap();
    assert_eq!(states.get(USER).await.unwrap(), Some(state("showing_menu")));
    let entries = quarantine::list(&*store).await.unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].size, stored.len());
    drop(server);
}

#[tokio::test]
async fn a_quarantined_value_is_restored_with_its_expiry() {
    let (server, store, states, stored) = one_moved().await;
    let before = server.snapshot().only(|name| name == NAME.as_bytes());
    assert_eq!(states.get::<State>(USER).await.unwrap(), None);
    let entries = quarantine::list(&*store).await.unwrap();
    let now = server_time(&mut server.client());

    assert_eq!(
        quarantine::restore(&*store, &entries[0], now)
            .await
            .unwrap(),
        Restored::Done
    );
    assert_eq!(
        server.snapshot().only(|name| name == NAME.as_bytes()),
        before
    );
    assert_eq!(get(&mut server.client(), NAME), Some(stored));
    assert_eq!(quarantine::list(&*store).await.unwrap(), []);
    assert_eq!(
        quarantine::restore(&*store, &entries[0], now)
            .await
            .unwrap(),
        Restored::Gone
    );
}

#[tokio::test]
async fn a_value_without_expiry_is_restored_without_one() {
    let (server, store, states, _) = one_moved().await;
    assert_eq!(server.client().cmd(&["PERSIST", NAME]).int(), 1);
    assert_eq!(states.get::<State>(USER).await.unwrap(), None);
    let entries = quarantine::list(&*store).await.unwrap();
    assert_eq!(entries[0].record_expires_at, None);
    assert_eq!(
        quarantine::restore(&*store, &entries[0], u64::MAX)
            .await
            .unwrap(),
        Restored::Done
    );
    assert_eq!(server.cli(&["TTL", NAME]), "-1");
}

#[tokio::test]
async fn restoring_does_not_overwrite_a_new_state() {
    let (server, store, states, _) = one_moved().await;
    assert_eq!(states.get::<State>(USER).await.unwrap(), None);
    states.set(USER, &state("showing_menu")).await.unwrap();
    let before = server.snapshot();
    let entries = quarantine::list(&*store).await.unwrap();
    assert_eq!(
        quarantine::restore(&*store, &entries[0], 0).await.unwrap(),
        Restored::Occupied
    );
    assert_eq!(server.snapshot(), before);
}

#[tokio::test]
async fn a_value_whose_record_would_have_expired_stays_in_quarantine() {
    let (server, store, states, _) = one_moved().await;
    assert_eq!(states.get::<State>(USER).await.unwrap(), None);
    let before = server.snapshot();
    let entries = quarantine::list(&*store).await.unwrap();
    let over = entries[0].record_expires_at.unwrap();
    assert_eq!(
        quarantine::restore(&*store, &entries[0], over)
            .await
            .unwrap(),
        Restored::Expired
    );
    assert_eq!(server.snapshot(), before);
}

#[tokio::test]
async fn a_value_is_discarded_once() {
    let (server, store, states, _) = one_moved().await;
    assert_eq!(states.get::<State>(USER).await.unwrap(), None);
    let entries = quarantine::list(&*store).await.unwrap();
    assert!(quarantine::discard(&*store, &entries[0]).await.unwrap());
    assert!(!quarantine::discard(&*store, &entries[0]).await.unwrap());
    assert_eq!(
        quarantine::restore(&*store, &entries[0], 0).await.unwrap(),
        Restored::Gone
    );
    let names: Vec<_> = server.snapshot().records().keys().cloned().collect();
    assert_eq!(names, [b"waxseal:canary"]);
}

#[tokio::test]
async fn copies_of_one_value_that_are_moved_at_the_same_time_have_different_ids() {
    let store = Arc::new(MemoryStore::default());
    let options = Options::default().clock(Clock::from_fn(|| 1_700_000_000_000));
    let states = StateManager::start(store.clone(), usual_sealer(), options)
        .await
        .unwrap();
    let copy = good(Format::Sealed);
    for name in ["wa:one", "wa:two", "wa:thr}:ee"] {
        let expiry = waxseal_stores::Expiry::Persistent;
        let slot = waxseal_stores::Slot::Whole;
        store
            .put(&RecordName::from(name), &slot, &copy, expiry)
            .await
            .unwrap();
    }
    for user in ["one", "two", "thr}:ee"] {
        assert_eq!(states.get::<State>(user).await.unwrap(), None);
    }
    let entries = quarantine::list(&*store).await.unwrap();
    let mut records: Vec<_> = entries
        .iter()
        .map(|entry| entry.record.as_bytes())
        .collect();
    records.sort_unstable();
    assert_eq!(records, [&b"wa:one"[..], b"wa:thr}:ee", b"wa:two"]);
    let mut ids: Vec<_> = entries.iter().map(|entry| &entry.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn many_values_in_quarantine_are_all_listed_the_oldest_first() {
    let server = RedisServer::start();
    let store = connect(&server).await;
    let mut client = server.client();
    for index in 0..1200u64 {
        let name = format!("waxseal:quarantine:{{wa:{index}}}:{index:x}");
        let moved_at = 5_000 - index;
        let header = format!("{{\"cause\":\"c\",\"moved_at\":{moved_at},\"expires_at\":null}}\n");
        put(&mut client, &name, header.as_bytes());
    }
    // Not a record of Waxseal's.
    put(&mut client, "waxseal:quarantine:other", b"x");
    let entries = quarantine::list(&*store).await.unwrap();
    assert_eq!(entries.len(), 1200);
    assert!(entries.is_sorted_by_key(|entry| entry.moved_at));
    assert_eq!(entries[0].record, RecordName::from("wa:1199"));
}

#[tokio::test]
async fn with_on_refused_error_a_damaged_state_is_an_error_and_stays() {
    for (how, stored) in damaged() {
        let server = RedisServer::start();
        let states = start_with(connect(&server).await, OnRefused::Error).await;
        put(&mut server.client(), NAME, &stored);
        let before = server.snapshot();
        let error = states.get::<State>(USER).await.unwrap_err();
        let StateError::Open { error: cause, .. } = &error else {
            panic!("{how}: {error:?}")
        };
        assert!(
            matches!(cause, OpenError::Refused | OpenError::Malformed(_)),
            "{how}: {cause}"
        );
        assert!(
            error.to_string().contains("Failed to decrypt Redis data"),
            "{error}"
        );
        assert_reveals_nothing(&texts_of(&error));
        let update = states
            .update(USER, |_: Option<State>| Some(state("x")))
            .await;
        assert!(matches!(update, Err(StateError::Open { .. })), "{how}");
        assert_eq!(server.snapshot(), before);
    }
}

#[tokio::test]
async fn with_on_refused_absent_a_damaged_state_is_none_and_stays_until_it_is_overwritten() {
    for (how, stored) in damaged() {
        let server = RedisServer::start();
        let states = start_with(connect(&server).await, OnRefused::Absent).await;
        put(&mut server.client(), NAME, &stored);
        let before = server.snapshot();
        assert_eq!(states.get::<State>(USER).await.unwrap(), None, "{how}");
        assert!(states.exists(USER).await.unwrap());
        assert_eq!(
            states.update(USER, |_: Option<State>| None).await.unwrap(),
            None
        );
        assert_eq!(server.snapshot(), before, "{how}");
        let begin = |old: Option<State>| {
            assert_eq!(old, None);
            Some(state("showing_menu"))
        };
        states.update(USER, begin).await.unwrap();
        assert_eq!(
            states.get(USER).await.unwrap(),
            Some(state("showing_menu")),
            "{how}"
        );
    }
}

#[tokio::test]
async fn a_state_under_a_key_that_the_ring_lacks_is_an_error_and_never_moved() {
    for on_refused in [OnRefused::Quarantine, OnRefused::Absent, OnRefused::Error] {
        let server = RedisServer::start();
        let states = start_with(connect(&server).await, on_refused).await;
        let foreign = sealed(&OTHER_KEY, Format::Sealed, NAME, &state_json("confirming"));
        put(&mut server.client(), NAME, &foreign);
        let before = server.snapshot();
        let error = states.get::<State>(USER).await.unwrap_err();
        let unknown = matches!(
            error,
            StateError::Open {
                error: OpenError::UnknownKey { .. },
                ..
            }
        );
        assert!(unknown, "{error:?}");
        assert_eq!(server.snapshot(), before);
    }
}

#[tokio::test]
async fn in_mode_required_a_plain_state_is_never_moved() {
    let server = RedisServer::start();
    put(&mut server.client(), NAME, &state_json("confirming"));
    let states = start(&server, sealer(&KEY, Mode::Required, Format::Sealed))
        .await
        .unwrap();
    let before = server.snapshot();
    assert!(states.get::<State>(USER).await.is_err());
    assert_eq!(server.snapshot(), before);
}
