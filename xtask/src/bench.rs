//! `cargo xtask bench`: which benchmark lies in which crate. Measures nothing itself.

use crate::Failure;
use crate::install;
use crate::run::{cargo, run};

/// Name on the command line, crate, benchmark.
const BENCHMARKS: [(&str, &str, &str); 6] = [
    ("core", "waxseal-core", "seal_open"),
    ("keys", "waxseal-keys", "ring"),
    ("store", "waxseal-sessions", "overhead"),
    ("migrate", "waxseal-cli", "migration"),
    ("policy", "waxseal-policy", "find"),
    ("proxy", "waxseal-cli", "proxy"),
];

pub(crate) fn bench(arguments: &[String]) -> Result<(), Failure> {
    let (chosen, rest) = choose(arguments)?;
    install::everything()?;
    for (_, package, benchmark) in chosen {
        let mut command = cargo(&["bench", "-p", package, "--bench", benchmark]);
        if !rest.is_empty() {
            command.arg("--").args(rest);
        }
        run(command)?;
    }
    Ok(())
}

type Benchmark = (&'static str, &'static str, &'static str);

/// One benchmark by its name, or all of them where no name stands in front; and what is left.
fn choose(arguments: &[String]) -> Result<(Vec<Benchmark>, &[String]), Failure> {
    match arguments.split_first() {
        None => Ok((BENCHMARKS.to_vec(), &[])),
        Some((flag, _)) if flag.starts_with('-') => {
            Ok((BENCHMARKS.to_vec(), without_dashes(arguments)))
        }
        Some((name, rest)) => {
            let chosen = BENCHMARKS.into_iter().find(|(known, ..)| known == name);
            let unknown = || Failure::Usage(format!("there is no benchmark `{name}`"));
            chosen
                .map(|chosen| (vec![chosen], without_dashes(rest)))
                .ok_or_else(unknown)
        }
    }
}

/// A benchmark's arguments may stand behind `--`, as they do for Cargo.
fn without_dashes(arguments: &[String]) -> &[String] {
    match arguments.split_first() {
        Some((dashes, rest)) if dashes == "--" => rest,
        _ => arguments,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Benchmark {
        let mut known = BENCHMARKS.into_iter();
        known.find(|(known, ..)| *known == name).unwrap()
    }

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn a_name_chooses_one_benchmark_and_none_chooses_all() {
        let line = words("store --json");
        let (chosen, rest) = choose(&line).unwrap();
        assert_eq!(chosen, [named("store")]);
        assert_eq!(rest, words("--json"));
        assert_eq!(choose(&[]).unwrap().0, BENCHMARKS);
        assert_eq!(
            choose(&words("--json")).unwrap(),
            (BENCHMARKS.to_vec(), &words("--json")[..])
        );
    }

    #[test]
    fn arguments_may_stand_behind_two_dashes() {
        let line = words("proxy -- --only memory");
        let (chosen, rest) = choose(&line).unwrap();
        assert_eq!(chosen, [named("proxy")]);
        assert_eq!(rest, words("--only memory"));
        let line = words("-- --quick");
        assert_eq!(
            choose(&line).unwrap(),
            (BENCHMARKS.to_vec(), &words("--quick")[..])
        );
    }

    #[test]
    fn refuses_a_benchmark_that_does_not_exist() {
        assert!(matches!(choose(&words("moon")), Err(Failure::Usage(_))));
    }
}
