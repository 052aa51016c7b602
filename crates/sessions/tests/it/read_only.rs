//! Stores that refuse writes: reads work, quarantine is off, and nothing is changed.

use std::sync::Arc;

use waxseal_core::{Format, OpenError};
use waxseal_sessions::{OnRefused, Options, StateError, StateManager};
use waxseal_stores::{RecordStore, RedisOptions, StoreError};
use waxseal_testing::{Client, RedisServer};

use crate::guards::CANARY;
use crate::*;

/// Reads work, quarantine is off, and a write is a clear error; nothing is changed.
async fn assert_reads_only(server: &RedisServer, store: Arc<dyn RecordStore>, writes: &str) {
    let options = Options::default().on_refused(OnRefused::Quarantine);
    let before = server.snapshot();
    let states = StateManager::start(store, usual_sealer(), options)
        .await
        .unwrap();
    assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));
    assert!(states.exists(USER).await.unwrap());

    let error = states.get::<State>("damaged").await.unwrap_err();
    assert!(
        matches!(
            error,
            StateError::Open {
                error: OpenError::Refused,
                ..
            }
        ),
        "{error:?}"
    );
    assert_reveals_nothing(&texts_of(&error));

    let error = states.set(USER, &state("x")).await.unwrap_err();
    assert!(error.to_string().starts_with(writes), "{error}");
    assert_reveals_nothing(&texts_of(&error));
    let error = states
        .update(USER, |old: Option<State>| old)
        .await
        .unwrap_err();
    assert!(error.to_string().starts_with(writes), "{error}");
    let error = states.clear(USER).await.unwrap_err();
    assert!(error.to_string().starts_with(writes), "{error}");
    assert_eq!(server.snapshot(), before);
}

pub(crate) fn put_a_good_and_a_damaged_one(client: &mut Client) {
    put(
        client,
        NAME,
        &sealed(&KEY, Format::Sealed, NAME, &state_json("confirming")),
    );
    let mut damaged = sealed(
        &KEY,
        Format::Sealed,
        "wa:damaged",
        &state_json("confirming"),
    );
    *damaged.last_mut().unwrap() ^= 1;
    put(client, "wa:damaged", &damaged);
}

#[tokio::test]
async fn a_user_who_may_only_read_can_read() {
    let server = RedisServer::builder()
        .user_acl("user support on >pw ~* +@read +ping")
        .start();
    put_a_good_and_a_damaged_one(&mut server.client());
    let url = server.url().replace("redis://", "redis://support:pw@");
    for canary in [false, true] {
        if canary {
            start(&server, usual_sealer()).await.unwrap();
        }
        assert_eq!(server.snapshot().get(CANARY).is_some(), canary);
        let store = connect_with(&url, RedisOptions::default()).await;
        assert_reads_only(&server, store, "the store refuses access (NOPERM)").await;
    }
}

#[tokio::test]
async fn a_replica_can_be_read() {
    let primary = RedisServer::start();
    put_a_good_and_a_damaged_one(&mut primary.client());
    let replica = RedisServer::builder().replica_of(&primary).start();
    for canary in [false, true] {
        if canary {
            start(&primary, usual_sealer()).await.unwrap();
        }
        replica.wait_for_replica_link(&primary);
        assert_eq!(replica.snapshot().get(CANARY).is_some(), canary);
        let store = connect(&replica).await;
        assert_reads_only(&replica, store, "the store accepts no writes (READONLY)").await;
    }
}

#[tokio::test]
async fn a_full_server_can_be_read() {
    let server = RedisServer::start();
    put_a_good_and_a_damaged_one(&mut server.client());
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let states = start(&server, usual_sealer()).await.unwrap();
    assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));
    let error = states.set(USER, &state("x")).await.unwrap_err();
    assert!(
        matches!(error, StateError::Store(StoreError::Full { .. })),
        "{error:?}"
    );
    assert_refused_and_not_moved(&server, &states).await;

    // There is memory again, and the key stays unchecked until the next start.
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_refused_and_not_moved(&server, &states).await;
    let states = start(&server, usual_sealer()).await.unwrap();
    assert_eq!(states.get::<State>("damaged").await.unwrap(), None);
    assert_eq!(server.cli(&["EXISTS", "wa:damaged"]), "0");
}

async fn assert_refused_and_not_moved(server: &RedisServer, states: &StateManager) {
    let before = server.snapshot();
    let error = states.get::<State>("damaged").await.unwrap_err();
    assert!(
        matches!(
            error,
            StateError::Open {
                error: OpenError::Refused,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(server.snapshot(), before);
}
