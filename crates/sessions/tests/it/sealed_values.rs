//! Sealed values as evidence about the key: with a canary, without one, and against one of another key.

use std::ops::Range;

use waxseal_core::{Binding, Format, KeyId, Mode, Shape};
use waxseal_sessions::{
    Canary, CanaryState, GuardError, GuardedRecords, Options, StateError, StateManager,
};
use waxseal_stores::{RecordPattern, RedisOptions, StoreError};
use waxseal_testing::{Client, RedisServer};

use crate::guards::{CANARY, key_id, states_of};
use crate::read_only::put_a_good_and_a_damaged_one;
use crate::*;

/// Writes states in the sealed format directly to the server.
fn states_under(client: &mut Client, key: &[u8; 32], range: Range<usize>) {
    for index in range {
        let name = format!("wa:52155000001{index:02}");
        put(
            client,
            &name,
            &sealed(key, Format::Sealed, &name, &state_json("confirming")),
        );
    }
}

fn canary_key(server: &RedisServer) -> KeyId {
    let stored = get(&mut server.client(), CANARY).unwrap();
    Shape::of_header(&stored).unwrap().key
}

#[tokio::test]
async fn the_right_key_starts_beside_a_canary_of_another_and_seals_it_again() {
    let server = RedisServer::start();
    // As after FLUSHDB: another process starts first, and a running process with the right key continues to write.
    start(&server, sealer(&OTHER_KEY, Mode::On, Format::Sealed))
        .await
        .unwrap();
    states_under(&mut server.client(), &KEY, 0..3);
    let before = server.snapshot();
    let canary = Canary::of(connect(&server).await);
    let records = [GuardedRecords::from(RecordPattern::parse("wa:*").unwrap())];
    let other = Some(key_id(&OTHER_KEY));
    let checked = canary.check(&usual_sealer(), &records).await.unwrap();
    assert_eq!(checked, CanaryState::Differs(other));
    assert_eq!(server.snapshot(), before);
    let repaired = canary.check_or_create(&usual_sealer(), &records).await;
    assert_eq!(repaired.unwrap(), CanaryState::Repaired(other));
    assert_eq!(canary_key(&server), key_id(&KEY));
    // From now on the other key is refused, as it is without any canary.
    let other = || sealer(&OTHER_KEY, Mode::On, Format::Sealed);
    for canary in [true, false] {
        if !canary {
            server.cli(&["DEL", CANARY]);
        }
        let before = server.snapshot();
        let error = start(&server, other()).await.err().expect("refused");
        let text = error.to_string();
        let (its, own) = (key_id(&KEY), key_id(&OTHER_KEY));
        assert_eq!(
            text,
            format!(
                "the key does not match this store: it is sealed under key {its}; configured is \
                 key {own}"
            )
        );
        assert_eq!(server.snapshot(), before);
    }
    let states = start(&server, usual_sealer()).await.unwrap();
    assert!(
        states
            .get::<State>("5215500000100")
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(canary_key(&server), key_id(&KEY));
}

#[tokio::test]
async fn a_key_that_opens_no_value_is_refused_even_with_its_own_canary() {
    let server = RedisServer::start();
    let other = || sealer(&OTHER_KEY, Mode::On, Format::Sealed);
    start(&server, other()).await.unwrap();
    // One value may be planted, or a stray: the canary counts as much.
    states_under(&mut server.client(), &KEY, 0..1);
    start(&server, other()).await.unwrap();
    states_under(&mut server.client(), &KEY, 1..3);
    let error = start(&server, other()).await.err().expect("refused");
    assert!(matches!(error, GuardError::WrongKey(_)), "{error:?}");

    server.cli(&["FLUSHALL"]);
    start(&server, other()).await.unwrap();
    states_of(&mut server.client(), 12, |_, name| {
        sealed(&KEY, Format::Classic, name, &state_json("confirming"))
    });
    let error = start(&server, other()).await.err().expect("refused");
    assert!(
        error
            .to_string()
            .contains("a key that its values do not name"),
        "{error}"
    );
}

#[tokio::test]
async fn planted_envelopes_do_not_prevent_a_start() {
    for canary in [true, false] {
        let server = RedisServer::start();
        let states = start(&server, usual_sealer()).await.unwrap();
        states.set(USER, &state("confirming")).await.unwrap();
        if !canary {
            server.cli(&["DEL", CANARY]);
        }
        let mut client = server.client();
        states_under(&mut client, &OTHER_KEY, 0..30);
        for index in 0..30 {
            put(&mut client, &format!("wa:broken{index}"), b"\xf5\x57\x02");
        }
        let states = start(&server, usual_sealer()).await.unwrap();
        let found = states.get(USER).await.unwrap();
        assert_eq!(found, Some(state("confirming")));
        assert_eq!(canary_key(&server), key_id(&KEY));
    }
}

#[tokio::test]
async fn values_in_hashes_lists_and_under_the_last_of_many_patterns_are_opened_as_well() {
    let server = RedisServer::start();
    let mut client = server.client();
    let seal = |key: &[u8; 32], binding: Binding<'_>| {
        let value = sealer(key, Mode::On, Format::Sealed).seal(b"{}", binding);
        value.unwrap()
    };
    let patterns = (0..40).map(|index| format!("p{index}:*"));
    let records: Vec<_> = patterns
        .map(|text| RecordPattern::parse(&text).unwrap())
        .map(GuardedRecords::from)
        .collect();
    let canary = Canary::of(connect(&server).await);
    for kind in ["hash", "list"] {
        server.cli(&["FLUSHALL"]);
        for (key, refused) in [(&OTHER_KEY, true), (&KEY, false)] {
            let name = format!("p39:{}", u8::from(refused));
            match kind {
                "hash" => {
                    let stored = seal(key, Binding::field(name.as_bytes(), b"f"));
                    client.cmd(&[&b"HSET"[..], name.as_bytes(), b"f", &stored]);
                }
                _ => {
                    let stored = seal(key, Binding::record(name.as_bytes()));
                    client.cmd(&[&b"RPUSH"[..], name.as_bytes(), &stored]);
                }
            }
            let checked = canary.check_or_create(&usual_sealer(), &records).await;
            assert_eq!(checked.is_err(), refused, "{kind}: {checked:?}");
        }
    }
}

#[tokio::test]
async fn sealed_values_behind_many_plain_ones_are_found() {
    let server = RedisServer::start();
    let mut client = server.client();
    states_of(&mut client, 100, |_, _| state_json("showing_menu"));
    states_under(&mut client, &OTHER_KEY, 0..2);
    let error = start(&server, usual_sealer()).await.err().expect("refused");
    assert!(matches!(error, GuardError::WrongKey(_)), "{error:?}");
}

#[tokio::test]
async fn a_user_without_the_right_to_scan_relies_on_the_canary() {
    let server = RedisServer::builder()
        .user_acl("user support on >pw ~* +get +ping")
        .start();
    let url = server.url().replace("redis://", "redis://support:pw@");
    let restricted = || connect_with(&url, RedisOptions::default());
    put_a_good_and_a_damaged_one(&mut server.client());
    let options = Options::default;
    let refused = StateManager::start(restricted().await, usual_sealer(), options()).await;
    let error = refused.err().expect("nothing vouches for the key");
    assert!(
        matches!(error, GuardError::Store(StoreError::Denied { .. })),
        "{error:?}"
    );
    start(&server, usual_sealer()).await.unwrap();
    StateManager::start(restricted().await, usual_sealer(), options())
        .await
        .unwrap();
    let other = sealer(&OTHER_KEY, Mode::On, Format::Sealed);
    let refused = StateManager::start(restricted().await, other, options()).await;
    assert!(matches!(refused, Err(GuardError::WrongKey(_))));
}

#[tokio::test]
async fn a_canary_of_another_key_is_kept_if_most_values_are_under_that_key() {
    let server = RedisServer::start();
    let mut client = server.client();
    states_under(&mut client, &OTHER_KEY, 0..15);
    states_under(&mut client, &KEY, 15..17);
    let other = || sealer(&OTHER_KEY, Mode::On, Format::Sealed);
    start(&server, other()).await.unwrap();
    start(&server, usual_sealer()).await.unwrap();
    assert_eq!(canary_key(&server), key_id(&OTHER_KEY));
    // With an uncertain key nothing is moved to quarantine.
    put(&mut client, "wa:damaged", b"\xf5\x57\x02");
    let states = start(&server, usual_sealer()).await.unwrap();
    assert_not_moved(&server, &states).await;
}

async fn assert_not_moved(server: &RedisServer, states: &StateManager) {
    let before = server.snapshot();
    let error = states.get::<State>("damaged").await.unwrap_err();
    assert!(matches!(error, StateError::Open { .. }), "{error:?}");
    assert_eq!(server.snapshot(), before);
}

#[tokio::test]
async fn hundreds_of_planted_key_ids_cause_one_read_of_the_ring() {
    let shared = rings::Shared::default();
    let process = shared.first().await;
    let server = RedisServer::start();
    let mut client = server.client();
    let store = connect(&server).await;
    let states = process.start(store.clone(), process.follows()).await;
    states
        .unwrap()
        .set(USER, &state("confirming"))
        .await
        .unwrap();
    server.cli(&["DEL", CANARY]);
    let mut planted = sealed(&OTHER_KEY, Format::Sealed, NAME, b"{}");
    for index in 0_u32..300 {
        planted[4..8].copy_from_slice(&index.to_be_bytes());
        put(&mut client, &format!("wa:planted{index}"), &planted);
    }
    let calls = shared.place.calls();
    let states = process.start(store, process.follows()).await.unwrap();
    let found = states.get(USER).await.unwrap();
    assert_eq!(found, Some(state("confirming")));
    let calls = shared.place.calls() - calls;
    assert!(calls <= 3, "{calls}");
}

#[tokio::test]
async fn a_user_without_the_right_to_read_sets_starts_beside_them() {
    let server = RedisServer::builder()
        .user_acl("user support on >pw ~* +@read -sscan -zscan -xrange +ping")
        .start();
    let url = server.url().replace("redis://", "redis://support:pw@");
    start(&server, usual_sealer()).await.unwrap();
    server.cli(&["SADD", "wa:set", "a"]);
    server.cli(&["ZADD", "wa:zset", "1", "a"]);
    server.cli(&["XADD", "wa:stream", "*", "a", "b"]);
    let restricted = connect_with(&url, RedisOptions::default()).await;
    let states = StateManager::start(restricted, usual_sealer(), Options::default()).await;
    states.map(drop).unwrap();
}
