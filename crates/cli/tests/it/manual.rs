//! `completions`, `man` and `--help`: made for every command, each with an example.

use std::fs;

use crate::program::Program;

/// Every command, by the words that are typed.
pub(crate) const COMMANDS: [&[&str]; 39] = [
    &["demo"],
    &["key", "generate"],
    &["seal"],
    &["open"],
    &["get"],
    &["put"],
    &["inspect"],
    &["migrate"],
    &["rotate"],
    &["decrypt"],
    &["audit"],
    &["audit", "verify"],
    &["audit-log", "verify"],
    &["audit-log", "show"],
    &["decoy", "plant"],
    &["decoy", "list"],
    &["quarantine", "list"],
    &["quarantine", "restore"],
    &["quarantine", "drop"],
    &["keyring", "init"],
    &["keyring", "status"],
    &["keyring", "add"],
    &["keyring", "promote"],
    &["keyring", "archive"],
    &["keyring", "destroy"],
    &["keyring", "compromise"],
    &["keyring", "restore"],
    &["keyring", "rewrap"],
    &["keyring", "export"],
    &["keyring", "import"],
    &["keyring", "rehearse"],
    &["keyring", "configure"],
    &["keyring", "release"],
    &["keeper"],
    &["forget"],
    &["receipt", "verify"],
    &["doctor"],
    &["completions"],
    &["man"],
];

#[test]
fn completions_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = Program::new().run(&["completions", shell]).done().text();
        for word in COMMANDS.concat() {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
        assert!(
            script.contains("reconnect-timeout"),
            "{shell} does not know a flag"
        );
    }
    Program::new()
        .run(&["completions", "tcsh"])
        .failed(64, "tcsh");
}

#[test]
fn bash_accepts_its_completions() {
    let program = Program::new();
    let script = program.run(&["completions", "bash"]).done().text();
    let program = program.file("waxseal.bash", &script);
    let check = std::process::Command::new("bash")
        .arg("-n")
        .arg(program.path("waxseal.bash"))
        .output()
        .unwrap();
    assert!(check.status.success() && check.stderr.is_empty());
}

#[test]
fn there_is_a_man_page_for_every_command() {
    let program = Program::new();
    program.run(&["man", "pages/man1"]).done();
    for words in COMMANDS {
        let name = format!("waxseal-{}.1", words.join("-"));
        let page = fs::read_to_string(program.path("pages/man1").join(&name));
        let page = page.unwrap_or_else(|_| panic!("no {name}"));
        assert!(
            page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"),
            "{name}"
        );
    }
    let page = fs::read_to_string(program.path("pages/man1/waxseal.1")).unwrap();
    assert!(page.contains("REDIS\\_ENCRYPTION\\_KEY") || page.contains("REDIS_ENCRYPTION_KEY"));
}

#[test]
fn every_command_has_a_help_with_an_example() {
    for words in COMMANDS {
        let help = Program::new()
            .run(&[words, &["--help"]].concat())
            .done()
            .text();
        assert!(help.contains("Usage: waxseal "), "{words:?}");
        let example = help.split_once("Example").map(|(_, example)| example);
        let call = format!("waxseal {}", words.join(" "));
        let shown = example.is_some_and(|example| example.contains(&call));
        assert!(shown, "{words:?} has no example");
    }
}

#[test]
fn the_version_is_reported() {
    let output = Program::new().run(&["--version"]).done();
    assert_eq!(
        output.text(),
        format!("waxseal {}\n", env!("CARGO_PKG_VERSION"))
    );
}
