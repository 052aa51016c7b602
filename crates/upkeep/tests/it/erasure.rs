//! Keys of users in records, and erased users: whatever is lost or dies meanwhile.

use std::time::Duration;

use serde_json::{Map, Value};
use waxseal_core::{Format, Mode, OpenError, Sealer};
use waxseal_keys::{CacheLookup, Receipt, Signed, UserKeyError};
use waxseal_sessions::{OnRefused, Options, StateError, StateManager};
use waxseal_stores::RecordPattern;
use waxseal_testing::RedisServer;
use waxseal_upkeep::{ScopeHandle, UpkeepError, find_traces, forget};

use crate::world::{Process, Start, World, calm, key_of, name, until};

async fn erase(process: &Process, user: &str) -> Result<Receipt, UpkeepError> {
    let (user, scopes) = (user.as_bytes(), [process.scope()]);
    forget(user, &process.ring, process.users.as_ref(), &scopes).await
}

fn is_erased<T>(opened: &Result<T, OpenError>) -> bool {
    matches!(opened, Err(OpenError::Erased { .. }))
}

async fn exists(process: &Process, user: &str) -> bool {
    let found = process.store.read(&[name(user)]).await.unwrap();
    found[0].is_some()
}

async fn manager(process: &Process, on_refused: OnRefused) -> StateManager {
    let options = Options::default()
        .on_refused(on_refused)
        .ring(process.ring.clone())
        .user_keys(process.keys().clone());
    let sealer = Sealer::new(process.ring.keyring(), Mode::Required, Format::Sealed);
    let manager = StateManager::start(process.store.clone(), sealer, options);
    manager.await.unwrap()
}

#[tokio::test]
async fn a_value_whose_user_key_was_lost_is_reported_and_kept_and_a_new_session_gets_a_new_key() {
    let world = World::new();
    world.init(calm()).await;
    let writer = world.process(true).await;
    let states = manager(&writer, OnRefused::Error).await;
    states.set("someone", "a state").await.unwrap();
    let stored = writer.stored("someone").await;
    let record = writer.keys().record_name(b"someone");
    assert_eq!(world.server.cli(&["DEL", &record]), "1");

    let other = world.process(true).await;
    let states = manager(&other, OnRefused::Error).await;
    let found = states.get::<String>("someone").await;
    let unknown = OpenError::UnknownKey {
        id: key_of(&stored),
    };
    assert!(
        matches!(&found, Err(StateError::Open { error, .. }) if *error == unknown),
        "{found:?}"
    );
    assert_eq!(other.stored("someone").await, stored);
    assert_eq!(
        world.server.cli(&["EXISTS", &record]),
        "0",
        "reading makes no key"
    );

    states.set("someone", "a new state").await.unwrap();
    assert_ne!(other.key_of("someone").await, key_of(&stored));
    let third = manager(&world.process(true).await, OnRefused::Error).await;
    let found: Option<String> = third.get("someone").await.unwrap();
    assert_eq!(found.as_deref(), Some("a new state"));
}

#[tokio::test]
async fn a_write_under_a_cached_key_after_the_erasure_lands_and_is_unreadable_once_the_cache_is_old()
 {
    let world = World::new();
    world.init(calm()).await;
    let eraser = world.process(true).await;
    let start = world.start().per_user();
    let writer = world
        .process_with(Start {
            bounds: waxseal_keys::CacheBounds {
                users: 100,
                age: Duration::from_secs(2),
            },
            ..start
        })
        .await;
    writer.write_as_user("someone", "before").await;
    let receipt = erase(&eraser, "someone").await.unwrap();
    assert!(receipt.key_destroyed);
    assert_eq!(receipt.records_deleted, 1);
    // The session continues in another process, which has cached the key.
    writer.write_as_user("someone", "while it was erased").await;
    assert!(exists(&writer, "someone").await);
    assert!(is_erased(&eraser.read_as_user("someone").await));
    until("the cached key is too old", async || {
        matches!(writer.keys().cached(b"someone"), CacheLookup::Unknown)
    })
    .await;
    assert!(is_erased(&writer.read_as_user("someone").await));
    let lost = writer.stored("someone").await;
    writer.write_as_user("someone", "back again").await;
    for process in [&eraser, &writer, &world.process(true).await] {
        let read = process.read_as_user("someone").await;
        assert_eq!(read.as_deref(), Ok("back again"));
        assert!(is_erased(&process.open_as_user("someone", &lost).await));
    }
}

#[tokio::test]
async fn a_process_that_does_not_know_of_an_erasure_creates_a_valid_key() {
    let world = World::new();
    let mut rare_polls = calm();
    rare_polls.refresh_ms = 60 * 60_000;
    world.init(rare_polls).await;
    let (eraser, stale) = (world.process(true).await, world.process(true).await);
    eraser.write_as_user("someone", "before").await;
    for _ in 0..3 {
        erase(&eraser, "someone").await.unwrap();
    }
    let hash = stale.ring.ring().user(b"someone");
    assert!(stale.ring.ring().erasure(&hash).is_none());
    stale.write_as_user("someone", "back again").await;
    for process in [&eraser, &stale, &world.process(true).await] {
        let read = process.read_as_user("someone").await;
        assert_eq!(read.as_deref(), Ok("back again"));
    }
}

#[tokio::test]
async fn a_user_can_be_erased_twice_or_without_a_key_and_each_time_there_is_a_receipt() {
    let world = World::new();
    world.init(calm()).await;
    let process = world.process(true).await;
    process.write_as_user("someone", "a state").await;
    process.write_as_user("another", "a state").await;
    let expected = [
        ("someone", true, 1, 1),
        // The key was destroyed by the first run.
        ("someone", true, 0, 2),
        ("unknown", false, 0, 1),
        ("unknown", false, 0, 2),
    ];
    for (user, key_destroyed, records_deleted, erasure) in expected {
        let receipt = erase(&process, user).await.unwrap();
        assert_eq!(receipt.key_destroyed, key_destroyed, "{user}");
        assert_eq!(receipt.records_deleted, records_deleted, "{user}");
        assert_eq!(receipt.erasure, erasure, "{user}");
        assert!(!exists(&process, user).await);
        let signer = process.ring.ring().receipt_key();
        let bytes = serde_json::to_vec(&receipt).unwrap();
        assert_eq!(Receipt::verify(&bytes, Some(&signer)).unwrap(), receipt);
    }
    let read = process.read_as_user("another").await;
    assert_eq!(read.as_deref(), Ok("a state"));
    // A user who had no key and was erased can start.
    process.write_as_user("unknown", "a state").await;
    let read = process.read_as_user("unknown").await;
    assert_eq!(read.as_deref(), Ok("a state"));
}

/// The receipt with one part changed, removed or added.
fn forgeries(receipt: &Map<String, Value>) -> Vec<(String, Map<String, Value>)> {
    let mut forged = Vec::new();
    for (part, value) in receipt {
        let other = match value {
            Value::Bool(it) => Value::Bool(!it),
            Value::Number(it) => Value::from(it.as_u64().unwrap() + 1),
            Value::String(it) => {
                let first = if it.starts_with('a') { "b" } else { "a" };
                Value::String(format!("{first}{}", &it[1..]))
            }
            other => panic!("{other}"),
        };
        let mut changed = receipt.clone();
        changed.insert(part.clone(), other);
        forged.push((format!("{part} changed"), changed));
        let mut without = receipt.clone();
        without.remove(part);
        forged.push((format!("{part} left out"), without));
    }
    let mut more = receipt.clone();
    more.insert("remark".to_owned(), Value::from("none"));
    forged.push(("one part more".to_owned(), more));
    forged
}

#[tokio::test]
async fn a_receipt_verifies_and_does_not_with_any_part_changed() {
    let world = World::new();
    world.init(calm()).await;
    let process = world.process(true).await;
    process.write_as_user("someone", "a state").await;
    let receipt = erase(&process, "someone").await.unwrap();
    let signer = process.ring.ring().receipt_key();
    let text = serde_json::to_string(&receipt).unwrap();
    assert!(!text.contains("someone"));
    assert_eq!(receipt.store, process.store.location());
    assert!(Receipt::verify(text.as_bytes(), Some(&signer)).is_ok());
    let parts: Map<String, Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(parts.len(), 12);
    for (what, forged) in forgeries(&parts) {
        let bytes = serde_json::to_vec(&forged).unwrap();
        assert!(Receipt::verify(&bytes, Some(&signer)).is_err(), "{what}");
        assert!(Receipt::verify(&bytes, None).is_err(), "{what}");
    }
    // Signed correctly, by the key of another ring.
    let others = World::new();
    let stranger = receipt.signed(&others.init(calm()).await);
    let bytes = serde_json::to_vec(&stranger).unwrap();
    assert!(Receipt::verify(&bytes, None).is_ok());
    assert!(Receipt::verify(&bytes, Some(&signer)).is_err());
}

#[tokio::test]
async fn an_erasure_during_which_the_server_dies_is_finished_by_running_it_again() {
    let server = RedisServer::builder().append_only().start();
    let mut world = World::on(server).with_ring_apart();
    world.init(calm()).await;
    let process = world.process(true).await;
    process.write_as_user("someone", "a state").await;
    process.write_as_user("another", "a state").await;
    world.server.kill();
    let error = erase(&process, "someone").await.unwrap_err();
    let transient = matches!(&error, UpkeepError::Users(it) if it.is_transient());
    assert!(transient, "{error}");
    assert!(!error.to_string().contains("someone"));
    let hash = process.ring.ring().user(b"someone");
    assert_eq!(process.ring.ring().erasure(&hash).unwrap().epoch, 1);

    world.server.restart();
    // The key and the value still exist, and the ledger prevents their use.
    assert!(exists(&process, "someone").await);
    for reader in [&process, &world.process(true).await] {
        assert!(is_erased(&reader.read_as_user("someone").await));
    }
    let receipt = erase(&process, "someone").await.unwrap();
    assert!(receipt.key_destroyed);
    assert_eq!((receipt.records_deleted, receipt.erasure), (1, 2));
    assert!(!exists(&process, "someone").await);
    let read = process.read_as_user("another").await;
    assert_eq!(read.as_deref(), Ok("a state"));
}

#[tokio::test]
async fn a_record_that_is_not_a_user_key_is_reported_and_deleted_only_with_its_user() {
    let world = World::new();
    world.init(calm()).await;
    let process = world.process(true).await;
    let record = process.keys().record_name(b"someone");
    world.server.cli(&["SET", &record, "hello"]);
    let created = process.keys().read_or_create(&[b"someone"]).await;
    assert!(matches!(created, Err(UserKeyError::Record { .. })));
    assert_eq!(world.server.cli(&["GET", &record]), "hello");
    // The key of another user, moved there.
    let other = process.keys().record_name(b"another");
    process.write_as_user("another", "a state").await;
    world.server.cli(&["COPY", &other, &record, "REPLACE"]);
    let read = process.keys().reread(&[b"someone"]).await;
    assert!(matches!(read, Err(UserKeyError::Record { .. })));
    process.write("someone", "under the ring").await;
    let receipt = erase(&process, "someone").await.unwrap();
    assert!(receipt.key_destroyed);
    assert!(!exists(&process, "someone").await);
    process.write_as_user("someone", "back again").await;
    let read = process.read_as_user("someone").await;
    assert_eq!(read.as_deref(), Ok("back again"));
}

#[tokio::test]
async fn all_records_of_a_user_are_erased_where_a_pattern_has_other_wildcards() {
    let world = World::new();
    world.init(calm()).await;
    let process = world.process(true).await;
    let theirs = [
        "wa:{tag}:1:cart",
        "wa:{tag}:1:",
        "wa:{tag}:1:2:x",
        "wa:{tag}:1:lock",
    ];
    let others = [
        "wa:{tag}:12:cart",
        "wa:{tag}:2:1",
        "wa:{tag}:*:cart",
        "wa:1:cart",
    ];
    for name in theirs.iter().chain(&others) {
        world.server.cli(&["SET", name, "a"]);
    }
    // A quarantined value of a deleted record is the user's as well.
    let quarantined = "waxseal:quarantine:{wa:{tag}:1:gone}:19a1b2c3";
    let of_others = "waxseal:quarantine:{wa:{tag}:2:gone}:19a1b2c3";
    for name in [quarantined, of_others] {
        world.server.cli(&["SET", name, "a"]);
    }
    let pattern = RecordPattern::parse("wa:\\{tag\\}:{user}:*").unwrap();
    let scope = ScopeHandle {
        pattern: pattern.except(&["wa:*:lock"]).unwrap(),
        ..process.scope()
    };
    let scopes = [scope];
    let found = find_traces(b"1", &process.ring, process.users.as_ref(), &scopes)
        .await
        .unwrap();
    assert_eq!((found.records, found.quarantined), (4, 1));
    let receipt = forget(b"1", &process.ring, process.users.as_ref(), &scopes)
        .await
        .unwrap();
    assert_eq!(receipt.records_deleted, 5);
    let left = |name: &&str| world.server.cli(&["EXISTS", name]) == "1";
    assert!(!theirs.iter().any(left) && others.iter().all(left));
    assert!(!left(&quarantined) && left(&of_others));
    // A user whose name looks like a wildcard is not a wildcard.
    let receipt = forget(b"*", &process.ring, process.users.as_ref(), &scopes)
        .await
        .unwrap();
    assert_eq!(receipt.records_deleted, 1);
    assert!(left(&"wa:{tag}:12:cart") && !left(&"wa:{tag}:*:cart"));
}
