//! Errors of the command line that do not repeat what was typed: a record name, a user or a secret
//! that is in the wrong place must not reach a log by way of an error.

use std::io::{IsTerminal, stderr, stdout};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::output;
use crate::stderr::write_line;

/// The replacement of what was typed.
const HIDDEN: &str = "…";
/// The maximum length of flags and subcommands.
const LONGEST_WORD: usize = 20;

/// Prints why the command line cannot be read, or the help or version that was asked for.
pub(crate) fn report(error: clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let styled = error.render();
        let text = match stdout().is_terminal() {
            true => styled.ansi().to_string(),
            false => styled.to_string(),
        };
        // Text of ours may control a terminal.
        output::own_bytes(text.as_bytes());
        return match output::unwritten() {
            Some(failure) => crate::error::report(&failure),
            None => ExitCode::SUCCESS,
        };
    }
    let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    let text = match is_help {
        true => error.render().ansi().to_string(),
        false => text(error, stderr().is_terminal()),
    };
    write_line(text.trim_end_matches('\n').to_owned());
    ExitCode::from(64)
}

fn text(mut error: clap::Error, coloured: bool) -> String {
    let typed = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(typed)) => typed.clone(),
        _ => String::new(),
    };
    for kind in [
        ContextKind::InvalidArg,
        ContextKind::InvalidSubcommand,
        ContextKind::InvalidValue,
    ] {
        let shows = match error.get(kind) {
            Some(ContextValue::String(word)) => may_show(&error, kind, word),
            _ => true,
        };
        if !shows {
            error.insert(kind, ContextValue::String(HIDDEN.to_owned()));
            // The suggestion would repeat the argument.
            error.remove(ContextKind::Suggested);
        }
    }
    let styled = error.render();
    let text = match coloured {
        true => styled.ansi().to_string(),
        false => styled.to_string(),
    };
    // The parser of numbers repeats them as well.
    match typed.is_empty() {
        true => text,
        false => text.replace(&format!("{typed} is not in"), "it is not in"),
    }
}

/// True if a word can only be the misspelling of one of ours.
fn may_show(error: &clap::Error, kind: ContextKind, word: &str) -> bool {
    let letters = |text: &str| text.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-');
    let is_short = word.len() <= LONGEST_WORD && letters(word);
    match (kind, error.kind()) {
        // Only here is it what was typed; elsewhere it is the flag.
        (ContextKind::InvalidArg, ErrorKind::UnknownArgument) => is_short && word.starts_with("--"),
        (ContextKind::InvalidArg, _) => true,
        (ContextKind::InvalidSubcommand, ErrorKind::InvalidSubcommand) => is_short,
        (ContextKind::InvalidSubcommand, _) => true,
        // A missing value is empty.
        (ContextKind::InvalidValue, ErrorKind::InvalidValue) => word.is_empty() || is_short,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::text;
    use crate::args::Cli;

    fn told(line: &str) -> String {
        let error = Cli::try_parse_from(line.split(' ')).err().unwrap();
        text(error, false)
    }

    #[test]
    fn what_could_be_a_name_or_a_secret_is_not_repeated() {
        for line in [
            "waxseal get a wa:5219",
            "waxseal wa:5219",
            "waxseal keyring wa:5219",
            "waxseal put a --ttl 5219x",
            "waxseal proxy --workers 5219",
            "waxseal proxy --max-value 5219x",
            "waxseal get a --5219",
            "waxseal get a --wa:5219",
            "waxseal forget --5219=5219",
            "waxseal seal --format 5219",
            "waxseal keyring promote 5219",
            "waxseal keyring export f --shares 5219",
            "waxseal --json=5219 audit",
            "waxseal get a --element -5219",
            "waxseal -5219",
        ] {
            let told = told(line);
            assert!(
                told.starts_with("error: ") && !told.contains("5219"),
                "{told}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_reported_anyway() {
        for (line, problem) in [
            ("waxseal migrat", "unrecognized subcommand 'migrat'"),
            (
                "waxseal audit --deeep",
                "unexpected argument '--deeep' found",
            ),
            (
                "waxseal completions tcsh",
                "invalid value 'tcsh' for '<SHELL>'",
            ),
            (
                "waxseal put a --ttl 5x",
                "'…' for '--ttl <SECONDS>': invalid digit",
            ),
            (
                "waxseal put a --ttl 0",
                "for '--ttl <SECONDS>': it is not in 1..",
            ),
            ("waxseal get a b", "unexpected argument '…' found"),
            (
                "waxseal put a --ttl",
                "a value is required for '--ttl <SECONDS>'",
            ),
            ("waxseal put", "<NAME>"),
        ] {
            let told = told(line);
            assert!(told.contains(problem), "{told}");
        }
    }
}
