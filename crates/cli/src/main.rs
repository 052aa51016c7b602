//! The binary `waxseal`: reads what was typed, runs the command, and turns its end into an exit
//! status.

mod args;
mod commands;
#[cfg(test)]
mod documented;
mod error;
mod line_queue;
mod logging;
mod lost_lines;
mod output;
mod progress;
mod signals;
mod stderr;
mod usage_error;

use std::panic::catch_unwind;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use waxseal_service::{Failure, hardening, notice, panics};

use crate::args::{Cli, Command};

/// The status of a process that a bug of ours ended.
const BUG: u8 = 70;
/// The time that the end of the process waits for threads that are blocked.
const BLOCKED_TIMEOUT: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    panics::install_hook();
    notice::set_printer(output::notice);
    let status = catch_unwind(run).unwrap_or_else(|_| ExitCode::from(BUG));
    logging::flush();
    status
}

fn run() -> ExitCode {
    let core_dumps = hardening::forbid_core_dumps();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are asked for; anything else is wrong usage.
        Err(error) => return usage_error::report(error),
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return error::report(&Failure::from(error)),
    };
    {
        // Before the first line is written.
        let _entered = runtime.enter();
        signals::outlive_file_limits();
    }
    if let Err(failure) = logging::start(&cli.common.log_settings()) {
        return error::report(&failure);
    }
    output::set_json(cli.common.json);
    let runs_for_long = matches!(cli.command, Command::Proxy(_) | Command::Keeper(_));
    hardening::begin(&core_dumps, runs_for_long);
    let code = match runtime.block_on(commands::run(cli)) {
        Ok(ended) => match output::unwritten() {
            Some(failure) => error::report(&failure),
            None => error::exit_code(ended),
        },
        Err(failure) => error::report(&failure),
    };
    // What blocks in a system call, such as looking up a name or a file system that hangs, cannot be ended.
    runtime.shutdown_timeout(BLOCKED_TIMEOUT);
    code
}
