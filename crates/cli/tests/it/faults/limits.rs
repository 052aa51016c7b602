//! A server without memory, a disk without room, and a store with very many records.

use std::fs;
use std::time::Duration;

use waxseal_core::Format;
use waxseal_stores::{Clock, EmbeddedStore, Expiry, RecordName, RecordStore, Slot};
use waxseal_testing::{RedisServer, load_states, state_json, state_name};

use super::counts;
use crate::program::{KEY, Program};
use crate::records::{
    assert_states_sealed, assert_states_unharmed, expiries, server_with_states, share_sealed,
};

#[test]
fn a_server_that_is_full_is_reported_and_nothing_is_damaged() {
    const STATES: u64 = 10_000;
    let server = server_with_states(STATES);
    let before = expiries(&server);
    let info = server.cli(&["INFO", "memory"]);
    let used = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"))
        .unwrap();
    let limit = used.trim().parse::<u64>().unwrap() + 1_000_000;
    server.cli(&["CONFIG", "SET", "maxmemory", &limit.to_string()]);
    let program = Program::at(&server);
    let output = program.run(&["migrate"]);
    let output = output.failed(2, "error: the store is full: the server reached maxmemory");
    assert!(
        output
            .stderr
            .contains("hint: make room (or raise maxmemory), then run the same")
    );
    assert!(
        output.text().contains("success: false"),
        "{}",
        output.text()
    );
    assert_states_unharmed(&server, STATES);
    assert_eq!(expiries(&server), before);
    let share = share_sealed(&server, STATES);
    assert!(share > 0.0 && share < 1.0, "{share}");

    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    program.run(&["migrate"]).done();
    assert_states_sealed(&server, STATES, KEY, Format::Classic);
    assert_eq!(expiries(&server), before);
}

/// Plain states in an embedded store in the program's directory.
fn fill(program: &Program, states: u64) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = EmbeddedStore::open(&program.path("states.waxseal"), Clock::system()).unwrap();
        let names: Vec<_> = (0..states)
            .map(|i| RecordName::from(state_name(i)))
            .collect();
        let values: Vec<_> = (0..states).map(|i| state_json(i).into_bytes()).collect();
        let expiry = Expiry::After(Duration::from_secs(3600));
        let puts = names
            .iter()
            .zip(&values)
            .map(|(name, value)| store.put(name, &Slot::Whole, value, expiry));
        for put in futures_util::future::join_all(puts).await {
            put.unwrap();
        }
    });
}

#[test]
fn a_disk_that_is_full_is_reported_and_the_file_loses_nothing() {
    const STATES: u64 = 5_000;
    let program = Program::with_file();
    fill(&program, STATES);
    let blocks = fs::metadata(program.path("states.waxseal")).unwrap().len() / 512;
    // The system enforces a limit of the file size as it would a full disk.
    let limit = format!("trap '' XFSZ; ulimit -f {}", blocks + 64);
    let run = program.start_after(&limit, &["migrate"]);
    let output = run.end().failed(2, "error: the store is full: ");
    assert!(
        output.stderr.contains("hint: make room"),
        "{}",
        output.stderr
    );

    let report = program.run(&["audit", "--deep", "--json"]).done().json();
    let pattern = &report["patterns"][0];
    assert_eq!(
        (&pattern["total"], &pattern["unopenable"]),
        (&STATES.into(), &0.into())
    );
    let counts = counts(&program.run(&["migrate", "--json"]).done());
    assert_eq!(counts.done + counts.already, STATES);
    for i in [0, STATES / 2, STATES - 1] {
        let output = program.run(&["get", &state_name(i)]).done();
        assert_eq!(output.text(), state_json(i));
    }
    program.run(&["decrypt", "--yes"]).done();
    let report = program.run(&["audit", "--json"]).done().json();
    assert_eq!(report["patterns"][0]["plain"], STATES);
}

#[test]
fn an_embedded_store_that_another_process_has_open_is_reported() {
    let program = Program::with_file();
    fill(&program, 10);
    let path = program.path("states.waxseal");
    let held = EmbeddedStore::open(&path, Clock::system()).unwrap();
    let output = program
        .run(&["migrate"])
        .failed(2, "is open in another process\nhint: ");
    assert!(output.text().starts_with("Starting "), "{}", output.text());
    drop(held);
    crate::program::wait_until(|| program.run(&["migrate"]).status == 0);
}

#[test]
fn a_million_records_need_little_memory() {
    const RECORDS: u64 = 1_000_000;
    const LIMIT_KIB: u64 = 64 * 1024;
    const SCRIPT: &str = "for i = ARGV[1], ARGV[2] do redis.call('SET', 'wa:' .. i, \
                          '{\"status\":\"confirming\",\"n\":' .. i .. ',\"currentField\":null}') end";
    let server = RedisServer::start();
    for first in (0..RECORDS).step_by(100_000) {
        let last = first + 99_999;
        server.cli(&["EVAL", SCRIPT, "0", &first.to_string(), &last.to_string()]);
    }
    assert_eq!(server.cli(&["DBSIZE"]), RECORDS.to_string());
    let mut run = Program::at(&server).start(&["migrate", "--json"]);
    let status = format!("/proc/{}/status", run.pid());
    let mut peak = 0;
    while !run.has_ended() {
        // Ended between the two checks.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.map(|line| line.trim().trim_end_matches(" kB").parse::<u64>().unwrap());
        peak = peak.max(kib.unwrap_or_default());
        std::thread::sleep(Duration::from_millis(20));
    }
    let counts = counts(&run.end().done());
    assert_eq!(
        (counts.done, counts.total, counts.failed),
        (RECORDS, RECORDS, 0)
    );
    assert!(peak > 0 && peak <= LIMIT_KIB, "{peak} KiB at its peak");
}

#[test]
fn a_value_of_many_megabytes_is_sealed_like_any_other() {
    let server = RedisServer::start();
    load_states(&server, 10, Duration::from_secs(3600));
    let value = format!("{{\"big\":\"{}\"}}", "é".repeat(10 << 20));
    crate::records::put(&server, crate::records::NAME, value.as_bytes());
    for format in ["classic", "sealed"] {
        let program = Program::at(&server);
        program.run(&["migrate", "--format", format]).done();
        let output = program.run(&["get", crate::records::NAME]).done();
        assert!(output.stdout == value.as_bytes(), "{format}");
    }
}

#[test]
fn a_record_that_the_server_refuses_fails_alone_and_is_reported_with_the_cause() {
    let server = RedisServer::builder()
        .arg("proto-max-bulk-len", "1mb")
        .start();
    load_states(&server, 50, Duration::from_secs(3600));
    let value = format!("{{\"big\":\"{}\"}}", "x".repeat(800_000));
    crate::records::put(&server, crate::records::NAME, value.as_bytes());
    let program = Program::at(&server);
    let output = program.run(&["migrate", "--json", "--checkpoint", "at.json"]);
    let output = output.with_status(1);
    let counted = counts(&output);
    assert!(counted.complete);
    assert_eq!((counted.total, counted.done, counted.failed), (51, 50, 1));
    assert!(
        output.stderr.contains("warning: wa:#")
            && output
                .stderr
                .contains(": its proto-max-bulk-len is 1048576 bytes"),
        "{}",
        output.stderr
    );
    assert!(!program.path("at.json").exists());
    let put = program.run_with(&["put", crate::records::NAME], value.as_bytes());
    let told =
        "error: the value is too large for the store (1066724 bytes): its proto-max-bulk-len";
    assert!(
        put.failed(2, told)
            .stderr
            .contains("hint: raise proto-max-bulk-len")
    );
    // It fits in the other format.
    let sealed = ["migrate", "--format", "sealed", "--json"];
    let counted = counts(&program.run(&sealed).done());
    assert_eq!((counted.done, counted.failed), (51, 0));
    assert_eq!(
        crate::records::get(&server, crate::records::NAME).map(|it| it.len()),
        Some(value.len() + 48)
    );
}
