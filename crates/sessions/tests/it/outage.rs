//! Servers that stop under a running application, and return.

use std::time::Duration;

use waxseal_sessions::{Options, StateError, StateManager};
use waxseal_stores::{RedisOptions, StoreError};
use waxseal_testing::RedisServer;

use crate::*;

fn short_timeouts() -> RedisOptions {
    RedisOptions {
        connect_timeout: Duration::from_millis(500),
        response_timeout: Duration::from_millis(500),
        retries: 2,
        first_pause: Duration::from_millis(10),
    }
}

async fn start_with_short_timeouts(server: &RedisServer) -> StateManager {
    let store = connect_with(&server.url(), short_timeouts()).await;
    StateManager::start(store, usual_sealer(), Options::default())
        .await
        .unwrap()
}

#[track_caller]
fn assert_unavailable(error: &StateError) {
    assert!(
        matches!(error, StateError::Store(StoreError::Unavailable { .. })),
        "{error:?}"
    );
    assert_reveals_nothing(&texts_of(error));
}

async fn assert_everything_is_unavailable(states: &StateManager) {
    assert_unavailable(
        &within_a_minute(states.get::<State>(USER))
            .await
            .unwrap_err(),
    );
    assert_unavailable(
        &within_a_minute(states.set(USER, &state("confirming")))
            .await
            .unwrap_err(),
    );
    let change = |old: Option<State>| old;
    assert_unavailable(
        &within_a_minute(states.update(USER, change))
            .await
            .unwrap_err(),
    );
    assert_unavailable(&within_a_minute(states.exists(USER)).await.unwrap_err());
    assert_unavailable(&within_a_minute(states.clear(USER)).await.unwrap_err());
}

async fn assert_recovers(states: &StateManager) {
    let back = async {
        loop {
            match states.get::<State>(USER).await {
                Ok(found) => return found,
                Err(error) => assert_unavailable(&error),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert_eq!(within_a_minute(back).await, Some(state("showing_menu")));
    states
        .update(USER, |_: Option<State>| Some(state("confirming")))
        .await
        .unwrap();
    assert_eq!(states.get(USER).await.unwrap(), Some(state("confirming")));
}

#[tokio::test]
async fn a_server_that_dies_is_unavailable_and_works_again_after_its_restart() {
    let mut server = RedisServer::builder().append_only().start();
    let states = start_with_short_timeouts(&server).await;
    states.set(USER, &state("showing_menu")).await.unwrap();
    server.kill();
    assert_everything_is_unavailable(&states).await;
    server.restart();
    assert_recovers(&states).await;
}

#[tokio::test]
async fn a_server_that_stops_answering_is_unavailable_and_works_again_when_it_resumes() {
    let server = RedisServer::start();
    let states = start_with_short_timeouts(&server).await;
    states.set(USER, &state("showing_menu")).await.unwrap();
    server.stop_process();
    assert_unavailable(
        &within_a_minute(states.get::<State>(USER))
            .await
            .unwrap_err(),
    );
    let change = |old: Option<State>| old;
    assert_unavailable(
        &within_a_minute(states.update(USER, change))
            .await
            .unwrap_err(),
    );
    server.continue_process();
    assert_recovers(&states).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_under_updates_loses_none_that_was_acknowledged() {
    let mut server = RedisServer::builder().append_only().start();
    let states = start_with_short_timeouts(&server).await;
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let states = states.clone();
        tasks.push(tokio::spawn(async move {
            let mut acknowledged = 0;
            loop {
                match states
                    .update(USER, |old: Option<u32>| Some(old.unwrap_or(0) + 1))
                    .await
                {
                    Ok(_) => acknowledged += 1,
                    Err(error) => {
                        assert_unavailable(&error);
                        return acknowledged;
                    }
                }
            }
        }));
    }
    let first_ones = async {
        while states.get::<u32>(USER).await.unwrap() < Some(20) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    within_a_minute(first_ones).await;
    server.kill();
    let mut acknowledged = 0;
    for task in tasks {
        acknowledged += within_a_minute(task).await.unwrap();
    }
    server.restart();
    let written = start_with_short_timeouts(&server)
        .await
        .get::<u32>(USER)
        .await
        .unwrap()
        .unwrap();
    // A request without an answer may have been carried out, once for each task.
    assert!(
        (acknowledged..=acknowledged + 8).contains(&written),
        "{written} of {acknowledged}"
    );
}
