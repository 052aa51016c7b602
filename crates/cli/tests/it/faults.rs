//! Tests of a sweep, and of the records under it, when something happens to the server, to
//! the process, or to the records themselves.

mod access;
mod limits;
mod outage;
mod pipes;
mod signals;
mod writers;

use serde_json::Value;

use crate::program::{Output, Running, wait_until};
use crate::records::share_sealed;

/// The counts of the only pattern of a sweep with `--json`.
struct Counts {
    complete: bool,
    total: u64,
    done: u64,
    already: u64,
    raced: u64,
    failed: u64,
}

#[track_caller]
fn counts(output: &Output) -> Counts {
    let report: Value = output.json();
    let pattern = &report["patterns"][0];
    let count = |name: &str| pattern[name].as_u64().expect("a count");
    Counts {
        complete: pattern["complete"].as_bool().unwrap(),
        total: count("total"),
        done: count("done"),
        already: count("already"),
        raced: count("raced"),
        failed: count("failed"),
    }
}

/// Waits until a migration has sealed some of the states.
#[track_caller]
fn wait_until_it_is_working(run: &mut Running, server: &waxseal_testing::RedisServer, states: u64) {
    wait_until(|| {
        assert!(!run.has_ended(), "it ended before it could be disturbed");
        share_sealed(server, states) > 0.1
    });
}
