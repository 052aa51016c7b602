//! `cargo xtask torture`: the proxy against a server without one, with random requests, for as long as
//! the caller wants; with `--chaos`, clients under load while everything around two proxies fails. The
//! requests, the faults and the checks are those of the command line's tests.

use std::process::Command;

use crate::Failure;
use crate::install;
use crate::run::{cargo, run};

const DEFAULT_SECONDS: u64 = 600;
/// Ways of going upstream and formats, each a test of its own.
const SETTINGS: u64 = 4;

pub(crate) fn torture(arguments: &[String]) -> Result<(), Failure> {
    let wanted = Wanted::parse(arguments)?;
    install::everything()?;
    if wanted.chaos {
        return chaos(&wanted);
    }
    let mut command = tests("torture::random");
    let seconds = wanted.seconds.div_ceil(SETTINGS);
    command.env("WAXSEAL_TORTURE_SECONDS", seconds.to_string());
    command.env("WAXSEAL_TORTURE_SEED", wanted.seed.to_string());
    if let Some(round) = wanted.round {
        command.env("WAXSEAL_TORTURE_ROUND", round.to_string());
    }
    if let Some(entry) = wanted.entry {
        command.env("WAXSEAL_TORTURE_ENTRY", entry);
    }
    run(command)?;
    Ok(())
}

fn chaos(wanted: &Wanted) -> Result<(), Failure> {
    let mut command = tests("chaos::");
    command.env("WAXSEAL_CHAOS_SECONDS", wanted.seconds.to_string());
    command.env("WAXSEAL_CHAOS_SEED", wanted.seed.to_string());
    if let Some(fault) = &wanted.fault {
        command.env("WAXSEAL_CHAOS_FAULT", fault);
    }
    run(command)?;
    Ok(())
}

/// Runs these tests of the command line, optimized and one after the other.
fn tests(filter: &str) -> Command {
    cargo(&[
        "test",
        "--release",
        "-p",
        "waxseal-cli",
        "--test",
        "it",
        "--",
        filter,
        "--nocapture",
        "--test-threads=1",
    ])
}

#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    seconds: u64,
    seed: u64,
    /// Only this round, or only this entry of the directed list.
    round: Option<u64>,
    entry: Option<String>,
    /// Faults instead of requests, and only this one.
    chaos: bool,
    fault: Option<String>,
}

impl Wanted {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut wanted = Self {
            seconds: DEFAULT_SECONDS,
            seed: random_seed(),
            round: None,
            entry: None,
            chaos: false,
            fault: None,
        };
        let mut rest = arguments.iter();
        while let Some(flag) = rest.next() {
            if flag == "--chaos" {
                wanted.chaos = true;
                continue;
            }
            let value = rest.next();
            let number = || {
                let number = value.and_then(|value| value.parse().ok());
                number.ok_or_else(|| Failure::Usage(format!("`{flag}` needs a number")))
            };
            match flag.as_str() {
                "--seconds" => wanted.seconds = number()?,
                "--seed" => wanted.seed = number()?,
                "--round" => wanted.round = Some(number()?),
                "--entry" => wanted.entry = value.cloned(),
                "--fault" => wanted.fault = value.cloned(),
                unknown => {
                    return Err(Failure::Usage(format!(
                        "`torture` does not know `{unknown}`"
                    )));
                }
            }
        }
        Ok(wanted)
    }
}

/// A seed that is short enough to be typed again.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) % 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Wanted, Failure> {
        let words: Vec<String> = line.split_whitespace().map(ToOwned::to_owned).collect();
        Wanted::parse(&words)
    }

    #[test]
    fn runs_for_as_long_and_from_the_seed_that_is_said() {
        let wanted = parsed("--seed 7 --seconds 30").unwrap();
        assert_eq!((wanted.seconds, wanted.seed), (30, 7));
        assert_eq!(parsed("--seed 7 --round 3").unwrap().round, Some(3));
        let chaos = parsed("--chaos --seed 7").unwrap();
        assert_eq!((chaos.chaos, chaos.seed), (true, 7));
        let usual = parsed("").unwrap();
        assert_eq!((usual.chaos, usual.seconds), (false, DEFAULT_SECONDS));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for line in ["--fast", "--seed", "--seconds soon"] {
            assert!(matches!(parsed(line), Err(Failure::Usage(_))), "{line}");
        }
    }
}
