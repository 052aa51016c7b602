//! The repository's own chores, as `cargo xtask <chore>`: run the tests with everything they need,
//! run the benchmarks, check the house rules. Knows the workspace's layout and nothing of what the
//! crates do.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore talks to its caller"
)]

mod applications;
mod bench;
mod docs;
mod install;
mod run;
mod tcl;
mod test;
mod tidy;
mod torture;
mod upgrade;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <chore>

  test [--no-install] [-- ARGS]       install what the tests need, check format and lints, run all
                                      tests, also after a failure; ARGS go to `cargo test`
  bench [core|store|migrate|proxy] [ARGS]
                                      run one benchmark or all of them; ARGS go to the benchmark
  torture [--model | --chaos [--fault NAME]] [--seconds N] [--seed S] [--round R | --entry LINE]
                                      send the proxy random requests and compare it with a server without
                                      one, for 600 seconds unless told otherwise; with --model, valid
                                      requests in long histories
  upgrade [--before COMMIT | --binary PATH]
                                      move a keyring from a former version of the program to this one and back,
                                      under load, with processes of both; the former binary is built from that
                                      commit, or from the last release
  applications [--seconds N] [--processes N] [FILTER]
                                      run frameworks behind the proxy, the longer forms for 20 seconds and with
                                      16 processes unless told otherwise, and print the result of each
  tcl [--names] [UNIT...]             run the tests of Redis' authors against a proxy that protects everything
  tools                               only install what the tests need
  docs                                write the documents that are made from code
  tidy                                check the house rules
  help                                this text";

/// The exit status of a usage error, as in `sysexits.h`.
const EX_USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((chore, options)) = arguments.split_first() else {
        eprintln!("{USAGE}");
        return ExitCode::from(EX_USAGE);
    };
    let outcome = match chore.as_str() {
        "test" => test::test(options),
        "bench" => bench::bench(options),
        "torture" => torture::torture(options),
        "upgrade" => upgrade::upgrade(options),
        "applications" => applications::applications(options),
        "tcl" => tcl::tcl(options),
        "tools" => install::tools(options),
        "docs" => docs::write(options),
        "tidy" => tidy::report(options),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        unknown => Err(Failure::Usage(format!("there is no chore `{unknown}`"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(problem)) => {
            eprintln!("xtask: error: {problem}\n\n{USAGE}");
            ExitCode::from(EX_USAGE)
        }
        Err(Failure::Chore(problem)) => {
            eprintln!("xtask: error: {problem}");
            ExitCode::FAILURE
        }
    }
}

/// Why a chore failed.
#[derive(Debug)]
enum Failure {
    /// A usage error.
    Usage(String),
    /// The chore ran and failed.
    Chore(String),
}

impl From<String> for Failure {
    fn from(problem: String) -> Self {
        Self::Chore(problem)
    }
}
