//! The consistency and completeness of the table: a row for every command of every supported server.

use std::collections::BTreeSet;

use waxseal_policy::table::{Names, Treatment, find, rows};

use crate::servers;

#[test]
fn every_command_of_every_server_has_a_row() {
    let ours: BTreeSet<&str> = rows().iter().map(|row| row.name).collect();
    let mut without = Vec::new();
    for commands in servers::all() {
        for name in commands.positions.keys() {
            if !ours.contains(name.as_str()) {
                without.push(format!("{} of {}", name, commands.server));
            }
        }
    }
    assert!(without.is_empty(), "no row for {without:#?}");
}

#[test]
fn every_row_is_a_command_of_some_server() {
    let mut theirs = BTreeSet::new();
    for commands in servers::all() {
        theirs.extend(commands.positions.into_keys());
    }
    let ours = rows().iter().map(|row| row.name);
    // DEBUG does not list its subcommands, and one of CLIENT is of a server that is not available here.
    let elsewhere = |name: &str| name.starts_with("debug|") || name == "client|maint_notifications";
    let invented: Vec<&str> = ours
        .filter(|name| !theirs.contains(*name) && !elsewhere(name))
        .collect();
    assert!(invented.is_empty(), "{invented:?}");
}

#[test]
fn rows_are_sorted_and_found_in_any_case() {
    assert!(rows().is_sorted_by(|one, next| one.name < next.name));
    for row in rows() {
        let lower: Vec<&[u8]> = row.name.split('|').map(str::as_bytes).collect();
        let upper: Vec<Vec<u8>> = lower.iter().map(|word| word.to_ascii_uppercase()).collect();
        let upper: Vec<&[u8]> = upper.iter().map(Vec::as_slice).collect();
        for words in [lower, upper] {
            assert_eq!(find(&words).map(|row| row.name), Some(row.name));
        }
    }
}

#[test]
fn every_subcommand_has_its_container_and_every_container_has_subcommands() {
    for row in rows() {
        if let Some((word, _)) = row.name.split_once('|') {
            let container = find(&[word.as_bytes()]).expect("a container");
            assert_eq!(container.names, Names::Subcommands, "{}", row.name);
        }
        if row.names == Names::Subcommands {
            let below = format!("{}|", row.name);
            assert!(
                rows().iter().any(|row| row.name.starts_with(&below)),
                "{}",
                row.name
            );
        }
    }
}

#[test]
fn rows_that_treat_names_have_names() {
    for row in rows() {
        let keyless = matches!(row.names, Names::None | Names::Subcommands);
        match row.treatment {
            Treatment::Form(form) => {
                assert!(!keyless, "{}", row.name);
                assert!(!form.description().is_empty(), "{}", row.name);
            }
            Treatment::Refuse(_) => assert!(!keyless, "{}", row.name),
            Treatment::RefuseAlways(_) => assert!(keyless, "{}", row.name),
            Treatment::SealMessage => assert_eq!(row.names, Names::None, "{}", row.name),
            Treatment::Names(form) => {
                assert_eq!(row.names, Names::None, "{}", row.name);
                assert!(!form.description().is_empty(), "{}", row.name);
            }
            Treatment::Pass | Treatment::WithoutRedirect => {}
        }
    }
}

#[test]
fn a_command_that_only_looks_like_a_row_is_not_found() {
    for request in [
        &["client|reply"][..],
        &["get|"],
        &["object", ""],
        &["client", "reply|"],
        &[""],
    ] {
        let words: Vec<&[u8]> = request.iter().map(|word| word.as_bytes()).collect();
        assert_eq!(find(&words), None, "{request:?}");
    }
    assert_eq!(find(&[]), None);
}
