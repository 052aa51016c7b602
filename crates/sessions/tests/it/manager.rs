//! The life of a state: as the application sees it, and as Redis stores it.

use std::sync::Arc;
use std::time::Duration;

use waxseal_core::{Format, Mode, OpenError};
use waxseal_sessions::{Options, StateError, StateManager};
use waxseal_stores::{MemoryStore, StoreError};
use waxseal_testing::node::{ClassicSeal, classic_open, classic_seal};
use waxseal_testing::{Flavor, RedisServer};

use crate::*;

const HOUR_MS: u64 = 3_600_000;

async fn in_memory() -> StateManager {
    let store = Arc::new(MemoryStore::default());
    StateManager::start(store, usual_sealer(), Options::default())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_state_is_set_read_changed_and_cleared() {
    let states = in_memory().await;
    assert_eq!(states.get::<State>(USER).await.unwrap(), None);
    assert!(!states.exists(USER).await.unwrap());

    states.set(USER, &state("showing_menu")).await.unwrap();
    assert_eq!(states.get(USER).await.unwrap(), Some(state("showing_menu")));
    assert!(states.exists(USER).await.unwrap());
    assert_eq!(states.get::<State>("5215500000000").await.unwrap(), None);

    let change = |old: Option<State>| {
        assert_eq!(old.unwrap().status, "showing_menu");
        Some(state("confirming"))
    };
    assert_eq!(
        states.update(USER, change).await.unwrap(),
        Some(state("confirming"))
    );
    assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));

    assert!(states.clear(USER).await.unwrap());
    assert!(!states.clear(USER).await.unwrap());
    assert_eq!(states.get::<State>(USER).await.unwrap(), None);
    assert!(!states.exists(USER).await.unwrap());
}

#[tokio::test]
async fn a_clone_sees_the_same_states() {
    let states = in_memory().await;
    states
        .clone()
        .set(USER, &state("confirming"))
        .await
        .unwrap();
    assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));
}

#[tokio::test]
async fn a_state_is_named_wa_and_the_user_and_lives_for_3600_seconds() {
    let server = RedisServer::start();
    let states = start(&server, usual_sealer()).await.unwrap();
    let mut client = server.client();

    let before = server_time(&mut client);
    states.set(USER, &state("showing_menu")).await.unwrap();
    let expires = expires_at(&mut client, NAME);
    assert!((before + HOUR_MS..=server_time(&mut client) + HOUR_MS).contains(&expires));
    let names: Vec<_> = server.snapshot().records().keys().cloned().collect();
    assert_eq!(names, [NAME.as_bytes(), b"waxseal:canary"]);

    let before = server_time(&mut client);
    states
        .set_for(USER, &state("confirming"), Duration::from_millis(90_500))
        .await
        .unwrap();
    let expires = expires_at(&mut client, NAME);
    assert!((before + 90_500..=server_time(&mut client) + 90_500).contains(&expires));

    let before = server_time(&mut client);
    states.update(USER, |old: Option<State>| old).await.unwrap();
    let expires = expires_at(&mut client, NAME);
    assert!((before + HOUR_MS..=server_time(&mut client) + HOUR_MS).contains(&expires));
}

#[tokio::test]
async fn prefix_and_lifetime_can_be_chosen() {
    let server = RedisServer::start();
    let options = Options::default()
        .prefix("bot:state:")
        .ttl(Duration::from_secs(60));
    let states = StateManager::start(connect(&server).await, usual_sealer(), options)
        .await
        .unwrap();
    states.set(USER, &state("confirming")).await.unwrap();
    let ttl: i64 = server
        .cli(&["TTL", "bot:state:5215512345678"])
        .parse()
        .unwrap();
    assert!((1..=60).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn stored_values_cannot_be_read_in_redis() {
    for format in [Format::Classic, Format::Sealed] {
        let server = uncompressed_server();
        let states = start(&server, sealer(&KEY, Mode::Required, format))
            .await
            .unwrap();
        states.set(USER, &state("confirming")).await.unwrap();
        states
            .update(USER, |_: Option<State>| Some(state("confirming")))
            .await
            .unwrap();
        for text in [MARK, "confirming", "curp_rfc"] {
            assert!(!is_stored_in(&server, text), "{format:?}: {text}");
        }
        // The search finds text that is there.
        let states = start(&server, sealer(&KEY, Mode::Off, format))
            .await
            .unwrap();
        states.set(USER, &state("confirming")).await.unwrap();
        assert!(is_stored_in(&server, MARK));
    }
}

#[tokio::test]
async fn a_classic_state_opens_in_node_and_one_that_node_sealed_is_read() {
    let server = RedisServer::start();
    let states = start(&server, sealer(&KEY, Mode::On, Format::Classic))
        .await
        .unwrap();
    let mut client = server.client();

    states.set(USER, &state("confirming")).await.unwrap();
    let stored = String::from_utf8(get(&mut client, NAME).unwrap()).unwrap();
    assert_eq!(
        classic_open(&KEY, &[&stored]),
        [Some(state_json("confirming"))]
    );

    let value = state_json("collecting_data");
    let stored = classic_seal(&[ClassicSeal {
        key: &KEY,
        iv: None,
        value: &value,
    }]);
    put(&mut client, NAME, stored[0].as_bytes());
    assert_eq!(
        states.get(USER).await.unwrap(),
        Some(state("collecting_data"))
    );
}

#[tokio::test]
async fn earlier_plain_states_are_read_and_sealed_when_they_are_written() {
    let server = uncompressed_server();
    put(&mut server.client(), NAME, &state_json("showing_menu"));
    let states = start(&server, usual_sealer()).await.unwrap();
    assert_eq!(states.get(USER).await.unwrap(), Some(state("showing_menu")));
    assert!(is_stored_in(&server, MARK));
    states.update(USER, |old: Option<State>| old).await.unwrap();
    assert_eq!(states.get(USER).await.unwrap(), Some(state("showing_menu")));
    assert!(!is_stored_in(&server, MARK));
}

#[tokio::test]
async fn in_mode_required_a_plain_state_is_an_error_and_stays() {
    let server = RedisServer::start();
    put(&mut server.client(), NAME, &state_json("showing_menu"));
    let states = start(&server, sealer(&KEY, Mode::Required, Format::Sealed))
        .await
        .unwrap();
    let before = server.snapshot();

    let error = states.get::<State>(USER).await.unwrap_err();
    assert!(
        matches!(
            error,
            StateError::Open {
                error: OpenError::Plaintext,
                ..
            }
        ),
        "{error:?}"
    );
    let error = states
        .update(USER, |_: Option<State>| Some(state("x")))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            StateError::Open {
                error: OpenError::Plaintext,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(server.snapshot(), before);

    states.set(USER, &state("confirming")).await.unwrap();
    assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));
}

#[tokio::test]
async fn mode_off_writes_plain_and_still_reads_what_is_sealed() {
    let server = RedisServer::start();
    let mut client = server.client();
    for format in [Format::Classic, Format::Sealed] {
        let states = start(&server, sealer(&KEY, Mode::On, format))
            .await
            .unwrap();
        states.set(USER, &state("confirming")).await.unwrap();
        let states = start(&server, sealer(&KEY, Mode::Off, Format::Sealed))
            .await
            .unwrap();
        assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));
        states.set(USER, &state("collecting_data")).await.unwrap();
        assert_eq!(get(&mut client, NAME), Some(state_json("collecting_data")));
        assert_eq!(
            states.get(USER).await.unwrap(),
            Some(state("collecting_data"))
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_updates_lose_none() {
    for flavor in [Flavor::System, Flavor::Valkey] {
        let server = RedisServer::builder().flavor(flavor).start();
        let mut tasks = Vec::new();
        for _ in 0..20 {
            // One connection for each, as processes have.
            let states = start(&server, usual_sealer()).await.unwrap();
            tasks.push(tokio::spawn(async move {
                for _ in 0..25 {
                    let add = |old: Option<u32>| Some(old.unwrap_or(0) + 1);
                    states.update(USER, add).await.unwrap();
                }
            }));
        }
        for task in tasks {
            within_a_minute(task).await.unwrap();
        }
        let states = start(&server, usual_sealer()).await.unwrap();
        assert_eq!(
            states.get::<u32>(USER).await.unwrap(),
            Some(500),
            "{flavor:?}"
        );
    }
}

#[tokio::test]
async fn an_update_sees_what_an_outside_writer_wrote_in_between() {
    let server = RedisServer::start();
    let states = start(&server, usual_sealer()).await.unwrap();
    states.set(USER, &vec![1]).await.unwrap();
    let mut client = server.client();
    let mut seen = Vec::new();
    let change = |old: Option<Vec<u32>>| {
        seen.push(old.clone());
        match seen.len() {
            1 => put(&mut client, NAME, b"[7]"),
            2 => assert_eq!(client.cmd(&["DEL", NAME]).int(), 1),
            3 => put(&mut client, NAME, b"[8]"),
            _ => {}
        }
        let mut new = old.unwrap_or_default();
        new.push(2);
        Some(new)
    };
    assert_eq!(states.update(USER, change).await.unwrap(), Some(vec![8, 2]));
    assert_eq!(seen, [Some(vec![1]), Some(vec![7]), None, Some(vec![8])]);
    assert_eq!(states.get(USER).await.unwrap(), Some(vec![8, 2]));
}

#[tokio::test]
async fn an_update_that_never_succeeds_is_abandoned_and_changes_nothing() {
    let server = RedisServer::start();
    let states = start(&server, usual_sealer()).await.unwrap();
    let mut client = server.client();
    let mut round = 0;
    let change = |_: Option<u32>| {
        round += 1;
        put(&mut client, NAME, round.to_string().as_bytes());
        Some(0)
    };
    let error = within_a_minute(states.update(USER, change))
        .await
        .unwrap_err();
    let StateError::Contended { attempts, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(*attempts, round);
    assert_reveals_nothing(&texts_of(&error));
    assert_eq!(get(&mut client, NAME), Some(round.to_string().into_bytes()));
}

#[tokio::test]
async fn an_update_can_delete_and_can_write_nothing() {
    let server = RedisServer::start();
    let states = start(&server, usual_sealer()).await.unwrap();
    let before = server.snapshot();
    assert_eq!(
        states.update(USER, |_: Option<State>| None).await.unwrap(),
        None
    );
    assert_eq!(server.snapshot(), before);

    states.set(USER, &state("confirming")).await.unwrap();
    let finish = |old: Option<State>| {
        assert!(old.is_some());
        None
    };
    assert_eq!(states.update(USER, finish).await.unwrap(), None);
    assert_eq!(server.snapshot(), before);
}

#[tokio::test]
async fn an_empty_string_is_not_a_state_and_is_overwritten() {
    let server = RedisServer::start();
    let states = start(&server, usual_sealer()).await.unwrap();
    let mut client = server.client();
    put(&mut client, NAME, b"");
    assert_eq!(states.get::<State>(USER).await.unwrap(), None);
    assert_eq!(
        states.update(USER, |_: Option<State>| None).await.unwrap(),
        None
    );
    assert_eq!(get(&mut client, NAME), Some(Vec::new()));

    let begin = |old: Option<State>| {
        assert_eq!(old, None);
        Some(state("showing_menu"))
    };
    states.update(USER, begin).await.unwrap();
    assert_eq!(states.get(USER).await.unwrap(), Some(state("showing_menu")));
}

#[tokio::test]
async fn a_state_of_another_form_is_an_error_that_does_not_show_it() {
    let states = in_memory().await;
    states.set(USER, &state("confirming")).await.unwrap();
    let error = states.get::<u32>(USER).await.unwrap_err();
    assert!(
        matches!(error, StateError::Form { line: 1, .. }),
        "{error:?}"
    );
    assert_reveals_nothing(&texts_of(&error));

    // The parser's own message would quote this value.
    states.set(USER, MARK).await.unwrap();
    let error = states.get::<u32>(USER).await.unwrap_err();
    assert!(matches!(error, StateError::Form { .. }), "{error:?}");
    assert_reveals_nothing(&texts_of(&error));

    let error = states
        .update(USER, |_: Option<u32>| Some(1))
        .await
        .unwrap_err();
    assert!(matches!(error, StateError::Form { .. }), "{error:?}");
    assert_eq!(
        states.get::<String>(USER).await.unwrap().as_deref(),
        Some(MARK)
    );
}

#[tokio::test]
async fn text_that_is_not_json_has_another_form_and_can_be_overwritten() {
    let server = RedisServer::start();
    let states = start(&server, usual_sealer()).await.unwrap();
    put(
        &mut server.client(),
        NAME,
        format!("hola {MARK}").as_bytes(),
    );
    let before = server.snapshot();
    let error = states.get::<State>(USER).await.unwrap_err();
    assert!(
        matches!(
            error,
            StateError::Form {
                line: 1,
                column: 1,
                ..
            }
        ),
        "{error:?}"
    );
    assert_reveals_nothing(&texts_of(&error));
    assert_eq!(server.snapshot(), before);
    states.set(USER, &state("confirming")).await.unwrap();
    assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));
}

#[tokio::test]
async fn a_record_of_another_type_is_an_error_and_stays() {
    let server = RedisServer::start();
    let states = start(&server, usual_sealer()).await.unwrap();
    assert_eq!(server.client().cmd(&["RPUSH", NAME, MARK]).int(), 1);
    let before = server.snapshot();
    let error = states.get::<State>(USER).await.unwrap_err();
    assert!(
        matches!(error, StateError::Store(StoreError::WrongType)),
        "{error:?}"
    );
    assert_reveals_nothing(&texts_of(&error));
    let error = states
        .update(USER, |_: Option<State>| Some(state("x")))
        .await
        .unwrap_err();
    assert!(
        matches!(error, StateError::Store(StoreError::WrongType)),
        "{error:?}"
    );
    assert!(states.exists(USER).await.unwrap());
    assert_eq!(server.snapshot(), before);
}

#[tokio::test]
async fn a_state_that_json_cannot_represent_is_an_error_and_nothing_is_written() {
    let states = in_memory().await;
    let unwritable = BTreeMap::from([((1, 2), MARK)]);
    let error = states.set(USER, &unwritable).await.unwrap_err();
    assert!(matches!(error, StateError::Unwritable), "{error:?}");
    assert_reveals_nothing(&texts_of(&error));
    assert!(!states.exists(USER).await.unwrap());
}
