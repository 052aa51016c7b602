//! Backups of a server that are restored after a user was erased.

use std::path::PathBuf;

use tempfile::TempDir;
use waxseal_core::OpenError;
use waxseal_testing::{Lines, RedisServer};
use waxseal_upkeep::forget;

use crate::world::{Process, RING, World, calm, until};

const USER: &str = "someone";

/// A backup of all data of a server.
struct Backup {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Backup {
    fn of(server: &RedisServer) -> Self {
        assert_eq!(server.cli(&["SAVE"]), "OK");
        let directory = server.cli(&["CONFIG", "GET", "dir"]);
        let directory = directory.lines().nth(1).expect("a directory");
        let path = PathBuf::from(directory).join("dump.rdb");
        let bytes = std::fs::read(&path).unwrap();
        Self { path, bytes }
    }

    fn restore(&self, server: &mut RedisServer) {
        server.kill();
        std::fs::write(&self.path, &self.bytes).unwrap();
        server.restart();
    }
}

async fn erase(process: &Process) {
    let scopes = [process.scope()];
    let receipt = forget(
        USER.as_bytes(),
        &process.ring,
        process.users.as_ref(),
        &scopes,
    );
    assert!(receipt.await.unwrap().key_destroyed);
}

async fn is_shut_to(process: &Process) -> bool {
    let read = process.read_as_user(USER).await;
    assert_eq!(
        process.read_as_user("another").await.as_deref(),
        Ok("a state")
    );
    matches!(read, Err(OpenError::Erased { .. }))
}

async fn write_both(process: &Process) {
    for user in [USER, "another"] {
        process.write_as_user(user, "a state").await;
        assert_eq!(process.read_as_user(user).await.as_deref(), Ok("a state"));
    }
}

#[tokio::test]
async fn a_value_that_is_restored_after_the_erasure_of_its_user_does_not_open() {
    let world = World::new();
    world.init(calm()).await;
    let (one, two) = (world.process(true).await, world.process(true).await);
    write_both(&one).await;
    let value = one.stored(USER).await;
    let record = one.keys().record_name(USER.as_bytes());
    let key = world
        .server
        .client()
        .cmd(&["GET", &record])
        .bytes()
        .unwrap();
    erase(&one).await;
    one.put(USER, &value).await;
    two.ring.refresh().await.unwrap();
    for process in [&one, &two, &world.process(true).await] {
        assert!(is_shut_to(process).await, "the value alone");
    }
    let mut client = world.server.client();
    client.cmd(&[b"SET".as_slice(), record.as_bytes(), &key]);
    for process in [&one, &two, &world.process(true).await] {
        assert!(is_shut_to(process).await, "the value and the key");
    }
    client.cmd(&["DEL", &record]);
    for process in [&one, &two, &world.process(true).await] {
        assert!(
            is_shut_to(process).await,
            "the value, and no record of a key"
        );
    }
    // The user returns, and the restored values stay closed.
    two.write_as_user(USER, "back again").await;
    for process in [&one, &two, &world.process(true).await] {
        assert_eq!(
            process.read_as_user(USER).await.as_deref(),
            Ok("back again")
        );
        let opened = process.open_as_user(USER, &value).await;
        assert!(matches!(opened, Err(OpenError::Erased { .. })));
    }
}

#[tokio::test]
async fn a_backup_of_values_and_user_keys_restores_no_erased_user_if_the_ring_is_elsewhere() {
    let mut world = World::new().with_ring_apart();
    world.init(calm()).await;
    let (one, two) = (world.process(true).await, world.process(true).await);
    write_both(&one).await;
    let backup = Backup::of(&world.server);
    erase(&one).await;
    backup.restore(&mut world.server);
    two.ring.refresh().await.unwrap();
    for process in [&one, &two, &world.process(true).await] {
        assert!(is_shut_to(process).await);
        assert!(!process.stored(USER).await.is_empty(), "it is there");
    }
}

#[tokio::test]
async fn a_backup_with_the_ring_restores_no_erased_user_under_running_processes() {
    let mut world = World::new();
    world.init(calm()).await;
    let (one, two) = (world.process(true).await, world.process(true).await);
    write_both(&one).await;
    let backup = Backup::of(&world.server);
    erase(&one).await;
    two.ring.refresh().await.unwrap();
    let newest = world.server.cli(&["GET", RING]);
    let (lines, _guard) = Lines::capture(tracing::Level::INFO);
    backup.restore(&mut world.server);
    for process in [&one, &two] {
        until("it has its connection again", async || {
            process.store.ping().await.is_ok()
        })
        .await;
        process.ring.refresh().await.unwrap();
        assert!(is_shut_to(process).await);
    }
    until("the ring is put back", async || {
        world.server.cli(&["GET", RING]) == newest
    })
    .await;
    let text = lines.take();
    assert!(
        text.contains("was rolled back") && text.contains("PUT BACK"),
        "{text}"
    );
    // A process that starts now finds the ledger.
    for process in [&one, &two, &world.process(true).await] {
        assert!(is_shut_to(process).await);
    }
}

#[tokio::test]
async fn a_backup_with_the_ring_restores_no_erased_user_if_there_is_a_cached_copy() {
    let mut world = World::new();
    world.init(calm()).await;
    let directory = TempDir::new().unwrap();
    let copy = directory.path().join("copy");
    let start = || world.start().per_user().copy(&copy);
    let (backup, newest) = {
        let one = world.process_with(start()).await;
        write_both(&one).await;
        let backup = Backup::of(&world.server);
        erase(&one).await;
        (backup, world.server.cli(&["GET", RING]))
    };
    let start = start();
    backup.restore(&mut world.server);
    assert_ne!(world.server.cli(&["GET", RING]), newest);
    let (lines, _guard) = Lines::capture(tracing::Level::INFO);
    let process = world.process_with(start).await;
    assert!(is_shut_to(&process).await);
    assert_eq!(world.server.cli(&["GET", RING]), newest);
    let text = lines.take();
    assert!(
        text.contains("was rolled back") && text.contains("PUT BACK"),
        "{text}"
    );
}
