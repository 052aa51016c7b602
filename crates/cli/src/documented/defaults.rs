//! Defaults that help names in words: each is the one that the code uses.

use clap::{Command, CommandFactory};
use waxseal_core::{EnvelopeRules, Format};
use waxseal_keys::{CustodianScheme, Settings};
use waxseal_service::configuration::DEFAULT_STORE;
use waxseal_service::configuration::file as config;
use waxseal_service::configuration::protected::{DEFAULT_FORMAT, DEFAULT_RECORDS};

use crate::args::Cli;
use crate::commands::MAX_DEFAULT_WORKERS;

/// Defaults that are taken from elsewhere.
const OF_OTHERS: [&str; 5] = [
    "as long as",
    "as the umask",
    "that of the keyring",
    "an invented",
    "no expiry",
];

/// The defaults that help describes in words, by flag.
fn facts() -> Vec<(&'static str, String)> {
    let settings = Settings::default();
    let format = match DEFAULT_FORMAT {
        Format::Classic => "classic",
        Format::Sealed => "sealed",
    };
    vec![
        ("store", format!("REDIS_URL, else {DEFAULT_STORE}")),
        (
            "protect",
            format!("those of waxseal.toml, else {DEFAULT_RECORDS}"),
        ),
        (
            "config",
            format!("{} in the working directory", config::DEFAULT),
        ),
        ("keyring", "that of waxseal.toml, else none".to_owned()),
        (
            "custodian",
            format!(
                "custodian of waxseal.toml, else {}",
                CustodianScheme::default_url()
            ),
        ),
        ("format", format!("that of waxseal.toml, else {format}")),
        ("kind", "string, or hash-field with --field".to_owned()),
        (
            "envelope-version",
            format!(
                "write_version of waxseal.toml, else {}",
                EnvelopeRules::default().write
            ),
        ),
        ("scripts", "that of waxseal.toml, else refuse".to_owned()),
        ("workers", format!("at most {MAX_DEFAULT_WORKERS}")),
        (
            "env-file",
            format!(
                "{} in the working directory",
                waxseal_service::environment::dotenv::FILE
            ),
        ),
        (
            "max-connections",
            waxseal_service::descriptors::MAX_CLIENTS.to_string(),
        ),
        (
            "max-client-buffer",
            "512MiB, or four times --max-value".to_owned(),
        ),
        (
            "max-total-buffer",
            match waxseal_service::memory::PARTS {
                4 => "a quarter of the memory, or four times --max-value".to_owned(),
                parts => format!("one of {parts} parts of the memory"),
            },
        ),
        ("max-seals", settings.seals.to_string()),
        ("rotate-every", unit(settings.every_ms.unwrap_or(0))),
        ("propagation", unit(settings.propagation_ms)),
        ("refresh", unit(settings.refresh_ms)),
        ("retain", unit(settings.retention_ms)),
    ]
}

/// As help writes it: `90d`, `2h`, `60s`.
fn unit(ms: u64) -> String {
    match ms {
        ms if ms % 86_400_000 == 0 => format!("{}d", ms / 86_400_000),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms => format!("{}s", ms / 1_000),
    }
}

fn defaults(command: &Command, found: &mut Vec<(String, String, String)>) {
    for argument in command.get_arguments() {
        let help = argument
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let long = argument.get_long().unwrap_or_default();
        if let Some((_, said)) = help.split_once("[default") {
            found.push((
                command.get_name().to_owned(),
                long.to_owned(),
                said.to_owned(),
            ));
        }
    }
    command.get_subcommands().for_each(|it| defaults(it, found));
}

#[test]
fn every_default_that_help_names_is_the_one_that_is_used() {
    let mut all = Vec::new();
    defaults(&Cli::command(), &mut all);
    let facts = facts();
    let mut wrong = Vec::new();
    for (command, flag, said) in &all {
        let of_flag: Vec<_> = facts.iter().filter(|(name, _)| name == flag).collect();
        // A default that is taken from elsewhere has no constant to compare with.
        let of_file = said.split_once(" of waxseal.toml");
        let of_file = of_file.map(|(word, _)| word.trim_start_matches([':', ' ']));
        let is_word = of_file.is_some_and(|word| config::words().any(|known| known == word));
        let is_elsewhere = OF_OTHERS.iter().any(|it| said.contains(it));
        let is_true = of_flag.iter().any(|(_, fact)| said.contains(fact.as_str()));
        if !is_true && !is_elsewhere && !is_word {
            wrong.push(format!("{command} --{flag}: [default{said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (flag, _) in &facts {
        assert!(
            all.iter().any(|(_, name, _)| name == flag),
            "help names no default of --{flag}"
        );
    }
}

/// The rows of tables whose second column holds defaults: the flag and what is there.
fn documented() -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for document in super::documents() {
        let mut is_of_defaults = false;
        for line in document.text.lines() {
            let cells: Vec<_> = line
                .split(" | ")
                .map(|it| it.trim_matches(['|', ' ']))
                .collect();
            match cells[..] {
                [_, "default", ..] => is_of_defaults = true,
                [flag, default, ..] if is_of_defaults && flag.starts_with("`--") => {
                    let flag = flag.trim_start_matches("`--");
                    let end = flag.find([' ', '`']).unwrap_or(flag.len());
                    rows.push((flag[..end].to_owned(), default.to_owned()));
                }
                _ if !line.starts_with('|') => is_of_defaults = false,
                _ => {}
            }
        }
    }
    rows
}

#[test]
fn every_default_in_a_table_is_the_one_that_is_used() {
    fn used(command: &Command, found: &mut Vec<(String, String)>) {
        for argument in command.get_arguments() {
            let values = argument.get_default_values().iter();
            let values = values.map(|it| it.to_string_lossy().into_owned());
            let long = argument.get_long().unwrap_or_default();
            found.extend(values.map(|value| (long.to_owned(), value)));
        }
        command.get_subcommands().for_each(|it| used(it, found));
    }
    let mut known = Vec::new();
    used(&Cli::command(), &mut known);
    known.extend(
        facts()
            .into_iter()
            .map(|(flag, fact)| (flag.to_owned(), fact)),
    );
    let rows = documented();
    let mut compared = 0;
    let mut wrong = Vec::new();
    for (flag, said) in &rows {
        let of_flag: Vec<_> = known.iter().filter(|(name, _)| name == flag).collect();
        // Switches are off, and defaults in words are compared with help.
        let numbers = |text: &str| text.bytes().any(|b| b.is_ascii_digit());
        if of_flag.iter().any(|(_, value)| numbers(value)) && numbers(said) {
            compared += 1;
            let bare = said.replace(['`', ','], "");
            let is_said = |value: &str| {
                let value = value.replace(',', "");
                bare.contains(&value) || value.contains(&bare)
            };
            if !of_flag.iter().any(|(_, value)| is_said(value)) {
                wrong.push(format!("--{flag}: {said}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(compared > 8, "only {compared} of {rows:?}");
}
