//! `cargo xtask bench`: runs the benchmarks of the crates. Measures nothing itself.

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
    let (chosen, tail) = choose(arguments)?;
    install::everything()?;
    for (_, package, benchmark) in chosen {
        let mut command = cargo(&["bench", "-p", package, "--bench", benchmark]);
        if !tail.is_empty() {
            command.arg("--").args(tail);
        }
        run(command)?;
    }
    Ok(())
}

type Benchmark = (&'static str, &'static str, &'static str);

/// One benchmark by its name, or all of them if the arguments do not begin with a name; and the
/// remaining arguments.
fn choose(arguments: &[String]) -> Result<(Vec<Benchmark>, &[String]), Failure> {
    match arguments.split_first() {
        None => Ok((BENCHMARKS.to_vec(), &[])),
        Some((flag, _)) if flag.starts_with('-') => {
            Ok((BENCHMARKS.to_vec(), without_dashes(arguments)))
        }
        Some((name, tail)) => {
            let chosen = BENCHMARKS.into_iter().find(|(known, ..)| known == name);
            let unknown = || Failure::Usage(format!("there is no benchmark `{name}`"));
            chosen
                .map(|chosen| (vec![chosen], without_dashes(tail)))
                .ok_or_else(unknown)
        }
    }
}

/// A benchmark's arguments may follow `--`, as they do for Cargo.
fn without_dashes(arguments: &[String]) -> &[String] {
    match arguments.split_first() {
        Some((dashes, tail)) if dashes == "--" => tail,
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
    fn a_name_selects_one_benchmark_and_none_selects_all() {
        let line = words("store --json");
        let (chosen, tail) = choose(&line).unwrap();
        assert_eq!(chosen, [named("store")]);
        assert_eq!(tail, words("--json"));
        assert_eq!(choose(&[]).unwrap().0, BENCHMARKS);
        assert_eq!(
            choose(&words("--json")).unwrap(),
            (BENCHMARKS.to_vec(), &words("--json")[..])
        );
    }

    #[test]
    fn arguments_may_follow_two_dashes() {
        let line = words("proxy -- --only memory");
        let (chosen, tail) = choose(&line).unwrap();
        assert_eq!(chosen, [named("proxy")]);
        assert_eq!(tail, words("--only memory"));
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
