//! `rotate`: reseals everything under older keys under the sealing key.

use waxseal_core::Format;

use crate::program::{KEY, OLD_KEY, OTHER_KEY, Program};
use crate::records::{
    NAME, STATE, assert_states_sealed, expiries, get, put, sealed, server_with_states,
};

/// A server whose states are sealed under the old key.
fn sealed_under_the_old_key(count: u64, format: &str) -> waxseal_testing::RedisServer {
    let server = server_with_states(count);
    let program = Program::at(&server).keys(OLD_KEY, "");
    program.run(&["migrate", "--format", format]).done();
    server
}

#[test]
fn reseals_everything_under_the_new_key_and_keeps_every_expiry() {
    for (word, format) in [("classic", Format::Classic), ("sealed", Format::Sealed)] {
        let server = sealed_under_the_old_key(500, word);
        let before = expiries(&server);
        assert_states_sealed(&server, 500, OLD_KEY, format);
        let program = Program::at(&server).keys(KEY, OLD_KEY);
        let output = program.run(&["rotate"]).done();
        assert_eq!(
            output.text(),
            "Starting Redis key rotation\n\
             Redis connection verified\n\
             Rotating WhatsApp state data...\n\
             WhatsApp state rotation completed { rotated: 500, failed: 0, total: 500 }\n\
             Rotation completed { totalRotated: 500, totalFailed: 0, success: true }\n"
        );
        // Even if the format to write is the default, classic: the sealed format is never replaced.
        assert_states_sealed(&server, 500, KEY, format);
        assert_eq!(expiries(&server), before);
    }
}

#[test]
fn afterwards_the_new_key_is_enough_and_the_old_one_is_refused() {
    let server = sealed_under_the_old_key(20, "classic");
    put(
        &server,
        NAME,
        &sealed(OLD_KEY, Format::Classic, NAME, STATE.as_bytes()),
    );
    Program::at(&server)
        .keys(KEY, OLD_KEY)
        .run(&["rotate"])
        .done();
    let before = server.snapshot();
    let program = Program::at(&server);
    program.run(&["audit", "--require-clean", "--deep"]).done();
    assert_eq!(program.run(&["get", NAME]).done().text(), STATE);
    let old = Program::at(&server).keys(OLD_KEY, "");
    for command in ["migrate", "rotate", "audit"] {
        old.run(&[command])
            .failed(2, "error: the key does not match this store");
    }
    assert_eq!(server.snapshot(), before);
}

#[test]
fn a_second_run_finds_everything_current_and_changes_nothing() {
    let server = sealed_under_the_old_key(42, "sealed");
    let program = Program::at(&server).keys(KEY, OLD_KEY);
    program.run(&["rotate"]).done();
    let before = server.snapshot();
    let text = program.run(&["rotate"]).done().text();
    let counts = "{ rotated: 0, failed: 0, total: 42, alreadyCurrent: 42 }";
    assert!(text.contains(counts), "{text}");
    assert_eq!(server.snapshot(), before);
}

#[test]
fn a_dry_run_writes_nothing_and_leaves_the_canary_under_the_old_key() {
    let server = sealed_under_the_old_key(42, "classic");
    let before = server.snapshot();
    let program = Program::at(&server).keys(KEY, OLD_KEY);
    let text = program.run(&["rotate", "--dry-run"]).done().text();
    assert!(
        text.contains("{ rotated: 42, failed: 0, total: 42 }"),
        "{text}"
    );
    assert_eq!(server.snapshot(), before);
}

#[test]
fn without_the_previous_key_it_fails_and_changes_nothing() {
    for format in ["classic", "sealed"] {
        let server = sealed_under_the_old_key(42, format);
        for canary in [true, false] {
            if !canary {
                assert_eq!(server.cli(&["DEL", "waxseal:canary"]), "1");
            }
            let before = server.snapshot();
            for (key, previous) in [(KEY, ""), (KEY, OTHER_KEY)] {
                let program = Program::at(&server).keys(key, previous);
                let output = program.run(&["rotate"]);
                let output = output.failed(2, "error: the key does not match this store");
                assert!(output.stderr.contains("REDIS_ENCRYPTION_PREVIOUS_KEYS"));
            }
            assert_eq!(server.snapshot(), before);
        }
    }
}

#[test]
fn a_few_values_under_a_missing_key_are_counted_as_failed() {
    let server = sealed_under_the_old_key(42, "sealed");
    let foreign = sealed(OTHER_KEY, Format::Sealed, NAME, STATE.as_bytes());
    put(&server, NAME, &foreign);
    let program = Program::at(&server).keys(KEY, OLD_KEY);
    let output = program
        .run(&["rotate"])
        .failed(1, "which is not in the keyring");
    let text = output.text();
    assert!(
        text.contains("{ rotated: 42, failed: 1, total: 43 }"),
        "{text}"
    );
    assert!(text.contains("success: false"), "{text}");
    assert_eq!(get(&server, NAME), Some(foreign));
    // With the missing key, the rest follows.
    let program = Program::at(&server).keys(KEY, &format!("{OLD_KEY}, {OTHER_KEY}"));
    let text = program.run(&["rotate"]).done().text();
    let counts = "{ rotated: 1, failed: 0, total: 43, alreadyCurrent: 42 }";
    assert!(text.contains(counts), "{text}");
}

#[test]
fn plain_values_are_sealed_as_well() {
    let server = server_with_states(10);
    let text = Program::at(&server).run(&["rotate"]).done().text();
    assert!(
        text.contains("{ rotated: 10, failed: 0, total: 10 }"),
        "{text}"
    );
    assert_states_sealed(&server, 10, KEY, Format::Classic);
}

#[test]
fn the_canary_stays_under_the_old_key_as_long_as_other_records_do() {
    let server = sealed_under_the_old_key(10, "classic");
    server.cli(&["SET", "sess:1", "plain"]);
    let program = Program::at(&server).keys(KEY, OLD_KEY);
    let output = program.run(&["rotate", "--protect", "sess:*"]).done();
    assert!(output.stderr.contains("still under an older key"));
    // A process that has only the old key can still read its records.
    let old = Program::at(&server).keys(OLD_KEY, "");
    old.run(&["audit", "--require-clean", "--deep"]).done();
    let output = program.run(&["rotate"]).done();
    assert!(!output.stderr.contains("still under an older key"));
    old.run(&["audit"])
        .failed(2, "error: the key does not match this store");
    Program::at(&server).run(&["audit"]).done();
}
