//! Standard error that is not read, or that is full: the command continues, and a process that
//! serves tells how much of its log was lost. Results that cannot be written are a failure.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::Command;

use waxseal_core::Format;
use waxseal_testing::{Client, RedisServer};

use crate::metrics::{admin, metrics};
use crate::program::{KEY, Program, Running, wait_until};
use crate::records::{get, put, sealed};
use crate::signals::fill;
use crate::status_page::Page;

const PROXY: [&str; 7] = [
    "proxy",
    "--protect",
    "wa:*",
    "--listen",
    "127.0.0.1:0",
    "--admin",
    "127.0.0.1:0",
];

/// A record that does not open, so that the log has a line about it.
fn put_damaged(server: &RedisServer) {
    let mut value = sealed(KEY, Format::Sealed, "wa:1", b"{}");
    *value.last_mut().unwrap() ^= 1;
    put(server, "wa:1", &value);
}

/// The ports for clients and of the admin address, as a proxy says them.
fn ports(log: &mut impl BufRead) -> (u16, u16) {
    let mut port_of = |beginning: &str| loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended");
        if let Some(address) = line.strip_prefix(beginning) {
            let (_, port) = address.trim_end().rsplit_once(':').unwrap();
            return port.parse().unwrap();
        }
    };
    let admin = port_of("waxseal: admin on ");
    (port_of("waxseal: listening on "), admin)
}

/// Clients are served, whatever becomes of the log.
#[track_caller]
fn assert_serves(running: &mut Running, port: u16, admin_port: u16) {
    for _ in 0..3 {
        let mut client = Client::connect(port).unwrap();
        let reply = client.cmd(&["GET", "wa:1"]).to_text();
        assert!(reply.starts_with("SEALBROKEN"), "{reply}");
        assert_eq!(client.cmd(&["PING"]).to_text(), "PONG");
    }
    assert!(!running.has_ended());
    assert!(admin(admin_port, "/readyz").0.starts_with("http/1.1 200"));
}

#[test]
fn a_log_whose_reader_goes_away_or_stalls_costs_lines_and_no_client() {
    let server = RedisServer::start();
    put_damaged(&server);
    let program = Program::at(&server);
    let created = Command::new("mkfifo").arg(program.path("log")).status();
    assert!(created.unwrap().success());
    let mut running = program.start_after("exec 2>log", &PROXY);
    let mut log = BufReader::new(File::open(program.path("log")).unwrap());
    let (port, admin_port) = ports(&mut log);

    drop(log);
    let lost =
        || metrics(admin_port).sum("waxseal_log_lines_lost_total", &[("cause", "write_failed")]);
    // A process that another test starts at this moment still has the reading end until it is executed.
    wait_until(|| {
        assert_serves(&mut running, port, admin_port);
        lost() >= 3.0
    });
    assert!(Page::of(admin_port).warns("WaxsealLogLinesLost"));

    // Another reader is told what it missed, without another line being written.
    let mut log = BufReader::new(File::open(program.path("log")).unwrap());
    let mut line = String::new();
    while !line.contains(" lines of the log were lost: ") {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended");
    }
    assert!(line.contains(" WARN "), "{line}");

    fill(log.get_ref());
    assert_serves(&mut running, port, admin_port);
    running.signal("TERM");
    running.end().done();
}

#[test]
fn a_full_disk_under_the_log_stops_neither_a_proxy_nor_a_command() {
    let server = RedisServer::start();
    put_damaged(&server);
    let program = Program::at(&server);
    let listen = format!("unix:{}", program.path("socket").display());
    let words = [&PROXY[..3], &["--listen", &listen]].concat();
    let full = "exec 2>/dev/full";
    // The file may not grow: by default the system ends a process that tries.
    let limited = "ulimit -f 0; exec 2>log";
    for before in [full, limited] {
        let mut running = program.start_after(before, &words);
        wait_until(|| {
            assert!(!running.has_ended(), "{before}");
            program.path("socket").exists()
        });
        running.signal("TERM");
        running.end().done();
        assert!(!program.path("socket").exists());
    }
    for before in [full, limited, "exec 2>&-"] {
        let name = format!("wa:{}", before.len());
        let mut put =
            program.start_after(&format!("{before}; exec < /proc/version"), &["put", &name]);
        wait_until(|| put.has_ended());
        put.end().done();
        assert!(get(&server, &name).is_some(), "{before}");
    }
}

#[test]
fn a_result_that_finds_no_room_is_a_failure_and_a_closed_pipe_is_none() {
    let server = RedisServer::start();
    put(&server, "wa:2", b"{\"a\":1}");
    let program = Program::at(&server);
    let failed =
        "error: the result could not be written to standard output: No space left on device";
    for words in [
        &["get", "wa:2"][..],
        &["audit"],
        &["key", "generate"],
        &["completions", "bash"],
        &["--help"],
    ] {
        let output = program.start_after("exec >/dev/full", words).end();
        output.failed(2, failed);
        program.start_unread(words).end().done();
    }
    // The work itself is done, and not half of it.
    program
        .start_after("exec >/dev/full", &["migrate"])
        .end()
        .failed(2, failed);
    assert!(!get(&server, "wa:2").unwrap().starts_with(b"{"));
}
