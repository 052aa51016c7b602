//! Refusals: an operation that cannot be recorded, and a configuration that says half.

use std::fs;

use super::{TRAIL_KEY, log, recording};
use crate::program::Program;
use crate::records::{NAME, STATE, get};
use waxseal_testing::RedisServer;

/// With an audit log that is in a directory that is not there.
const NOWHERE: &str =
    "audit_log = \"file:nowhere/audit.jsonl\"\naudit_log_key = \"env:TRAIL_KEY\"\n";

#[test]
fn an_operation_that_cannot_be_recorded_is_not_done() {
    let server = RedisServer::start();
    let program = recording(&server, "");
    program.run_with(&["put", NAME], STATE.as_bytes()).done();
    let before = get(&server, NAME);
    let program = program.file("waxseal.toml", NOWHERE);
    let text = "the audit log cannot be written: ";
    let output = program.run(&["get", NAME]).failed(2, text);
    assert_eq!(output.text(), "");
    assert!(
        output.stderr.contains("hint: nothing was done"),
        "{}",
        output.stderr
    );
    program.run_with(&["put", NAME], b"{}").failed(2, text);
    program.run(&["decrypt", "--yes"]).failed(2, text);
    let words = ["keyring", "init", "--keyring", "file:ring.json"];
    program.run(&words).failed(2, text);
    assert!(!program.path("ring.json").exists());
    assert_eq!(get(&server, NAME), before);
    // What only looks continues.
    program.run(&["inspect", NAME]).done();
    // With audit_log_required = false it is done, with a warning.
    let lax = format!("{NOWHERE}audit_log_required = false\n");
    let program = program.file("waxseal.toml", &lax);
    let output = program.run(&["get", NAME]).done();
    assert_eq!(output.text(), STATE);
    assert!(
        output.stderr.contains("warning: not recorded: "),
        "{}",
        output.stderr
    );
    program.run_with(&["put", NAME], b"{}").done();
    assert_eq!(program.run(&["get", NAME]).done().text(), "{}");
}

#[test]
fn a_full_disk_refuses_and_leaves_a_chain_that_continues() {
    let server = RedisServer::start();
    let program = recording(&server, "");
    program.run_with(&["put", NAME], STATE.as_bytes()).done();
    // Until an entry no longer fits into the block.
    while log(&program).len() % 1024 < 700 {
        program.run(&["get", NAME]).done();
    }
    let blocks = log(&program).len().div_ceil(1024) * 2;
    let limit = format!("trap '' XFSZ; ulimit -f {blocks}");
    let output = program.start_after(&limit, &["get", NAME]).end();
    let output = output.failed(2, "the audit log cannot be written: ");
    assert_eq!(output.text(), "");
    let half = log(&program);
    assert!(!half.ends_with('\n'));
    program.run(&["get", NAME]).done();
    assert!(log(&program).starts_with(&format!("{half}\n")));
    program.run(&["audit-log", "verify"]).done();
}

#[test]
fn waiting_for_a_process_that_holds_the_lock_ends() {
    let server = RedisServer::start();
    let program = recording(&server, "");
    program.run_with(&["put", NAME], STATE.as_bytes()).done();
    let state = fs::File::open(program.path("audit.jsonl.state")).unwrap();
    state.lock().unwrap();
    let output = program.run(&["get", NAME]);
    let output = output.failed(2, "another process holds the audit log ");
    assert_eq!(output.text(), "");
    state.unlock().unwrap();
    program.run(&["get", NAME]).done();
}

#[test]
fn an_incomplete_configuration_is_wrong_usage() {
    let program = Program::with_file().env("TRAIL_KEY", TRAIL_KEY);
    let key = "audit_log_key = \"env:TRAIL_KEY\"\n";
    let log = "audit_log = \"file:audit.jsonl\"\n";
    for (config, text) in [
        (
            log.to_owned(),
            "audit_log is given, and no audit_log_key\nhint: ",
        ),
        (
            key.to_owned(),
            "audit_log_key or audit_log_required is given, and no audit_log\nhint: ",
        ),
        (
            "audit_log_required = false\n".to_owned(),
            "audit_log_key or audit_log_required is given, and no audit_log\nhint: ",
        ),
        (
            format!("audit_log = \"audit.jsonl\"\n{key}"),
            "audit_log starts with file: or is syslog:\nhint: ",
        ),
        (
            format!("{log}audit_log_key = \"trail.key\"\n"),
            "audit_log_key starts with env: or file:\nhint: ",
        ),
        (
            format!("{log}audit_log_key = \"env:ABSENT\"\n"),
            "audit_log_key: the variable ABSENT is not set\nhint: ",
        ),
        (
            format!("{log}audit_log_key = \"file:/absent.key\"\n"),
            "audit_log_key: there is no file /absent.key\nhint: ",
        ),
        (
            "audit_log_kye = \"a\"\n".to_owned(),
            "did you mean audit_log_key?",
        ),
    ] {
        let program = program.clone().file("waxseal.toml", &config);
        let output = program.run_with(&["put", "wa:1"], b"{}").failed(64, text);
        assert_eq!(output.text(), "");
    }
    assert!(!program.path("audit.jsonl").exists());
    // A key in a file that others can read is refused.
    let program = program.file(
        "waxseal.toml",
        &format!("{log}audit_log_key = \"file:open.key\"\n"),
    );
    fs::write(program.path("open.key"), TRAIL_KEY).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(program.path("open.key"), mode).unwrap();
    program
        .run_with(&["put", "wa:1"], b"{}")
        .failed(64, "audit_log_key: ");
}
