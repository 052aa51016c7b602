//! Keyrings from the command line: in a file and in a server, made, changed, lost and put back. No
//! output holds a wrapped key.

mod backup;
mod changes;
mod clocks;
mod doctor;
mod forgetting;
mod held_keys;
mod init;
mod lost;
mod metrics;
mod names_stay;
mod one_form;
mod page;
mod report;
mod settings;
mod status;
mod upkeep;
mod users;
mod versions;

use std::fs;

use serde_json::Value;
use waxseal_testing::RedisServer;

use crate::program::{Output, Program};

/// Settings under which an operator can take a key through its life in a test, and nothing happens
/// on its own.
pub(crate) const QUICK: [&str; 8] = [
    "--rotate-every",
    "never",
    "--propagation",
    "400ms",
    "--refresh",
    "200ms",
    "--retain",
    "1h",
];

/// The URL of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lies {
    InAFile,
    InTheServer,
}

const PLACES: [Lies; 2] = [Lies::InAFile, Lies::InTheServer];

/// A server with records, and a program that is configured to use a ring.
struct World {
    server: RedisServer,
    program: Program,
    lies: Lies,
}

impl World {
    /// Without a ring yet.
    fn new(lies: Lies) -> Self {
        Self::with(lies, "")
    }

    /// The same, with more lines of configuration.
    fn with(lies: Lies, more: &str) -> Self {
        let server = RedisServer::start();
        let program = configured(Program::at(&server), &server, lies, more);
        Self {
            server,
            program,
            lies,
        }
    }

    /// With a ring whose keys can change quickly.
    #[track_caller]
    fn with_ring(lies: Lies) -> Self {
        let world = Self::new(lies);
        world.init();
        world
    }

    #[track_caller]
    fn init(&self) {
        self.ring(&[&["init"], &QUICK[..]].concat()).done();
    }

    /// From now on unused keys are destroyed quickly.
    #[track_caller]
    fn hurry(&self) {
        self.ring(&["configure", "--retain", "400ms", "--at-once"])
            .done();
    }

    /// Runs `keyring …`.
    fn ring(&self, words: &[&str]) -> Output {
        self.run(&[&["keyring"], words].concat())
    }

    /// Runs a command, and checks that it tells nothing of the document.
    #[track_caller]
    fn run(&self, words: &[&str]) -> Output {
        let output = self.program.run(words);
        self.assert_leaks_nothing(&output);
        output
    }

    #[track_caller]
    fn assert_leaks_nothing(&self, output: &Output) {
        for secret in self.wrapped() {
            let told = output.text().contains(&secret) || output.stderr.contains(&secret);
            assert!(!told, "a wrapped key shows: {output:?}");
        }
    }

    #[track_caller]
    fn status(&self) -> Value {
        self.ring(&["status", "--json"]).done().json()
    }

    /// The ids of the keys in this state.
    #[track_caller]
    fn keys(&self, state: &str) -> Vec<String> {
        let status = self.status();
        let keys = status["keys"].as_array().unwrap().clone();
        let matching = keys.into_iter().filter(|key| key["state"] == state);
        matching.map(|key| text(&key["id"])).collect()
    }

    #[track_caller]
    fn sealing(&self) -> String {
        self.keys("sealing").pop().unwrap()
    }

    /// The document as it is there.
    fn document(&self) -> Option<Vec<u8>> {
        match self.lies {
            Lies::InAFile => fs::read(self.program.path("ring.json")).ok(),
            Lies::InTheServer => self
                .server
                .client()
                .cmd(&["GET", "waxseal:keyring"])
                .bytes(),
        }
    }

    /// Puts another document there, or takes it away.
    fn set_document(&self, document: Option<&[u8]>) {
        let path = self.program.path("ring.json");
        match (self.lies, document) {
            (Lies::InAFile, Some(document)) => fs::write(path, document).unwrap(),
            (Lies::InAFile, None) => fs::remove_file(path).unwrap(),
            (Lies::InTheServer, Some(document)) => {
                let command: [&[u8]; 3] = [b"SET", b"waxseal:keyring", document];
                assert_eq!(self.server.client().cmd(&command).to_text(), "OK");
            }
            (Lies::InTheServer, None) => {
                self.server.client().cmd(&["DEL", "waxseal:keyring"]);
            }
        }
    }

    /// The last good copy of this machine.
    fn copy(&self) -> Option<std::path::PathBuf> {
        let entries = fs::read_dir(self.program.path("state")).ok()?;
        let mut files = entries.map(|entry| entry.unwrap().path());
        files.find(|path| path.extension().is_some_and(|it| it == "json"))
    }

    /// Everything in the document that a custodian made.
    fn wrapped(&self) -> Vec<String> {
        let document = self.document().unwrap_or_default();
        let document: Value = serde_json::from_slice(&document).unwrap_or_default();
        let mut found = Vec::new();
        collect(&document, &mut found);
        found
    }
}

/// The program with a ring configured, and a directory for what this machine keeps.
fn configured(program: Program, server: &RedisServer, lies: Lies, more: &str) -> Program {
    let url = match lies {
        Lies::InAFile => "file:ring.json".to_owned(),
        Lies::InTheServer => server.url(),
    };
    let config = format!("environment = \"tests\"\nkeyring = \"{url}\"\n{more}");
    let state = program.path("state");
    program
        .file("waxseal.toml", &config)
        .env("STATE_DIRECTORY", state.to_str().unwrap())
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value {
                    Value::String(text) if name == "wrapped" || name == "mac" => {
                        found.push(text.clone());
                    }
                    other => collect(other, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

#[track_caller]
fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
