//! The reader of the output may exit: that is not an error, and the work is done.

use waxseal_core::Format;

use crate::program::{KEY, OLD_KEY, Program};
use crate::records::{NAME, STATE, assert_states_sealed, put, server_with_states};

#[test]
fn a_report_that_no_one_reads_is_not_a_failure() {
    let server = server_with_states(42);
    put(&server, NAME, STATE.as_bytes());
    let program = Program::at(&server);
    for command in [
        &["audit"][..],
        &["audit", "--json"],
        &["get", NAME],
        &["inspect", NAME],
        &["doctor"],
        &["completions", "bash"],
        &["key", "generate"],
    ] {
        let output = program.start_unread(command).end();
        assert_eq!(output.status, 0, "{command:?}: {}", output.stderr);
        assert!(
            !output.stderr.contains("error"),
            "{command:?}: {}",
            output.stderr
        );
    }
}

#[test]
fn a_sweep_goes_to_its_end_although_no_one_reads_its_report() {
    let server = server_with_states(42);
    Program::at(&server)
        .keys(OLD_KEY, "")
        .start_unread(&["migrate"])
        .end()
        .done();
    assert_states_sealed(&server, 42, OLD_KEY, Format::Classic);
    let program = Program::at(&server).keys(KEY, OLD_KEY);
    program.start_unread(&["rotate", "--json"]).end().done();
    assert_states_sealed(&server, 42, KEY, Format::Classic);
    // The canary as well.
    Program::at(&server)
        .run(&["audit", "--require-clean"])
        .done();
}

#[test]
fn a_gate_says_no_although_no_one_reads_why() {
    let server = server_with_states(42);
    let output = Program::at(&server)
        .start_unread(&["audit", "--require-clean"])
        .end();
    output.failed(1, "there is plaintext under a protected pattern");
}

#[test]
fn a_stdout_that_cannot_be_written_is_a_failure() {
    let server = server_with_states(42);
    let run = Program::at(&server).start_after("exec >/dev/full", &["audit"]);
    let output = run.end().with_status(2);
    assert!(
        output.stderr.starts_with("waxseal: error: "),
        "{}",
        output.stderr
    );
}
