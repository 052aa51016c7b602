//! Starts of services: their mode, and starts without custodians. And the system's log instead of a file.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use waxseal_testing::RedisServer;

use super::{CONFIG, RING, TRAIL_KEY, assert_whole, entries, recorded, recording};
use crate::proxy::Proxy;
use crate::records::{NAME, STATE};

const PROTECT: &str = "[[protect]]\nrecords = \"wa:*\"\n";

#[test]
fn a_mode_is_recorded_if_it_differs_from_the_last_start() {
    let server = RedisServer::start();
    let program = recording(&server, PROTECT);
    let start = |mode: &str| {
        let program = program.clone().env("ENABLE_REDIS_ENCRYPTION", mode);
        drop(Proxy::start_as(&program, &server, &[]));
    };
    start("on");
    start("on");
    start("off");
    start("on");
    assert_eq!(recorded(&program)[1..], ["mode done"; 3]);
    let entries = entries(&program);
    let changes = entries[1..].iter().map(|entry| {
        let details = &entry["details"];
        (details["from"].as_str(), details["to"].as_str().unwrap())
    });
    let expected = [(None, "on"), (Some("on"), "off"), (Some("off"), "on")];
    assert!(changes.eq(expected), "{entries:?}");
    assert!(
        entries[1]["target"]
            .as_str()
            .unwrap()
            .starts_with("proxy at redis://")
    );
    assert_whole(&program, 4);
    // A proxy that cannot record it does not start.
    let nowhere = CONFIG.replace("file:", "file:nowhere/") + PROTECT;
    let program = program.file("waxseal.toml", &nowhere);
    let output = program.run(&["proxy", "--listen", "127.0.0.1:0"]);
    output.failed(2, "the audit log cannot be written: ");
}

#[test]
fn a_start_without_custodians_is_recorded() {
    let server = RedisServer::start();
    let program = recording(
        &server,
        &format!("{RING}offline_key = \"file:offline.key\"\n"),
    );
    program
        .run(&["key", "generate", "--file", "offline.key"])
        .done();
    program.run(&["keyring", "init"]).done();
    program.run_with(&["put", NAME], STATE.as_bytes()).done();
    program.run(&["--allow-offline", "get", NAME]).done();
    assert_eq!(recorded(&program)[5..], ["allow_offline done", "get done"]);
    assert!(
        entries(&program)[5]["target"]
            .as_str()
            .unwrap()
            .starts_with("file:/")
    );
}

#[test]
fn the_systems_log_gets_the_same_entries() {
    let server = RedisServer::start();
    let config = CONFIG.replace("file:audit.jsonl", "syslog:log.socket");
    let program = recording(&server, "").file("waxseal.toml", &config);
    program
        .run_with(&["put", NAME], STATE.as_bytes())
        .failed(2, "the audit log cannot be written: ");
    let log = UnixDatagram::bind(program.path("log.socket")).unwrap();
    log.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    program.run_with(&["put", NAME], STATE.as_bytes()).done();
    program.run(&["get", NAME]).done();
    let mut text = String::new();
    for _ in 0..4 {
        let mut bytes = [0; 4096];
        let length = log.recv(&mut bytes).unwrap();
        let line = std::str::from_utf8(&bytes[..length]).unwrap();
        assert!(line.starts_with("<86>1 - "), "{line}");
        assert!(
            line.contains(" waxseal ") && line.contains(" audit - {\"seq\":"),
            "{line}"
        );
        assert!(!line.contains(NAME) && !line.contains(TRAIL_KEY));
        text.push_str(&format!(
            "{line}\nNov 28 05:15:24 host cron[1]: another program\n"
        ));
    }
    fs::write(program.path("messages"), &text).unwrap();
    let verify = |more: &[&str]| program.run(&[&["audit-log", "verify"], more].concat());
    let told = verify(&["messages", "--syslog"]).done().text();
    assert!(told.contains("whole: 4 entries"), "{told}");
    verify(&[]).failed(64, "the entries are in the system's log");
    let shorter = text.replacen("\"put\"", "\"get\"", 1);
    fs::write(program.path("messages"), shorter).unwrap();
    verify(&["messages", "--syslog"]).with_status(1);
}
