//! `cargo xtask torture`: the proxy against a server without one, with random requests, for as long as
//! the caller wants. The requests and the checks are those of the command line's tests.

use crate::Failure;
use crate::install;
use crate::run::{cargo, run};

const DEFAULT_SECONDS: u64 = 600;
/// Ways of going upstream and formats, each a test of its own.
const SETTINGS: u64 = 4;

pub(crate) fn torture(arguments: &[String]) -> Result<(), Failure> {
    let wanted = Wanted::parse(arguments)?;
    install::everything()?;
    let mut command = cargo(&[
        "test",
        "--release",
        "-p",
        "waxseal-cli",
        "--test",
        "it",
        "--",
        "torture::random",
        "--nocapture",
        "--test-threads=1",
    ]);
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

#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    seconds: u64,
    seed: u64,
    /// Only this round, or only this entry of the directed list.
    round: Option<u64>,
    entry: Option<String>,
}

impl Wanted {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut wanted = Self {
            seconds: DEFAULT_SECONDS,
            seed: random_seed(),
            round: None,
            entry: None,
        };
        let mut rest = arguments.iter();
        while let Some(flag) = rest.next() {
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
        assert_eq!(parsed("").unwrap().seconds, DEFAULT_SECONDS);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for line in ["--fast", "--seed", "--seconds soon"] {
            assert!(matches!(parsed(line), Err(Failure::Usage(_))), "{line}");
        }
    }
}
