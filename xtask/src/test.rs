//! `cargo xtask test`: everything that must hold before a change is merged, in one command. The
//! tests come last, so that their own summary ends the output. All test binaries run, even when one
//! fails: the summary then names each of them.

use std::process::Command;
use std::thread::available_parallelism;

use crate::Failure;
use crate::install;
use crate::run::{cargo, output, run};

/// The parts of the toolchain that not every installation includes.
const COMPONENTS: [(&str, &str); 2] = [("fmt", "rustfmt"), ("clippy", "clippy")];

const NO_FAIL_FAST: &str = "--no-fail-fast";

/// The test harness's variable for the number of tests at a time.
const TEST_THREADS: &str = "RUST_TEST_THREADS";
/// Concurrent tests per processor: most of them wait most of the time, for servers, clocks and
/// timeouts.
const TESTS_PER_PROCESSOR: usize = 3;
/// More concurrent tests than this only compete for ports, memory and open files.
const MAX_CONCURRENT_TESTS: usize = 12;

pub(crate) fn test(arguments: &[String]) -> Result<(), Failure> {
    let options = Options::parse(arguments)?;
    if options.install {
        install::everything()?;
    }
    for (subcommand, component) in COMPONENTS {
        if output(cargo(&[subcommand, "--version"])).is_none() {
            return Err(Failure::Chore(format!(
                "`cargo {subcommand}` is missing: get it with `rustup component add {component}`"
            )));
        }
    }
    run(cargo(&["fmt", "--all", "--", "--check"]))?;
    run(cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]))?;
    // As an application uses the library without any of its features. With `waxseal-stores`, most
    // of what both use was checked above and is not checked again.
    run(cargo(&[
        "clippy",
        "-p",
        "waxseal-keys",
        "-p",
        "waxseal-stores",
        "--",
        "-D",
        "warnings",
    ]))?;
    run(tests(options.for_cargo))?;
    Ok(())
}

/// The tests of all crates. Without `--no-fail-fast`, Cargo stops at the first binary that fails, and
/// the failures of the others show one run at a time.
fn tests(for_cargo: &[String]) -> Command {
    let mut tests = cargo(&["test", "--workspace", "--all-features"]);
    // Cargo refuses a repeated flag. After a further `--` it would be one of the tests' own.
    let mut flags = for_cargo.iter().take_while(|it| *it != "--");
    if !flags.any(|it| it == NO_FAIL_FAST) {
        tests.arg(NO_FAIL_FAST);
    }
    tests.args(for_cargo);
    if std::env::var_os(TEST_THREADS).is_none() {
        let processors = available_parallelism().map_or(1, usize::from);
        tests.env(TEST_THREADS, tests_at_a_time(processors).to_string());
    }
    tests
}

/// The number of tests to run concurrently. Never fewer than there are processors, like the
/// harness's default.
fn tests_at_a_time(processors: usize) -> usize {
    (processors * TESTS_PER_PROCESSOR).min(processors.max(MAX_CONCURRENT_TESTS))
}

#[derive(Debug, PartialEq, Eq)]
struct Options<'a> {
    install: bool,
    for_cargo: &'a [String],
}

impl<'a> Options<'a> {
    fn parse(arguments: &'a [String]) -> Result<Self, Failure> {
        let end = arguments.iter().position(|argument| argument == "--");
        let ours = &arguments[..end.unwrap_or(arguments.len())];
        let for_cargo = end.map_or(&[][..], |end| &arguments[end + 1..]);
        match ours {
            [] => Ok(Self {
                install: true,
                for_cargo,
            }),
            [flag] if flag == "--no-install" => Ok(Self {
                install: false,
                for_cargo,
            }),
            [.., unknown] => Err(Failure::Usage(format!("`test` does not know `{unknown}`"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn arguments_after_two_dashes_go_to_cargo() {
        let line = words("--no-install -- envelope -- --nocapture");
        let options = Options::parse(&line).unwrap();
        assert!(!options.install);
        assert_eq!(options.for_cargo, words("envelope -- --nocapture"));
        assert!(Options::parse(&[]).unwrap().install);
    }

    #[test]
    fn all_test_binaries_run_and_cargo_arguments_come_last() {
        for (line, expected) in [
            ("", "--no-fail-fast"),
            (
                "envelope -- --nocapture",
                "--no-fail-fast envelope -- --nocapture",
            ),
            ("--no-fail-fast --lib", "--no-fail-fast --lib"),
        ] {
            let tests = tests(&words(line));
            let arguments: Vec<_> = tests.get_args().map(|it| it.to_string_lossy()).collect();
            let expected = format!("test --workspace --all-features {expected}");
            assert_eq!(arguments.join(" "), expected);
        }
    }

    #[test]
    fn more_tests_run_concurrently_than_there_are_processors() {
        for (processors, expected) in [(1, 3), (2, 6), (4, 12), (8, 12), (16, 16)] {
            assert_eq!(tests_at_a_time(processors), expected);
        }
        let tests = tests(&[]);
        let set = tests.get_envs().any(|(name, _)| name == TEST_THREADS);
        assert_eq!(set, std::env::var_os(TEST_THREADS).is_none());
    }

    #[test]
    fn refuses_an_unknown_flag() {
        for line in ["--fast", "--no-install --fast", "--fast -- x"] {
            assert!(
                matches!(Options::parse(&words(line)), Err(Failure::Usage(_))),
                "{line}"
            );
        }
    }
}
