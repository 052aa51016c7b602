//! Nothing leaks: distinctive values, fields, elements, record names, users, keys, passwords, tokens and
//! identities are planted wherever Waxseal meets such things; every command is run so that it succeeds
//! and fails, as loud as it can; and everything that comes out is searched for them in many encodings.
//! What is shown on purpose is in one table, with its reason.

mod names;
mod records;
mod ring;
pub(crate) mod secrets;
mod traffic;
mod typed;
mod types;

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use self::secrets::{ELEMENT, FIELD, Search, VALUE};
use crate::manual::COMMANDS;
use crate::program::{Output, Program};

/// A command that shows something planted on stdout when it succeeds: which, and why.
const SHOWN: [(&str, &[&str], &str); 2] = [
    (
        "get",
        &[VALUE, FIELD, ELEMENT],
        "it prints the value of a record: that is what it is for, and it is logged as an access",
    ),
    (
        "open",
        &[VALUE],
        "it prints the value in the envelope that it was given",
    ),
];

/// Files that hold secrets because they were put there, or asked for.
const GIVEN: [&str; 6] = [
    "waxseal.toml",
    "identity.txt",
    ".env",
    "kek",
    "offline",
    "shares",
];

/// The forms in which a command is run: for people and for programs, each as verbose as possible.
const DRESSES: [&[&str]; 2] = [
    &["--log", "trace"],
    &["--log", "trace", "--log-format", "json", "--json"],
];

/// Runs commands, searches what they say, and keeps account of which were run.
struct Watch {
    search: Search,
    ran: RefCell<Vec<&'static [&'static str]>>,
}

impl Watch {
    fn new() -> Self {
        Self {
            search: Search::new(),
            ran: RefCell::new(Vec::new()),
        }
    }

    /// Runs a command in every dress; what it came to in the first.
    #[track_caller]
    fn run(&self, program: &Program, words: &[&str]) -> Output {
        self.run_with(program, words, b"")
    }

    /// The same, with this on stdin.
    #[track_caller]
    fn run_with(&self, program: &Program, words: &[&str], input: &[u8]) -> Output {
        let second = self.once(program, &[words, DRESSES[1]].concat(), input);
        drop(second);
        self.once(program, &[words, DRESSES[0]].concat(), input)
    }

    /// Runs it once: for what can be done only once.
    #[track_caller]
    fn once(&self, program: &Program, words: &[&str], input: &[u8]) -> Output {
        let known = COMMANDS.iter().filter(|it| words.starts_with(it));
        self.ran.borrow_mut().extend(known);
        let output = program.run_with(words, input);
        let shown = SHOWN.iter().find(|(command, ..)| words[0] == *command);
        let shown = shown.filter(|_| output.status == 0);
        let shown = shown.map_or(&[][..], |(_, shown, _)| shown);
        let text = output.text();
        let said = |what: &str| format!("{what} shows, of {words:?}: {text}{}", output.stderr);
        if let Some(what) = self.search.found_in(&output.stderr) {
            panic!("{}", said(what));
        }
        if let Some(what) = self.search.found_in_but(&text, shown) {
            panic!("{}", said(what));
        }
        output
    }

    /// Searches every file in a program's directory: logs, receipts, checkpoints, keyrings, backups.
    #[track_caller]
    fn search_files(&self, program: &Program) {
        let mut directories = vec![program.directory().to_owned()];
        let mut files = 0;
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                let given = GIVEN.iter().any(|name| path.ends_with(name));
                match path.is_dir() {
                    _ if given => {}
                    true => directories.push(path),
                    false => {
                        self.search_file(&path);
                        files += 1;
                    }
                }
            }
        }
        assert!(files > 0, "there is nothing to search");
    }

    #[track_caller]
    fn search_file(&self, path: &Path) {
        let name = path.to_string_lossy();
        let text = String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        for text in [&*name, &text] {
            if let Some(what) = self.search.found_in(text) {
                panic!("{what} shows in {name}: {text}");
            }
        }
    }
}

#[test]
fn no_command_tells_what_it_must_not() {
    let watch = Watch::new();
    records::everything(&watch);
    ring::everything(&watch);
    let ran = watch.ran.borrow();
    for words in COMMANDS {
        let both = ran.iter().filter(|it| **it == words).count();
        assert!(
            both >= 2,
            "{words:?} is in the table of commands and was not run here"
        );
    }
}
