//! A server that dies in the middle, and returns or does not.

use std::thread::sleep;
use std::time::Duration;

use waxseal_core::Format;
use waxseal_testing::{RedisServer, load_states};

use super::{counts, wait_until_it_is_working};
use crate::program::{KEY, OLD_KEY, Program};
use crate::records::{assert_states_sealed, expiries};

const STATES: u64 = 30_000;
/// A rate at which it takes some seconds.
const RATE: &str = "8000";

fn lasting_server() -> RedisServer {
    let server = RedisServer::builder().append_only().start();
    load_states(&server, STATES, Duration::from_secs(3600));
    server
}

#[test]
fn a_sweep_waits_for_a_server_that_was_killed_and_finishes() {
    let mut server = lasting_server();
    let before = expiries(&server);
    let program = Program::at(&server);
    let mut run = program.start(&["migrate", "--max-rate", RATE, "--json"]);
    wait_until_it_is_working(&mut run, &server, STATES);
    server.kill();
    run.wait_until_it_says("; waiting for it");
    server.restart();
    let output = run.end().done();
    assert!(
        output
            .stderr
            .contains("the store was restarted: the sweep starts again")
    );
    let counts = counts(&output);
    // Values that were replaced when the answer was lost are found again as already sealed.
    assert_eq!(counts.done + counts.already, STATES);
    assert_eq!((counts.total, counts.failed), (STATES, 0));
    assert_states_sealed(&server, STATES, KEY, Format::Classic);
    assert_eq!(expiries(&server), before);
}

#[test]
fn a_sweep_ends_if_a_server_stays_unreachable_and_is_resumed_later() {
    let mut server = lasting_server();
    let before = expiries(&server);
    let program = Program::at(&server);
    let sweep = [
        "migrate",
        "--max-rate",
        RATE,
        "--json",
        "--checkpoint",
        "at.json",
    ];
    let mut run = program.start(&[&sweep[..], &["--patience", "1"]].concat());
    wait_until_it_is_working(&mut run, &server, STATES);
    server.kill();
    let output = run.end().failed(2, "cannot be reached: ");
    assert!(output.stderr.contains("hint: check REDIS_URL or --store"));
    let first = counts(&output);
    assert!(!first.complete && first.done > 0 && first.done < STATES);
    assert!(program.path("at.json").is_file());

    server.restart();
    let output = program.run(&[&sweep[..], &["--resume"]].concat()).done();
    let second = counts(&output);
    assert!(second.complete && second.done > first.done);
    assert_eq!(second.done + second.already, STATES);
    assert_eq!((second.total, second.failed), (STATES, 0));
    assert!(!program.path("at.json").exists());
    assert_states_sealed(&server, STATES, KEY, Format::Classic);
    assert_eq!(expiries(&server), before);
}

#[test]
fn waiting_for_a_server_can_be_stopped() {
    let mut server = lasting_server();
    let program = Program::at(&server);
    let mut run = program.start(&[
        "migrate",
        "--max-rate",
        RATE,
        "--reconnect-timeout",
        "100000",
    ]);
    wait_until_it_is_working(&mut run, &server, STATES);
    server.kill();
    run.wait_until_it_says("; waiting for it");
    run.signal("INT");
    let output = run.end().failed(2, "cannot be reached: ");
    assert!(
        output
            .text()
            .contains("Migration stopped { totalMigrated: "),
        "{}",
        output.text()
    );
}

#[test]
fn a_rotation_survives_a_server_that_was_killed() {
    let mut server = lasting_server();
    let old = Program::at(&server).keys(OLD_KEY, "");
    old.run(&["migrate", "--format", "sealed"]).done();
    let program = Program::at(&server).keys(KEY, OLD_KEY);
    let mut run = program.start(&["rotate", "--max-rate", RATE]);
    sleep(Duration::from_millis(500));
    assert!(!run.has_ended());
    server.kill();
    run.wait_until_it_says("; waiting for it");
    server.restart();
    run.end().done();
    assert_states_sealed(&server, STATES, KEY, Format::Sealed);
    Program::at(&server)
        .run(&["audit", "--deep", "--require-clean"])
        .done();
}

#[test]
fn broken_connections_are_reestablished() {
    let server = RedisServer::start();
    load_states(&server, STATES, Duration::from_secs(3600));
    let program = Program::at(&server);
    let mut run = program.start(&["migrate", "--max-rate", RATE, "--json"]);
    wait_until_it_is_working(&mut run, &server, STATES);
    for _ in 0..5 {
        server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
        sleep(Duration::from_millis(50));
    }
    let output = run.end().done();
    assert!(!output.stderr.contains("restarted"), "{}", output.stderr);
    let counts = counts(&output);
    assert_eq!(counts.done + counts.already, STATES);
    assert_eq!((counts.total, counts.failed), (STATES, 0));
    assert_states_sealed(&server, STATES, KEY, Format::Classic);
}

#[test]
fn a_server_that_is_not_there_is_reported_with_advice() {
    let program = Program::at(&RedisServer::start());
    for command in ["migrate", "rotate", "audit"] {
        let output = program
            .run(&[command])
            .failed(2, "cannot be reached: the connection is refused");
        assert!(
            output.stderr.contains("hint: check REDIS_URL or --store"),
            "{}",
            output.stderr
        );
    }
    let output = program.run(&["migrate"]).with_status(2);
    assert_eq!(output.text(), "Starting Redis encryption migration\n");
}
