//! The checks of a proxy before it starts, and its wait for the store.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use waxseal_keys::{Document, Settings};
use waxseal_service::Failure;
use waxseal_service::configuration::Flags;
use waxseal_service::proxy::{self, UpkeepTask};
use waxseal_service::resources::Resources;
use waxseal_service::resources::keyring::document_store;
use waxseal_testing::RedisServer;
use waxseal_upkeep::{Leader, Leadership};

use super::{KEY, World, put_state};

const STATES: &str = "[[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\n";

fn read(flags: &Flags) -> Resources {
    Resources::read(flags).unwrap()
}

fn at(world: &World, url: &str) -> Flags {
    Flags {
        store: Some(url.to_owned()),
        ..world.flags()
    }
}

#[test]
fn a_proxy_needs_patterns_and_a_key_or_the_mode_off() {
    let key = format!("REDIS_ENCRYPTION_KEY={KEY}\n");
    let refusal = |world: &World, names_patterns| {
        let checked = proxy::check(&read(&world.flags()), names_patterns);
        checked.err().map(|failure| failure.text().to_owned())
    };
    let world = World::new("", &key);
    assert_eq!(
        refusal(&world, false).as_deref(),
        Some("no record is protected")
    );
    assert_eq!(refusal(&world, true), None);
    assert_eq!(refusal(&World::new(STATES, &key), false), None);

    let required = World::new(STATES, "ENABLE_REDIS_ENCRYPTION=true\n");
    let text = refusal(&required, false).unwrap();
    assert!(text.contains("no encryption key is configured"), "{text}");
    assert!(refusal(&World::new(STATES, ""), false).is_some());
    let off = World::new(STATES, "ENABLE_REDIS_ENCRYPTION=false\n");
    assert_eq!(refusal(&off, false), None);
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_is_waited_for() {
    let world = World::new(STATES, &format!("REDIS_ENCRYPTION_KEY={KEY}\n"));
    let mut server = RedisServer::start();
    server.kill();
    let attempted = Arc::new(Notify::new());
    let mut resources = read(&at(&world, &server.url()));
    let waiting = tokio::spawn({
        let attempted = attempted.clone();
        async move {
            let mut attempts = 0;
            let waiting = |failure: &Failure| {
                assert!(failure.is_transient());
                attempts += 1;
                attempted.notify_one();
            };
            let ended = proxy::wait_for_store(&mut resources, false, waiting).await;
            (ended, attempts, resources)
        }
    });
    attempted.notified().await;
    assert!(!waiting.is_finished());
    server.restart();
    let (ended, attempts, resources) = waiting.await.unwrap();
    ended.unwrap();
    assert!(attempts >= 1);
    assert!(proxy::protection(&resources, false, None).is_ok());
}

#[tokio::test]
async fn another_key_and_a_trial_over_sealed_values_are_not_waited_for() {
    let server = RedisServer::start();
    let world = World::new(STATES, &format!("REDIS_ENCRYPTION_KEY={KEY}\n"));
    let resources = read(&at(&world, &server.url()));
    put_state(&resources).await;

    let other = KEY.replace('6', "7");
    let other = World::new(STATES, &format!("REDIS_ENCRYPTION_KEY={other}\n"));
    let mut resources = read(&at(&other, &server.url()));
    let refused = proxy::wait_for_store(&mut resources, false, |failure| panic!("{failure:?}"));
    assert!(!refused.await.unwrap_err().is_transient());

    let mut resources = read(&at(&world, &server.url()));
    resources.configuration.begin_trial();
    let refused = proxy::wait_for_store(&mut resources, true, |failure| panic!("{failure:?}"));
    let text = refused.await.unwrap_err().text().to_owned();
    assert!(
        text.starts_with("values under wa:* are sealed already"),
        "{text}"
    );
}

#[tokio::test]
async fn the_start_is_recorded_once_for_each_mode() {
    let world = World::with_key(STATES);
    let start = || proxy::record_start(&read(&world.flags_with_store())).unwrap();
    start();
    start();
    world.write(
        "variables",
        &format!("REDIS_ENCRYPTION_KEY={KEY}\nENABLE_REDIS_ENCRYPTION=required\n"),
    );
    start();
    let modes: Vec<_> = world
        .entries()
        .into_iter()
        .map(|it| it[3]["to"].clone())
        .collect();
    assert_eq!(modes, ["on", "required"]);
}

#[tokio::test]
async fn the_upkeep_beside_a_proxy_gives_up_the_lease_when_it_ends() {
    let server = RedisServer::start();
    let world = World::with_keyring(STATES);
    world.create_keyring(Settings::default()).await;
    let resources = Resources::open(&at(&world, &server.url())).await.unwrap();
    let documents = document_store(resources.configuration.keyring().unwrap()).unwrap();
    let task = UpkeepTask::begin(&resources).await.unwrap();
    while documents.read(&Document::Leader).await.unwrap().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    task.end().await;
    let ring = resources.opened_ring().unwrap().ring.clone();
    let next = Leader::new(ring, "keeper").poll().await.unwrap();
    assert!(matches!(next, Leadership::Leader { .. }));

    // Without a keyring there is nothing to do.
    let world = World::new(STATES, &format!("REDIS_ENCRYPTION_KEY={KEY}\n"));
    let resources = read(&at(&world, &server.url()));
    UpkeepTask::begin(&resources).await.unwrap().end().await;
}
