//! `decrypt`: writes everything in plaintext, to stop using Waxseal.

use waxseal_testing::RedisServer;

use crate::program::{KEY, OLD_KEY, Program};
use crate::records::{expiries, server_with_states, stored_states};

/// Records that the application knows of: all but Waxseal's own.
fn its_records(name: &[u8]) -> bool {
    !name.starts_with(b"waxseal:")
}

#[test]
fn asks_for_confirmation_and_changes_nothing_without() {
    let server = server_with_states(42);
    let program = Program::at(&server);
    program.run(&["migrate"]).done();
    let before = server.snapshot();
    let output = program
        .run(&["decrypt"])
        .failed(64, "all values would be stored in plaintext");
    assert!(output.stderr.contains("hint: confirm with --yes"));
    assert_eq!(output.text(), "");
    assert_eq!(server.snapshot(), before);
}

#[test]
fn restores_every_byte_and_keeps_every_expiry() {
    for format in ["classic", "sealed"] {
        let server = server_with_states(500);
        let before = server.snapshot();
        let program = Program::at(&server);
        program.run(&["migrate", "--format", format]).done();
        let output = program.run(&["decrypt", "--yes"]).done();
        assert_eq!(
            output.text(),
            "Starting Redis decryption\n\
             Redis connection verified\n\
             Decrypting WhatsApp state data...\n\
             WhatsApp state decryption completed { decrypted: 500, failed: 0, total: 500 }\n\
             Decryption completed { totalDecrypted: 500, totalFailed: 0, success: true }\n"
        );
        assert_eq!(server.snapshot().only(its_records), before);
        // Another client reads JSON again.
        for stored in stored_states(&server, 500) {
            serde_json::from_slice::<serde_json::Value>(&stored.unwrap()).unwrap();
        }
    }
}

#[test]
fn restores_hashes_and_lists() {
    let server = RedisServer::start();
    server.cli(&["HSET", "wa:hash", "a", "[1]", "b", "[2]"]);
    server.cli(&["RPUSH", "wa:list", "[1]", "[2]", ""]);
    let program = Program::at(&server);
    program.run(&["migrate", "--format", "sealed"]).done();
    assert_ne!(server.cli(&["HGET", "wa:hash", "a"]), "[1]");
    program.run(&["decrypt", "--yes"]).done();
    assert_eq!(server.cli(&["HMGET", "wa:hash", "a", "b"]), "[1]\n[2]");
    assert_eq!(server.cli(&["LRANGE", "wa:list", "0", "-1"]), "[1]\n[2]\n");
}

#[test]
fn a_dry_run_needs_no_confirmation_and_writes_nothing() {
    let server = server_with_states(42);
    let program = Program::at(&server);
    program.run(&["migrate"]).done();
    let before = server.snapshot();
    let text = program.run(&["decrypt", "--dry-run"]).done().text();
    assert!(
        text.contains("{ decrypted: 42, failed: 0, total: 42 }"),
        "{text}"
    );
    assert_eq!(server.snapshot(), before);
}

#[test]
fn opens_values_under_previous_keys_as_well() {
    let server = server_with_states(42);
    let before = expiries(&server);
    Program::at(&server)
        .keys(OLD_KEY, "")
        .run(&["migrate"])
        .done();
    let program = Program::at(&server).keys(KEY, OLD_KEY);
    let text = program.run(&["decrypt", "--yes"]).done().text();
    assert!(
        text.contains("{ decrypted: 42, failed: 0, total: 42 }"),
        "{text}"
    );
    assert!(
        stored_states(&server, 42)
            .into_iter()
            .flatten()
            .all(|it| it.starts_with(b"{"))
    );
    assert_eq!(expiries(&server), before);
}

#[test]
fn writes_no_canary_if_there_was_none() {
    let server = server_with_states(3);
    Program::at(&server).run(&["decrypt", "--yes"]).done();
    assert_eq!(server.cli(&["EXISTS", "waxseal:canary"]), "0");
}

#[test]
fn the_canary_is_deleted_with_the_last_sealed_record() {
    let server = server_with_states(10);
    server.cli(&["SET", "sess:1", "plain"]);
    let program = Program::at(&server);
    let both = ["--protect", "wa:*", "--protect", "sess:*"];
    program.run(&[&["migrate"][..], &both].concat()).done();
    let output = program
        .run(&["decrypt", "--yes", "--protect", "sess:*"])
        .done();
    assert!(output.stderr.contains("still sealed"));
    assert_eq!(server.cli(&["EXISTS", "waxseal:canary"]), "1");
    program.run(&["decrypt", "--yes"]).done();
    assert_eq!(server.cli(&["EXISTS", "waxseal:canary"]), "0");
    // Another key can be used now.
    let next = Program::at(&server).keys(OLD_KEY, "");
    next.run(&["migrate"]).done();
}
