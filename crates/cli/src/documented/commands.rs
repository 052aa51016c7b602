//! Command lines and flags.

use clap::error::ErrorKind;
use clap::{Command, CommandFactory, Parser};

use super::{blocks, documents, sources, spans, texts};
use crate::args::Cli;

/// Flags of other programs that documents and hints name.
const OTHERS: [&str; 8] = [
    "--features",
    "--generate-key",
    "--list-objects",
    "--login",
    "--quick",
    "--raw",
    "--release",
    "--ulimit",
];

/// The words of a shell's line, up to where another command begins.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, '$') if characters.peek() == Some(&'(') => {
                word.get_or_insert_default().push_str("OUTPUT");
                break;
            }
            (None, '|' | '&' | ';' | ')' | '#' | '>') => {
                // `2>` belongs to what follows it.
                word = word.filter(|word| word != "2" || c != '>');
                break;
            }
            (None, '<') if characters.peek().is_none_or(|next| *next == ' ') => break,
            (None, ' ') => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// True if a command may begin behind these words of a line.
fn is_command_place(before: &str) -> bool {
    // The program's own path may be before its name.
    let end = before.rfind([' ', '(', '\'', '=']).map_or(0, |at| at + 1);
    let (before, path) = before.split_at(end);
    let is_path = path.is_empty() || path.starts_with('/') && path.ends_with('/');
    let last = before.trim_end().rsplit(' ').next().unwrap_or_default();
    let is_set = last.contains('=') && !last.starts_with('-');
    let is_first = last.is_empty() || last.ends_with(['|', ';', '&', '(', '!']);
    is_path && (is_first || is_set || ["do", "sudo", "--", "exec"].contains(&last))
}

/// Every call of waxseal in a line, with its arguments.
fn calls(line: &str) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    for start in ["waxseal ", "cargo run --release -- "] {
        for (at, _) in line.match_indices(start) {
            let before = line.get(..at).unwrap_or_default();
            if is_command_place(before) && !before.contains('#') {
                let rest = line.get(at + start.len()..).unwrap_or_default();
                let mut call = vec!["waxseal".to_owned()];
                call.extend(words(rest));
                calls.push(call);
            }
        }
    }
    calls
}

/// The reason why a call would be refused, if it would. A value may be a placeholder.
fn refusal(call: &[String], is_whole: bool) -> Option<String> {
    // Help of a placeholder is help of each command.
    if call.get(1).is_some_and(|word| word == "help") {
        return None;
    }
    let error = Cli::try_parse_from(call).err()?;
    let is_fine = match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => true,
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            let is_placeholder = |word: &String| {
                let bare = word.trim_matches(['<', '>']);
                word.contains('…')
                    || bare.len() < word.len()
                    || bare.bytes().all(|b| b.is_ascii_uppercase())
            };
            // A flag that is only named has no value.
            let is_named = !is_whole && call.last().is_some_and(|word| word.starts_with("--"));
            is_named || call.iter().skip(2).any(is_placeholder)
        }
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => !is_whole,
        _ => false,
    };
    (!is_fine).then(|| format!("{}: {}", call.join(" "), error.kind()))
}

/// True if the first word of a call is a command or a flag.
fn names_a_command(call: &[String]) -> bool {
    let command = Cli::command();
    let mut known = command.get_subcommands().map(Command::get_name);
    let first = call.get(1).map(String::as_str).unwrap_or_default();
    first.starts_with("--") || known.any(|name| name == first)
}

/// Every flag of every command.
fn flags(command: &Command, found: &mut Vec<String>) {
    for argument in command.get_arguments() {
        let long = argument.get_long_and_visible_aliases().unwrap_or_default();
        found.extend(long.iter().map(|it| format!("--{it}")));
        let all = argument.get_all_aliases().unwrap_or_default();
        found.extend(all.iter().map(|it| format!("--{it}")));
    }
    for below in command.get_subcommands() {
        flags(below, found);
    }
}

fn all_flags() -> Vec<String> {
    let mut command = Cli::command();
    command.build();
    let mut found = Vec::new();
    flags(&command, &mut found);
    found
}

#[test]
fn every_command_line_that_a_document_shows_is_one_that_the_program_takes() {
    let mut refused = Vec::new();
    let mut seen = 0;
    for document in documents() {
        for block in blocks(&document.text, &["console", "sh"]) {
            let block = block.replace("\\\n", " ");
            let typed = block.lines().filter_map(|line| line.strip_prefix("$ "));
            for call in typed.flat_map(calls) {
                seen += 1;
                refused.extend(refusal(&call, true).map(|it| format!("{}: {it}", document.path)));
            }
        }
        for span in spans(&document.text) {
            // Labels of keys, and sentences that begin with the name.
            let is_label = span.ends_with(" v1");
            let named = calls(&span)
                .into_iter()
                .filter(|it| !is_label && names_a_command(it));
            for call in named {
                seen += 1;
                refused.extend(refusal(&call, false).map(|it| format!("{}: {it}", document.path)));
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(seen > 250, "only {seen} were found");
}

#[test]
fn every_example_in_help_and_every_service_file_is_one_that_the_program_takes() {
    fn examples(command: &Command, found: &mut Vec<String>) {
        let after = command.get_after_help().map(ToString::to_string);
        found.extend(after.unwrap_or_default().lines().map(str::to_owned));
        command.get_subcommands().for_each(|it| examples(it, found));
    }
    let mut lines = Vec::new();
    examples(&Cli::command(), &mut lines);
    let services = texts(&["deploy"], &["service"]);
    for service in services {
        let text = service.text.replace("\\\n", " ");
        let started = text.lines().filter(|it| it.starts_with("Exec"));
        lines.extend(started.map(str::to_owned));
    }
    let calls: Vec<_> = lines.iter().flat_map(|line| calls(line.trim())).collect();
    let refused: Vec<_> = calls
        .iter()
        .filter_map(|call| refusal(call, true))
        .collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(calls.len() > 60, "only {} were found", calls.len());
}

#[test]
fn every_flag_that_is_named_exists() {
    let known = all_flags();
    let mut unknown = Vec::new();
    for document in documents() {
        for span in spans(&document.text) {
            let others = [
                "cargo",
                "redis-",
                "docker",
                "softhsm2",
                "pkcs11-tool",
                "systemd",
                "bao",
                "vault",
                "npm",
                "node",
            ];
            if others.iter().any(|it| span.starts_with(it)) || span.starts_with("---") {
                continue;
            }
            let named = span
                .split([' ', '|', ',', '=', '/'])
                .filter(|it| it.starts_with("--"));
            for flag in named.map(|it| it.trim_end_matches(['.', ']', ';', ':'])) {
                let is_known =
                    known.iter().any(|it| it == flag) || OTHERS.contains(&flag) || flag == "--";
                if !is_known {
                    unknown.push(format!("{}: {flag} in `{span}`", document.path));
                }
            }
        }
    }
    // Hints of the program itself.
    for source in sources() {
        let text = source.text.split("#[cfg(test)]").next().unwrap_or_default();
        for (at, _) in text.match_indices(" --") {
            let rest = text.get(at + 1..).unwrap_or_default();
            let end = rest
                .find(|c: char| !c.is_ascii_lowercase() && c != '-')
                .unwrap_or(rest.len());
            let flag = rest.get(..end).unwrap_or_default().trim_end_matches('-');
            let is_text = source.path.starts_with("crates/cli/src") && flag.len() > 3;
            if is_text && !known.iter().any(|it| it == flag) && !OTHERS.contains(&flag) {
                unknown.push(format!("{}: {flag}", source.path));
            }
        }
    }
    assert!(unknown.is_empty(), "{}", unknown.join("\n"));
}

#[test]
fn the_exit_statuses_of_help_are_those_of_the_documents() {
    let after = Cli::command().get_after_help().unwrap().to_string();
    let (_, statuses) = after.split_once("Exit status: ").unwrap();
    let operations =
        std::fs::read_to_string(super::root().join("docs/operate/operations.md")).unwrap();
    for (status, word) in [(0, "done"), (1, "findings"), (2, "failed"), (64, "usage")] {
        assert!(statuses.contains(&format!("{status} {word}")), "{statuses}");
        let row = format!("| {status} | ");
        let row = operations.lines().find(|line| line.starts_with(&row));
        let is_explained = row.is_some_and(|row| row.contains(word));
        assert!(is_explained, "{status}: {row:?}");
    }
}

#[test]
fn the_readme_names_every_command() {
    let readme = std::fs::read_to_string(super::root().join("README.md")).unwrap();
    let (_, table) = readme.split_once("\n## Commands\n").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    for command in Cli::command().get_subcommands() {
        let words = table.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
        let name = command.get_name();
        assert!(
            words.into_iter().any(|word| word == name),
            "{name} is not there"
        );
    }
}
