//! The end of a command: done, done with findings, or a failure, and the exit status of each.

use std::process::ExitCode;

use waxseal_service::failure::Kind;
use waxseal_service::{Ended, Failure};

use crate::output;

/// The exit status of a command that did not fail.
pub(crate) fn exit_code(ended: Ended) -> ExitCode {
    match ended {
        Ended::Done => ExitCode::SUCCESS,
        Ended::Findings => ExitCode::from(1),
    }
}

/// Prints a failure, and returns the exit status that it stands for.
pub(crate) fn report(failure: &Failure) -> ExitCode {
    output::error(failure.text());
    if let Some(hint) = failure.advice() {
        output::hint(hint);
    }
    ExitCode::from(match failure.kind() {
        Kind::Absent => 1,
        Kind::Failed => 2,
        Kind::Usage => 64,
    })
}
