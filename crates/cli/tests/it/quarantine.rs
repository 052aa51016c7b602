//! `quarantine`: an operator handles values that an application's `StateManager` moved.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use waxseal_core::{Format, Keyring, Mode, Sealer};
use waxseal_sessions::{Options, StateManager};
use waxseal_stores::{RedisOptions, RedisStore, StoreUrl};
use waxseal_testing::RedisServer;

use crate::program::{KEY, Program};
use crate::records::{NAME, STATE, get, put, sealed};

/// A server with a damaged state that the application has read, and its bytes.
pub(crate) fn one_moved_aside() -> (RedisServer, Vec<u8>) {
    let server = RedisServer::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let stored = runtime.block_on(meet_a_damaged_state(&server));
    assert_eq!(get(&server, NAME), None);
    (server, stored)
}

async fn meet_a_damaged_state(server: &RedisServer) -> Vec<u8> {
    let StoreUrl::Redis(url) = StoreUrl::parse(&server.url()).unwrap() else {
        panic!("a server's URL");
    };
    let store = Arc::new(
        RedisStore::connect(&url, RedisOptions::default())
            .await
            .unwrap(),
    );
    let keyring = Arc::new(Keyring::from_hex(KEY, "").unwrap());
    let sealer = Sealer::new(keyring, Mode::On, Format::Sealed);
    let options = Options::default().keep_quarantined(Duration::from_secs(7200));
    let states = StateManager::start(store, sealer, options).await.unwrap();
    let mut stored = sealed(KEY, Format::Sealed, NAME, STATE.as_bytes());
    stored[60] ^= 1;
    put(server, NAME, &stored);
    assert_eq!(states.get::<Value>("5215512345678").await.unwrap(), None);
    stored
}

/// The id of the only value in quarantine.
pub(crate) fn the_id(program: &Program) -> String {
    let rows = program.run(&["quarantine", "list", "--json"]).done().json();
    let [row] = &rows.as_array().unwrap()[..] else {
        panic!("{rows}");
    };
    row["id"].as_str().unwrap().to_owned()
}

#[test]
fn list_shows_the_cause_and_the_expiry_without_the_name() {
    let (server, stored) = one_moved_aside();
    let program = Program::at(&server);
    let before = server.snapshot();
    let output = program.run(&["quarantine", "list", "--json"]).done();
    let rows = output.json();
    let row = &rows[0];
    assert!(row["record"].as_str().unwrap().starts_with("wa:#"), "{row}");
    assert_eq!(row["cause"], "Failed to decrypt Redis data");
    assert_eq!(row["size"], stored.len());
    for time in ["moved", "record_expires", "kept_until"] {
        assert!(row[time].as_str().unwrap().ends_with('Z'), "{row}");
    }
    let text = program.run(&["quarantine", "list"]).done().text();
    assert!(
        text.contains(&format!("{} bytes  moved 20", stored.len())),
        "{text}"
    );
    assert!(!text.contains("5215512345678") && !output.text().contains("5215512345678"));
    assert_eq!(server.snapshot(), before);
}

#[test]
fn list_of_an_empty_quarantine_is_empty() {
    let server = RedisServer::start();
    let output = Program::at(&server).run(&["quarantine", "list"]).done();
    assert_eq!(output.text(), "");
    assert_eq!(output.stderr, "waxseal: quarantine is empty\n");
    let json = Program::at(&server)
        .run(&["quarantine", "list", "--json"])
        .done();
    assert_eq!(json.json(), serde_json::json!([]));
}

#[test]
fn restore_moves_the_bytes_back_with_their_expiry() {
    let (server, stored) = one_moved_aside();
    let program = Program::at(&server);
    let id = the_id(&program);
    let output = program.run(&["quarantine", "restore", &id]).done();
    assert!(
        output.stderr.contains("is back in its record"),
        "{}",
        output.stderr
    );
    assert_eq!(get(&server, NAME), Some(stored));
    let ttl: i64 = server.cli(&["TTL", NAME]).parse().unwrap();
    assert!((1..=3600).contains(&ttl), "{ttl}");
    assert_eq!(program.run(&["quarantine", "list"]).done().text(), "");
}

#[test]
fn restore_never_overwrites_a_new_record() {
    let (server, _) = one_moved_aside();
    let program = Program::at(&server);
    let id = the_id(&program);
    put(&server, NAME, b"{}");
    let before = server.snapshot();
    let output = program.run(&["quarantine", "restore", &id]);
    output.failed(2, "there is a new record of that name: not overwritten");
    assert_eq!(server.snapshot(), before);
}

#[test]
fn drop_asks_for_confirmation_and_deletes_permanently() {
    let (server, _) = one_moved_aside();
    let program = Program::at(&server);
    let id = the_id(&program);
    let before = server.snapshot();
    let asked = program.run(&["quarantine", "drop", &id]);
    asked.failed(64, "would be permanently deleted\nhint: confirm with --yes");
    assert_eq!(server.snapshot(), before);
    program.run(&["quarantine", "drop", &id, "--yes"]).done();
    assert_eq!(program.run(&["quarantine", "list"]).done().text(), "");
    let left = server.snapshot();
    let names: Vec<_> = left.records().keys().cloned().collect();
    assert_eq!(names, [b"waxseal:canary".to_vec()]);
}

#[test]
fn an_unknown_id_is_reported() {
    let (server, _) = one_moved_aside();
    let program = Program::at(&server);
    for command in [&["restore", "nonsense"][..], &["drop", "nonsense", "--yes"]] {
        let output = program.run(&[&["quarantine"], command].concat());
        output.failed(2, "there is no value of this id in quarantine\nhint: ");
    }
    assert_ne!(program.run(&["quarantine", "list"]).done().text(), "");
}

#[test]
fn a_sweep_over_everything_does_not_change_quarantine_and_canary() {
    let (server, _) = one_moved_aside();
    let own = |name: &[u8]| name.starts_with(b"waxseal:");
    let before = server.snapshot();
    let program = Program::at(&server);
    let text = program.run(&["migrate", "--protect", "*"]).done().text();
    assert!(
        text.contains("{ migrated: 0, failed: 0, total: 0 }"),
        "{text}"
    );
    assert_eq!(server.snapshot().only(own), before);
}
