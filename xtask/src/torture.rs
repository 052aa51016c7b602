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
    run(command)?;
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    seconds: u64,
    seed: u64,
}

impl Wanted {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut wanted = Self {
            seconds: DEFAULT_SECONDS,
            seed: random_seed(),
        };
        let mut rest = arguments.iter();
        while let Some(flag) = rest.next() {
            let place = match flag.as_str() {
                "--seconds" => &mut wanted.seconds,
                "--seed" => &mut wanted.seed,
                unknown => {
                    return Err(Failure::Usage(format!(
                        "`torture` does not know `{unknown}`"
                    )));
                }
            };
            let number = rest.next().and_then(|number| number.parse().ok());
            *place = number.ok_or_else(|| Failure::Usage(format!("`{flag}` needs a number")))?;
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
        assert_eq!(parsed("").unwrap().seconds, DEFAULT_SECONDS);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for line in ["--fast", "--seed", "--seconds soon"] {
            assert!(matches!(parsed(line), Err(Failure::Usage(_))), "{line}");
        }
    }
}
