//! `cargo xtask torture`: compares the proxy with a server without one, with random requests, for
//! as long as the caller wants; with `--model`, with valid ones and long histories; with `--chaos`, clients under load while everything around two
//! proxies fails. The requests, the faults and the checks are those of the command line's tests.

use std::process::Command;

use crate::Failure;
use crate::install;
use crate::run::{cargo, run};

const DEFAULT_SECONDS: u64 = 600;
/// Combinations of connections and formats, each a separate test.
const COMBINATIONS: u64 = 4;
/// The same of the model.
const MODEL_COMBINATIONS: u64 = 12;

pub(crate) fn torture(arguments: &[String]) -> Result<(), Failure> {
    let options = Options::parse(arguments)?;
    install::everything()?;
    if options.chaos {
        return chaos(&options);
    }
    if options.model {
        return model(&options);
    }
    let mut command = tests("torture::random");
    let seconds = options.seconds.div_ceil(COMBINATIONS);
    command.env("WAXSEAL_TORTURE_SECONDS", seconds.to_string());
    command.env("WAXSEAL_TORTURE_SEED", options.seed.to_string());
    if let Some(round) = options.round {
        command.env("WAXSEAL_TORTURE_ROUND", round.to_string());
    }
    if let Some(entry) = options.entry {
        command.env("WAXSEAL_TORTURE_ENTRY", entry);
    }
    run(command)?;
    Ok(())
}

fn model(options: &Options) -> Result<(), Failure> {
    let mut command = tests("model::valid");
    let seconds = options.seconds.div_ceil(MODEL_COMBINATIONS);
    command.env("WAXSEAL_MODEL_SECONDS", seconds.to_string());
    command.env("WAXSEAL_MODEL_SEED", options.seed.to_string());
    if let Some(round) = options.round {
        command.env("WAXSEAL_MODEL_EPISODE", round.to_string());
    }
    run(command)?;
    Ok(())
}

fn chaos(options: &Options) -> Result<(), Failure> {
    let mut command = tests("chaos::");
    command.env("WAXSEAL_CHAOS_SECONDS", options.seconds.to_string());
    command.env("WAXSEAL_CHAOS_SEED", options.seed.to_string());
    if let Some(fault) = &options.fault {
        command.env("WAXSEAL_CHAOS_FAULT", fault);
    }
    run(command)?;
    Ok(())
}

/// Runs these tests of the command line, optimised and one after the other.
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
struct Options {
    seconds: u64,
    seed: u64,
    /// Only this round, or only this entry of the directed list.
    round: Option<u64>,
    entry: Option<String>,
    /// Sends valid requests in long histories; a round is an episode of those.
    model: bool,
    /// Injects faults instead of requests, and only this one.
    chaos: bool,
    fault: Option<String>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self {
            seconds: DEFAULT_SECONDS,
            seed: random_seed(),
            round: None,
            entry: None,
            model: false,
            chaos: false,
            fault: None,
        };
        let mut remaining = arguments.iter();
        while let Some(flag) = remaining.next() {
            let switch = match flag.as_str() {
                "--chaos" => Some(&mut options.chaos),
                "--model" => Some(&mut options.model),
                _ => None,
            };
            if let Some(switch) = switch {
                *switch = true;
                continue;
            }
            let value = remaining.next();
            let number = || {
                let number = value.and_then(|value| value.parse().ok());
                number.ok_or_else(|| Failure::Usage(format!("`{flag}` needs a number")))
            };
            match flag.as_str() {
                "--seconds" => options.seconds = number()?,
                "--seed" => options.seed = number()?,
                "--round" => options.round = Some(number()?),
                "--entry" => options.entry = value.cloned(),
                "--fault" => options.fault = value.cloned(),
                unknown => {
                    return Err(Failure::Usage(format!(
                        "`torture` does not know `{unknown}`"
                    )));
                }
            }
        }
        Ok(options)
    }
}

/// A seed that is short enough to be typed.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) % 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, Failure> {
        let words: Vec<String> = line.split_whitespace().map(ToOwned::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn parses_duration_and_seed() {
        let options = parsed("--seed 7 --seconds 30").unwrap();
        assert_eq!((options.seconds, options.seed), (30, 7));
        assert_eq!(parsed("--seed 7 --round 3").unwrap().round, Some(3));
        let chaos = parsed("--chaos --seed 7").unwrap();
        assert_eq!((chaos.chaos, chaos.seed), (true, 7));
        let model = parsed("--model --round 7").unwrap();
        assert_eq!((model.model, model.round), (true, Some(7)));
        let usual = parsed("").unwrap();
        assert_eq!((usual.chaos, usual.seconds), (false, DEFAULT_SECONDS));
    }

    #[test]
    fn refuses_unknown_arguments() {
        for line in ["--fast", "--seed", "--seconds soon"] {
            assert!(matches!(parsed(line), Err(Failure::Usage(_))), "{line}");
        }
    }
}
