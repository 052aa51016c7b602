//! The guard against a wrong key: a process with one does not start, and changes nothing.

use std::sync::Arc;

use waxseal_core::{Format, Mode, Sealer, SecretKey};
use waxseal_sessions::{Canary, CanaryState, GuardError, Options, StateManager};
use waxseal_stores::{MemoryStore, RecordName, RecordStore};
use waxseal_testing::node::{ClassicSeal, classic_seal};
use waxseal_testing::{Client, RedisServer};

use crate::rings::Shared;
use crate::*;

pub(crate) const CANARY: &str = "waxseal:canary";

/// The key `KEY`, and what was sealed under `OTHER_KEY` opens as well.
fn rotated() -> Sealer {
    let previous = SecretKey::from_bytes(&OTHER_KEY).unwrap();
    let ring = keyring(&KEY).with_previous(&previous).unwrap();
    Sealer::new(Arc::new(ring), Mode::On, Format::Sealed)
}

pub(crate) fn key_id(key: &[u8; 32]) -> waxseal_core::KeyId {
    SecretKey::from_bytes(key).unwrap().id()
}

pub(crate) fn states_of(
    client: &mut Client,
    count: usize,
    stored: impl Fn(usize, &str) -> Vec<u8>,
) {
    for index in 0..count {
        let name = format!("wa:52155000000{index:02}");
        put(client, &name, &stored(index, &name));
    }
}

/// Starting with `KEY` is refused in every mode and format, and changes nothing.
async fn assert_refused(server: &RedisServer) {
    let before = server.snapshot();
    assert!(!before.is_empty());
    for mode in [Mode::Off, Mode::On, Mode::Required] {
        for format in [Format::Classic, Format::Sealed] {
            let error = start(server, sealer(&KEY, mode, format))
                .await
                .err()
                .expect("refused");
            let text = error.to_string();
            assert!(
                text.starts_with("the key does not match this store: "),
                "{text}"
            );
            assert!(
                text.ends_with(&format!("configured is key {}", key_id(&KEY))),
                "{text}"
            );
            assert_reveals_nothing(&texts_of(&error));
        }
    }
    assert_eq!(server.snapshot(), before);
}

#[tokio::test]
async fn a_wrong_key_does_not_start_where_there_is_a_canary() {
    let server = RedisServer::start();
    let states = start(&server, sealer(&OTHER_KEY, Mode::On, Format::Classic))
        .await
        .unwrap();
    states.set(USER, &state("confirming")).await.unwrap();
    assert_refused(&server).await;
    // Not even if all other states are plain.
    states_of(&mut server.client(), 40, |_, _| state_json("showing_menu"));
    states.clear(USER).await.unwrap();
    assert_refused(&server).await;
}

#[tokio::test]
async fn a_wrong_key_does_not_start_with_states_of_another_key_and_no_canary() {
    let server = RedisServer::start();
    let value = state_json("confirming");
    let requests = vec![
        ClassicSeal {
            key: &OTHER_KEY,
            iv: None,
            value: &value
        };
        30
    ];
    let by_node = classic_seal(&requests);
    states_of(&mut server.client(), 30, |index, _| {
        by_node[index].clone().into_bytes()
    });
    assert_refused(&server).await;

    // One is enough.
    for format in [Format::Classic, Format::Sealed] {
        server.cli(&["FLUSHALL"]);
        put(
            &mut server.client(),
            NAME,
            &sealed(&OTHER_KEY, format, NAME, &value),
        );
        assert_refused(&server).await;
    }
}

#[tokio::test]
async fn a_wrong_key_is_found_by_one_state_among_many_other_records() {
    let server = RedisServer::start();
    let others: Vec<_> = (0..6000)
        .map(|index| {
            [
                "SET".to_owned(),
                format!("bull:jobs:{index}"),
                "{}".to_owned(),
            ]
        })
        .collect();
    let done = server.client().pipeline(&others);
    assert!(done.iter().all(|reply| reply.error().is_none()));
    let foreign = sealed(&OTHER_KEY, Format::Sealed, NAME, &state_json("confirming"));
    put(&mut server.client(), NAME, &foreign);
    assert_refused(&server).await;
}

#[tokio::test]
async fn a_wrong_key_is_found_among_plain_states() {
    let server = RedisServer::start();
    states_of(&mut server.client(), 12, |index, name| match index {
        0..6 => state_json("showing_menu"),
        6..9 => sealed(&OTHER_KEY, Format::Sealed, name, &state_json("confirming")),
        _ => sealed(&OTHER_KEY, Format::Classic, name, &state_json("confirming")),
    });
    assert_refused(&server).await;
}

#[tokio::test]
async fn a_canary_is_sealed_on_first_use_and_opened_later() {
    let server = RedisServer::start();
    let store = connect(&server).await;
    let sealer = usual_sealer();
    let canary = Canary::of(store);
    assert_eq!(
        canary.check(&sealer, &[]).await.unwrap(),
        CanaryState::Absent
    );
    assert!(server.snapshot().is_empty());
    assert_eq!(
        canary.check_or_create(&sealer, &[]).await.unwrap(),
        CanaryState::Created
    );
    assert_eq!(server.cli(&["TTL", CANARY]), "-1");
    let before = server.snapshot();
    assert_eq!(before.len(), 1);
    let opens = CanaryState::Opens(key_id(&KEY));
    assert_eq!(canary.check(&sealer, &[]).await.unwrap(), opens);
    assert_eq!(canary.check_or_create(&sealer, &[]).await.unwrap(), opens);
    assert_eq!(server.snapshot(), before);
}

#[tokio::test]
async fn after_a_rotation_the_canary_opens_under_the_previous_key_until_it_is_renewed() {
    let server = RedisServer::start();
    start(&server, sealer(&OTHER_KEY, Mode::On, Format::Sealed))
        .await
        .unwrap();
    let before = server.snapshot();
    start(&server, rotated()).await.unwrap();
    assert_eq!(server.snapshot(), before);

    let canary = Canary::of(connect(&server).await);
    let found = canary.renew(&rotated()).await.unwrap();
    assert_eq!(found, CanaryState::Opens(key_id(&OTHER_KEY)));
    let renewed = server.snapshot();
    assert_eq!(renewed.changed_names(&before), [CANARY.as_bytes()]);
    assert_eq!(
        canary.renew(&rotated()).await.unwrap(),
        CanaryState::Opens(key_id(&KEY))
    );
    assert_eq!(server.snapshot(), renewed);

    start(&server, usual_sealer()).await.unwrap();
    let old = start(&server, sealer(&OTHER_KEY, Mode::On, Format::Sealed)).await;
    assert!(matches!(old, Err(GuardError::WrongKey(_))));
}

#[tokio::test]
async fn a_compromised_key_of_the_ring_is_not_taken_for_that_of_another_store() {
    let process = Shared::default().first().await;
    let before = process.ring.ring().sealing().id;
    let stores = [(); 2].map(|()| Arc::new(MemoryStore::default()));
    for store in &stores {
        let states = process.start(store.clone(), process.follows()).await;
        states.unwrap().set(USER, &state("paid")).await.unwrap();
    }
    process.rotate().await;
    let change = waxseal_keys::Change::Compromise(before);
    process.ring.change(&change).await.unwrap();

    let refused = process.start(stores[0].clone(), process.follows()).await;
    let Err(error) = refused else {
        panic!("the canary does not open")
    };
    assert!(matches!(error, GuardError::Compromised(id) if id == before));
    assert!(error.to_string().contains("marked as compromised"));

    // Without a canary the values decide.
    stores[1].delete(&RecordName::from(CANARY)).await.unwrap();
    let states = process.start(stores[1].clone(), process.follows()).await;
    states.unwrap();
}

#[tokio::test]
async fn a_canary_that_was_damaged_replaced_or_moved_does_not_count() {
    let server = RedisServer::start();
    let mut client = server.client();
    start(&server, usual_sealer()).await.unwrap();
    let mut flipped = get(&mut client, CANARY).unwrap();
    *flipped.last_mut().unwrap() ^= 1;
    let values = [
        flipped,
        b"waxseal canary v1".to_vec(),
        b"".to_vec(),
        sealed(&KEY, Format::Sealed, CANARY, b"something else"),
        sealed(&KEY, Format::Sealed, NAME, b"waxseal canary v1"),
    ];
    for value in values {
        put(&mut client, CANARY, &value);
        let before = server.snapshot();
        let refused = start(&server, usual_sealer()).await;
        assert!(matches!(refused, Err(GuardError::WrongKey(_))));
        assert_eq!(server.snapshot(), before);
    }
}

#[tokio::test]
async fn of_two_keys_at_once_only_one_starts() {
    let server = RedisServer::start();
    let other = sealer(&OTHER_KEY, Mode::On, Format::Sealed);
    let (one, other) = tokio::join!(start(&server, usual_sealer()), start(&server, other));
    let refused = [one.err(), other.err()];
    assert!(matches!(
        refused,
        [None, Some(GuardError::WrongKey(_))] | [Some(GuardError::WrongKey(_)), None]
    ));
    assert_eq!(server.snapshot().len(), 1);
}

#[tokio::test]
async fn one_value_that_looks_like_base64_among_plain_states_does_not_refute_the_key() {
    for odd in [0, 7, 39] {
        let server = RedisServer::start();
        states_of(&mut server.client(), 40, |index, _| match index {
            index if index == odd => b"QUJD".repeat(20),
            _ => state_json("showing_menu"),
        });
        let states = start(&server, usual_sealer()).await.unwrap();
        assert_eq!(
            states.get("5215500000001").await.unwrap(),
            Some(state("showing_menu"))
        );
        assert!(server.snapshot().get(CANARY).is_some());
    }
}

#[tokio::test]
async fn states_of_the_right_key_start_without_a_canary_even_beside_damaged_ones() {
    let server = RedisServer::start();
    states_of(&mut server.client(), 10, |index, name| {
        let mut value = sealed(&KEY, Format::Sealed, name, &state_json("confirming"));
        if index > 0 {
            value.truncate(20);
        }
        value
    });
    let states = start(&server, usual_sealer()).await.unwrap();
    assert_eq!(
        states.get("5215500000000").await.unwrap(),
        Some(state("confirming"))
    );
    assert!(server.snapshot().get(CANARY).is_some());
}

#[tokio::test]
async fn waxseals_own_records_are_not_states_of_an_empty_prefix() {
    let server = RedisServer::start();
    put(
        &mut server.client(),
        "waxseal:quarantine:{wa:1}:1",
        &b"QUJD".repeat(20),
    );
    let store = connect(&server).await;
    let options = Options::default().prefix("");
    let states = StateManager::start(store, usual_sealer(), options)
        .await
        .unwrap();
    states.set(USER, &state("confirming")).await.unwrap();
    assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));
}

#[tokio::test]
async fn a_prefix_that_cannot_be_scanned_does_not_start() {
    for prefix in ["wa*:", "wa?", " wa:"] {
        let store = Arc::new(MemoryStore::default());
        let options = Options::default().prefix(prefix);
        let refused = StateManager::start(store.clone(), usual_sealer(), options).await;
        assert!(matches!(refused, Err(GuardError::Prefix(_))), "{prefix}");
        assert_eq!(store.status().await.unwrap().records, 0);
    }
}

#[tokio::test]
async fn a_prefix_may_hold_braces_and_brackets() {
    let server = RedisServer::start();
    for prefix in ["{app}:wa:", "[app]\\wa:"] {
        let options = Options::default().prefix(prefix);
        let states = StateManager::start(connect(&server).await, usual_sealer(), options);
        let states = states.await.unwrap();
        states.set(USER, &state("confirming")).await.unwrap();
        assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));
    }
    // The next process starts with the same key, and not with another one.
    server.cli(&["DEL", CANARY]);
    let options = Options::default().prefix("{app}:wa:");
    let other = sealer(&OTHER_KEY, Mode::On, Format::Sealed);
    let refused = StateManager::start(connect(&server).await, other, options).await;
    assert!(matches!(refused, Err(GuardError::WrongKey(_))));
}

#[tokio::test]
async fn without_a_key_nothing_starts_if_states_are_sealed() {
    let server = RedisServer::start();
    let mut client = server.client();
    start(&server, Sealer::without_keys()).await.unwrap();
    assert!(server.snapshot().is_empty());

    for format in [Format::Classic, Format::Sealed] {
        put(
            &mut client,
            NAME,
            &sealed(&KEY, format, NAME, &state_json("confirming")),
        );
        let error = start(&server, Sealer::without_keys())
            .await
            .err()
            .expect("refused");
        assert!(matches!(error, GuardError::NoKey(_)), "{error:?}");
    }
    start(&server, usual_sealer()).await.unwrap();
    assert_eq!(client.cmd(&["DEL", NAME]).int(), 1);
    let error = start(&server, Sealer::without_keys())
        .await
        .err()
        .expect("refused");
    assert!(matches!(error, GuardError::NoKey(_)), "{error:?}");
}
