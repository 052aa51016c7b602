//! A sweep that is told to stop.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use waxseal_core::Format;

use super::{counts, wait_until_it_is_working};
use crate::program::{KEY, OLD_KEY, OTHER_KEY, Program};
use crate::records::{
    assert_states_sealed, assert_states_unharmed, server_with_states, share_sealed, stored_states,
};

const STATES: u64 = 10_000;

fn sweep<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["migrate", "--json", "--checkpoint", "at.json"], more].concat()
}

/// A server, and a migration of it that was stopped by a signal.
fn stopped(program: &Program, server: &waxseal_testing::RedisServer, signal: &str) -> u64 {
    let mut run = program.start(&sweep(&["--max-rate", "4000"]));
    wait_until_it_is_working(&mut run, server, STATES);
    run.signal(signal);
    let output = run
        .end()
        .failed(2, "error: stopped by a signal before the end\n");
    let hint = "hint: what was done stays; continue with the same command and --resume";
    assert!(output.stderr.contains(hint), "{}", output.stderr);
    let counts = counts(&output);
    assert!(!counts.complete && counts.done > 0 && counts.done < STATES);
    assert_eq!((counts.total, counts.failed), (counts.done, 0));
    counts.done
}

#[test]
fn ends_cleanly_at_a_signal_and_is_resumed_with_the_right_totals() {
    for signal in ["INT", "TERM"] {
        let server = server_with_states(STATES);
        let program = Program::at(&server);
        let first = stopped(&program, &server, signal);
        // The report equals the work done.
        let sealed = |stored: &Vec<u8>| !stored.starts_with(b"{");
        let found = stored_states(&server, STATES).into_iter().flatten();
        assert_eq!(found.filter(sealed).count() as u64, first);
        assert_states_unharmed(&server, STATES);
        let mode = fs::metadata(program.path("at.json"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);

        let second = counts(&program.run(&sweep(&["--resume"])).done());
        assert!(second.complete && second.done > first);
        assert_eq!((second.total, second.done), (STATES, STATES));
        assert_eq!((second.already, second.failed), (0, 0));
        assert!(!program.path("at.json").exists());
        assert_states_sealed(&server, STATES, KEY, Format::Classic);
    }
}

#[test]
fn reports_progress_and_stops_soon_even_at_a_low_rate() {
    let server = server_with_states(STATES);
    let program = Program::at(&server);
    // At this rate it would continue for hours; the test does not wait for so long.
    let mut run = program.start(&["migrate", "--max-rate", "2"]);
    run.wait_until_it_says(" of about 10,001 records examined, ");
    run.signal("INT");
    let output = run.end().failed(2, "stopped by a signal before the end");
    assert!(
        output.text().contains("success: false"),
        "{}",
        output.text()
    );
    assert!(share_sealed(&server, STATES) < 0.1);
    assert_states_unharmed(&server, STATES);
}

#[test]
fn a_stopped_run_without_a_checkpoint_is_simply_run_again() {
    let server = server_with_states(STATES);
    let program = Program::at(&server);
    let mut run = program.start(&["migrate", "--max-rate", "4000", "--json"]);
    wait_until_it_is_working(&mut run, &server, STATES);
    run.signal("INT");
    let output = run.end().failed(2, "run the same command again");
    let first = counts(&output);
    let second = counts(&program.run(&["migrate", "--json"]).done());
    assert_eq!(
        (second.done, second.already),
        (STATES - first.done, first.done)
    );
    assert_states_sealed(&server, STATES, KEY, Format::Classic);
}

#[test]
fn a_process_that_was_killed_is_resumed_from_its_last_checkpoint() {
    let server = server_with_states(STATES);
    let program = Program::at(&server);
    let mut run = program.start(&sweep(&["--max-rate", "2000"]));
    let file = program.path("at.json");
    crate::program::wait_until(|| {
        assert!(!run.has_ended());
        file.exists()
    });
    // SIGKILL.
    drop(run);
    let counts = counts(&program.run(&sweep(&["--resume"])).done());
    assert!(counts.complete);
    assert_eq!(counts.done + counts.already, STATES);
    assert_eq!((counts.total, counts.failed), (STATES, 0));
    assert_states_sealed(&server, STATES, KEY, Format::Classic);
}

#[test]
fn a_checkpoint_is_accepted_only_by_the_same_sweep() {
    let server = server_with_states(STATES);
    let program = Program::at(&server);
    stopped(&program, &server, "INT");
    let before = server.snapshot();
    let refused = "error: the checkpoint at.json is of another sweep (migrate under key ";
    for more in [
        &["--format", "sealed"][..],
        &["--dry-run"],
        &["--protect", "sess:*"],
        &["--store", "file:other"],
    ] {
        let output = program.run(&[&sweep(more)[..], &["--resume"]].concat());
        output.failed(64, refused);
    }
    let rotate = ["rotate", "--checkpoint", "at.json", "--resume"];
    program.run(&rotate).failed(64, refused);
    fs::write(program.path("broken.json"), "{}").unwrap();
    let broken = ["migrate", "--checkpoint", "broken.json", "--resume"];
    program
        .run(&broken)
        .failed(64, "broken.json is not a checkpoint");
    let missing = ["migrate", "--checkpoint", "missing.json", "--resume"];
    program
        .run(&missing)
        .failed(64, "the checkpoint missing.json cannot be read");
    assert_eq!(server.snapshot(), before);
    program.run(&sweep(&["--resume"])).done();
    assert_states_sealed(&server, STATES, KEY, Format::Classic);
}

#[test]
fn a_checkpoint_of_a_dry_run_never_makes_a_real_run_skip_records() {
    let server = server_with_states(STATES);
    let program = Program::at(&server);
    let mut run = program.start(&sweep(&["--dry-run", "--max-rate", "2000"]));
    let file = program.path("at.json");
    crate::program::wait_until(|| {
        assert!(!run.has_ended());
        file.exists()
    });
    run.signal("INT");
    run.end().with_status(2);
    let output = program.run(&sweep(&["--resume"]));
    output.failed(64, "is of another sweep (migrate --dry-run under key ");
    program.run(&sweep(&[])).done();
    assert_states_sealed(&server, STATES, KEY, Format::Classic);
}

#[test]
fn a_rotation_is_not_resumed_under_another_key() {
    let server = server_with_states(STATES);
    Program::at(&server)
        .keys(OLD_KEY, "")
        .run(&["migrate"])
        .done();
    let program = Program::at(&server).keys(KEY, OLD_KEY);
    let rotate = ["rotate", "--checkpoint", "at.json"];
    let mut run = program.start(&[&rotate[..], &["--max-rate", "2000"]].concat());
    let file = program.path("at.json");
    crate::program::wait_until(|| {
        assert!(!run.has_ended());
        file.exists()
    });
    run.signal("TERM");
    run.end().with_status(2);
    let resume = [&rotate[..], &["--resume"]].concat();
    // The rotated values are under one key now, the others and the canary under the old one.
    let program = program.keys(OTHER_KEY, &format!("{OLD_KEY},{KEY}"));
    program
        .run(&resume)
        .failed(64, "is of another sweep (rotate under key ");
    let program = program.keys(KEY, OLD_KEY);
    program.run(&resume).done();
    assert_states_sealed(&server, STATES, KEY, Format::Classic);
}

#[test]
fn is_resumed_in_the_pattern_where_it_was_stopped() {
    let server = server_with_states(STATES);
    let mut client = server.client();
    for i in 0..300 {
        client.cmd(&["SET", &format!("sess:{i}"), "plain"]);
    }
    let program = Program::at(&server);
    let sweep = [
        "migrate",
        "--protect",
        "sess:*",
        "--protect",
        "wa:*",
        "--json",
    ];
    let sweep = [&sweep[..], &["--checkpoint", "at.json"]].concat();
    let mut run = program.start(&[&sweep[..], &["--max-rate", "4000"]].concat());
    wait_until_it_is_working(&mut run, &server, STATES);
    run.signal("INT");
    let report = run.end().with_status(2).json();
    assert_eq!(report["patterns"][0]["complete"], true);
    assert_eq!(report["patterns"][1]["complete"], false);
    let report = program
        .run(&[&sweep[..], &["--resume"]].concat())
        .done()
        .json();
    for (index, records) in [(0, 300), (1, STATES)] {
        let pattern = &report["patterns"][index];
        assert_eq!(
            (&pattern["done"], &pattern["total"]),
            (&records.into(), &records.into())
        );
    }
    assert_states_sealed(&server, STATES, KEY, Format::Classic);
}
