//! `doctor`: what usually goes wrong, each with what to do about it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use waxseal_core::Format;
use waxseal_testing::RedisServer;

use crate::program::{KEY, OLD_KEY, OTHER_KEY, Program};
use crate::records::{NAME, STATE, put, sealed, server_with_states};

fn findings(program: &Program, status: i32) -> Vec<Value> {
    let report = program
        .run(&["doctor", "--json"])
        .with_status(status)
        .json();
    report.as_array().unwrap().clone()
}

/// The result of one check: its grade, and its whole text.
fn graded(findings: &[Value], check: &str) -> (String, String) {
    let finding = findings.iter().find(|finding| finding["check"] == check);
    let finding = finding.unwrap_or_else(|| panic!("no {check} in {findings:?}"));
    let grade = finding["grade"].as_str().unwrap().to_owned();
    (grade, format!("{} {}", finding["found"], finding["advice"]))
}

#[track_caller]
fn assert_graded(findings: &[Value], check: &str, grade: &str, text: &str) {
    let (found, said) = graded(findings, check);
    assert!(
        found == grade && said.contains(text),
        "{check}: {found}: {said}"
    );
}

#[test]
fn everything_is_well_on_a_healthy_server_and_nothing_is_written() {
    let server = RedisServer::builder().append_only().start();
    waxseal_testing::load_states(&server, 42, std::time::Duration::from_secs(3600));
    let program = Program::at(&server).env("ENABLE_REDIS_ENCRYPTION", "required");
    program.run(&["migrate"]).done();
    let before = server.snapshot();
    let findings = findings(&program, 0);
    for check in [
        "cpu",
        "configuration",
        "key",
        "mode",
        "protected",
        "store",
        "eviction",
        "persistence",
        "clock",
        "canary",
        "records",
    ] {
        assert_graded(&findings, check, "ok", "");
    }
    assert_graded(
        &findings,
        "records",
        "ok",
        "of a sample 42 sealed, 0 plain, 0 damaged",
    );
    let text = program.run(&["doctor"]).done().text();
    assert!(
        text.contains("ok       eviction       nothing is evicted\n"),
        "{text}"
    );
    assert_eq!(server.snapshot(), before);
}

#[test]
fn plain_values_are_a_warning_and_a_problem_where_they_are_refused() {
    let server = server_with_states(42);
    let found = findings(&Program::at(&server), 0);
    assert_graded(
        &found,
        "records",
        "warning",
        "waxseal migrate seals what is plain",
    );
    assert_graded(&found, "canary", "ok", "none yet");
    let required = Program::at(&server).env("ENABLE_REDIS_ENCRYPTION", "required");
    assert_graded(
        &findings(&required, 1),
        "records",
        "problem",
        "set the mode to on until then",
    );
    let off = Program::at(&server).env("ENABLE_REDIS_ENCRYPTION", "off");
    assert_graded(
        &findings(&off, 0),
        "mode",
        "warning",
        "ENABLE_REDIS_ENCRYPTION=true",
    );
}

#[test]
fn damaged_values_and_missing_keys_are_reported() {
    let server = server_with_states(5);
    let program = Program::at(&server);
    program.run(&["migrate"]).done();
    put(
        &server,
        NAME,
        &sealed(OLD_KEY, Format::Classic, NAME, STATE.as_bytes()),
    );
    assert_graded(&findings(&program, 0), "records", "warning", "1 damaged");
    put(
        &server,
        NAME,
        &sealed(OLD_KEY, Format::Sealed, NAME, STATE.as_bytes()),
    );
    assert_graded(
        &findings(&program, 1),
        "records",
        "problem",
        "REDIS_ENCRYPTION_PREVIOUS_KEYS",
    );
}

#[test]
fn a_wrong_key_is_a_problem() {
    let server = server_with_states(5);
    Program::at(&server).run(&["migrate"]).done();
    let found = findings(&Program::at(&server).keys(OTHER_KEY, ""), 1);
    assert_graded(
        &found,
        "canary",
        "problem",
        "the key does not match this store",
    );
}

#[test]
fn a_server_that_evicts_and_forgets_is_warned_about() {
    let server = RedisServer::builder()
        .arg("--maxmemory", "100mb")
        .arg("--maxmemory-policy", "allkeys-lru")
        .start();
    let found = findings(&Program::at(&server), 0);
    assert_graded(
        &found,
        "eviction",
        "warning",
        "maxmemory-policy is allkeys-lru",
    );
    assert_graded(&found, "persistence", "warning", "append-only file is off");
}

#[test]
fn a_replica_is_warned_about() {
    let primary = server_with_states(5);
    let replica = RedisServer::builder().replica_of(&primary).start();
    replica.wait_for_replica_link(&primary);
    let found = findings(&Program::at(&replica), 0);
    assert_graded(&found, "role", "warning", "give the URL of the primary");
}

#[test]
fn a_server_that_is_not_there_is_a_problem_and_the_rest_is_still_checked() {
    let program = Program::at(&RedisServer::start());
    let found = findings(&program, 1);
    assert_graded(&found, "store", "problem", "check REDIS_URL or --store");
    assert_graded(&found, "mode", "ok", "");
}

#[test]
fn a_configuration_that_cannot_be_read_is_a_problem_that_is_explained() {
    let found = findings(&Program::with_file().keys(&KEY[..62], ""), 1);
    assert_graded(
        &found,
        "configuration",
        "problem",
        "Invalid encryption key length",
    );
    let found = findings(&Program::new().env("REDIS_URL", "file:x"), 0);
    assert_graded(
        &found,
        "key",
        "warning",
        "waxseal key generate creates a key",
    );
}

#[test]
fn many_previous_keys_are_a_sign_of_forgotten_rotations() {
    let mut previous = Vec::new();
    for _ in 0..5 {
        let key = Program::new()
            .run(&["key", "generate", "--json"])
            .done()
            .json();
        previous.push(key["key"].as_str().unwrap().to_owned());
    }
    let program = Program::with_file().keys(KEY, &previous.join(","));
    assert_graded(&findings(&program, 0), "key", "warning", "waxseal rotate");
}

#[test]
fn secrets_that_others_can_read_are_warned_about() {
    let program = Program::new()
        .env("REDIS_ENCRYPTION_KEY", KEY)
        .file("waxseal.toml", "store = \"redis://u:s3cret@127.0.0.1:1\"\n");
    let found = program.run(&["doctor", "--json"]).json();
    assert_graded(
        found.as_array().unwrap(),
        "permissions",
        "warning",
        "chmod 600",
    );
    let program = Program::new()
        .env("REDIS_URL", "file:states.waxseal")
        .file(".env", &format!("REDIS_ENCRYPTION_KEY={KEY}\n"));
    let set = |mode| fs::set_permissions(program.path(".env"), fs::Permissions::from_mode(mode));
    set(0o644).unwrap();
    let found = findings(&program, 1);
    for text in [".env is open to every user", "chmod 600 .env"] {
        assert_graded(&found, "configuration", "problem", text);
    }
    set(0o600).unwrap();
    let found = findings(&program, 0);
    assert_graded(&found, "permissions", "ok", ".env has mode 600");
}

#[test]
fn a_command_that_the_server_lacks_is_named_beforehand_and_done_without_where_it_can_be() {
    let without = |commands: &[&str]| {
        let server = RedisServer::builder().without(commands).start();
        waxseal_testing::load_states(&server, 42, std::time::Duration::from_secs(3600));
        server
    };
    let server = without(&["EVAL", "DBSIZE", "INFO", "MGET"]);
    let program = Program::at(&server);
    let text = program.run(&["doctor"]).done().text();
    for told in ["EVAL", "DBSIZE", "INFO", "MGET"] {
        let line = format!(
            "warning  commands       the server does not have {told} (renamed or switched off): "
        );
        assert!(text.contains(&line), "{text}");
    }
    let text = program.run(&["migrate"]).done().text();
    assert!(
        text.contains("{ migrated: 42, failed: 0, total: 42 }"),
        "{text}"
    );
    program.run(&["audit", "--require-clean", "--deep"]).done();

    let server = without(&["SCAN"]);
    let program = Program::at(&server);
    let text = program.run(&["doctor"]).with_status(1).text();
    let line = "problem  commands       the server does not have SCAN (renamed or switched off): needed for ";
    assert!(text.contains(line), "{text}");
    let output = program.run(&["migrate"]);
    let output = output.failed(2, "error: the store does not have the command SCAN\nhint: ");
    assert!(
        output.stderr.contains("rename-command"),
        "{}",
        output.stderr
    );
    let whole = Program::at(&RedisServer::start())
        .run(&["doctor"])
        .done()
        .text();
    assert!(
        whole.contains("ok       commands       all that are needed are available"),
        "{whole}"
    );
}

#[test]
fn positions_in_clear_are_a_hint_where_records_hold_some() {
    let server = RedisServer::start();
    let program = Program::at(&server).env("ENABLE_REDIS_ENCRYPTION", "true");
    let has_hint = || {
        let found = findings(&program, 0);
        found.iter().any(|finding| finding["check"] == "positions")
    };
    // Times in microseconds are as large, and small scores are none.
    server.cli(&["ZADD", "wa:times", "1790000000123456", "a"]);
    assert!(!has_hint());
    server.cli(&["GEOADD", "other:geo", "-99.13", "19.43", "zocalo"]);
    server.cli(&["DEL", "wa:times"]);
    server.cli(&["ZADD", "wa:ranks", "1", "a"]);
    assert!(!has_hint());
    server.cli(&["GEOADD", "wa:geo", "-99.13", "19.43", "zocalo"]);
    let found = findings(&program, 0);
    assert_graded(
        &found,
        "positions",
        "ok",
        "positions of geo records are in clear (1 in a sample)",
    );
}
