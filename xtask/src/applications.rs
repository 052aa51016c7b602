//! `cargo xtask applications`: runs every framework behind the proxy as the tests do, in the longer
//! forms, and prints the result of each. The programs and the checks are those of the command
//! line's tests.

use std::fs;

use crate::Failure;
use crate::install;
use crate::run::{command_line_tests, run, workspace_root};

/// The duration of the longer forms, and their number of processes.
const DEFAULT_SECONDS: u64 = 20;
const DEFAULT_PROCESSES: u64 = 16;
/// The directory in which each test writes its outcome.
const RESULTS_DIRECTORY: &str = "target/artefacts/applications";

pub(crate) fn applications(arguments: &[String]) -> Result<(), Failure> {
    let options = Options::parse(arguments)?;
    install::everything()?;
    let results = workspace_root().join(RESULTS_DIRECTORY);
    // It need not exist yet.
    let _ = fs::remove_dir_all(&results);
    let filter = format!("applications::{}", options.filter.unwrap_or_default());
    let mut tests = command_line_tests(&filter);
    tests.env("WAXSEAL_APPLICATIONS_SECONDS", options.seconds.to_string());
    tests.env(
        "WAXSEAL_APPLICATIONS_PROCESSES",
        options.processes.to_string(),
    );
    let outcome = run(tests);
    let mut lines = Vec::new();
    for entry in fs::read_dir(&results).into_iter().flatten().flatten() {
        // The remedies are beside it. A name may have a dot: socket.io.
        if entry.path().extension().is_some_and(|it| it == "toml") {
            continue;
        }
        let text = fs::read_to_string(entry.path())
            .map_err(|error| format!("{} cannot be read: {error}", entry.path().display()))?;
        lines.push((entry.file_name().to_string_lossy().into_owned(), text));
    }
    if outcome.is_ok() && lines.is_empty() {
        return Err(Failure::Chore(format!(
            "no framework was run: no test of one has a name that begins with `{filter}`"
        )));
    }
    print!("{}", table(lines));
    Ok(outcome?)
}

/// One line for each framework whose test finished.
fn table(mut lines: Vec<(String, String)>) -> String {
    lines.sort();
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, text): &(String, String)| format!("{name:width$}  {}\n", text.trim());
    lines.iter().map(line).collect()
}

#[derive(Debug, PartialEq, Eq)]
struct Options<'a> {
    seconds: u64,
    processes: u64,
    /// Only tests whose name begins with this.
    filter: Option<&'a str>,
}

impl<'a> Options<'a> {
    fn parse(arguments: &'a [String]) -> Result<Self, Failure> {
        let mut options = Self {
            seconds: DEFAULT_SECONDS,
            processes: DEFAULT_PROCESSES,
            filter: None,
        };
        let mut remaining = arguments.iter();
        while let Some(word) = remaining.next() {
            let mut number = || {
                let number = remaining.next().and_then(|value| value.parse().ok());
                number.ok_or_else(|| Failure::Usage(format!("`{word}` needs a number")))
            };
            match word.as_str() {
                "--seconds" => options.seconds = number()?,
                "--processes" => options.processes = number()?.max(1),
                flag if flag.starts_with('-') => {
                    return Err(Failure::Usage(format!(
                        "`applications` does not know `{flag}`"
                    )));
                }
                filter => options.filter = Some(filter),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[String]) -> Result<Options<'_>, Failure> {
        Options::parse(words)
    }

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn parses_duration_and_number_of_processes() {
        let line = words("python --seconds 3 --processes 4");
        let options = parsed(&line).unwrap();
        assert_eq!((options.seconds, options.processes), (3, 4));
        assert_eq!(options.filter, Some("python"));
        let defaults = parsed(&[]).unwrap();
        assert_eq!(
            (defaults.seconds, defaults.processes),
            (DEFAULT_SECONDS, DEFAULT_PROCESSES)
        );
    }

    #[test]
    fn refuses_unknown_arguments() {
        for line in ["--fast", "--seconds", "--processes many"] {
            assert!(
                matches!(parsed(&words(line)), Err(Failure::Usage(_))),
                "{line}"
            );
        }
    }

    #[test]
    fn the_table_is_aligned() {
        let lines = [("rq", "fine\n"), ("celery", "fine")];
        let lines = lines.map(|(name, text)| (name.to_owned(), text.to_owned()));
        assert_eq!(table(lines.into()), "celery  fine\nrq      fine\n");
    }
}
