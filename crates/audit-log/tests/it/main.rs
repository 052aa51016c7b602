//! The promises of the audit log: entries form one chain, and whatever is done to it is found.

mod breaks;
mod files;
mod syslog;
mod trail;

use std::fs;
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;
use waxseal_audit_log::{
    Actor, ChainKey, ExpectedEntry, Operation, RecordError, Settings, Target, Trail, Verdict,
    Warning, last_written, verify,
};
use waxseal_core::SecretKey;

/// The key of the audit log.
const KEY: &str = "a3c15e0f7b29d846f0e1c2d3b4a5968778695a4b3c2d1e0f6c1f0a5be2d94738";
const OTHER_KEY: &str = "0f6c1f0a5be2d94738a3c15e0f7b29d846f0e1c2d3b4a5968778695a4b3c2d1e";

fn chain_key(hex: &str) -> ChainKey {
    ChainKey::derive(&SecretKey::from_hex(hex).ok().unwrap())
}

fn actor() -> Actor {
    Actor::of_this_process("tests", Some("ana"))
}

/// Settings under a key; warnings are failures of the test.
fn settings(target: Target, key: &'static str) -> Settings<String> {
    Settings {
        target,
        is_required: true,
        read_key: Box::new(|| Ok(chain_key(key))),
        warn: Box::new(|warning: Warning<String>| panic!("{warning:?}")),
    }
}

/// An audit log in a directory of its own.
struct Log {
    directory: TempDir,
    trail: Trail<String>,
}

impl Log {
    fn new() -> Self {
        Self::with_key(KEY)
    }

    fn with_key(key: &'static str) -> Self {
        let directory = TempDir::new().unwrap();
        let target = Target::File(directory.path().join("audit.jsonl"));
        Self {
            trail: Trail::new(Some(settings(target, key)), actor()),
            directory,
        }
    }

    /// A log of 5 entries: `started`, and the beginnings and ends of two operations.
    fn with_entries() -> Self {
        let log = Self::new();
        for target in ["wa:#00000001", "wa:#00000002"] {
            log.put(target, "begun");
            log.put(target, "done");
        }
        log
    }

    fn put(&self, target: &str, phase: &str) {
        let operation = Operation::new("put", target).with("phase", phase);
        self.trail.record(&operation).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path("audit.jsonl")).unwrap()
    }

    fn set_text(&self, text: &str) {
        fs::write(self.path("audit.jsonl"), text).unwrap();
    }

    fn entries(&self) -> Vec<Value> {
        let text = self.text();
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn actions(&self) -> Vec<String> {
        let action = |entry: &Value| entry["action"].as_str().unwrap().to_owned();
        self.entries().iter().map(action).collect()
    }

    /// Verifies files of the directory against each other alone.
    fn verify(&self, names: &[&str]) -> Verdict {
        self.verify_with(names, &[])
    }

    fn verify_with(&self, names: &[&str], expected: &[ExpectedEntry]) -> Verdict {
        let files: Vec<_> = names.iter().map(|name| self.path(name)).collect();
        verify(&files, &chain_key(KEY), false, expected).unwrap()
    }

    /// Verifies the log against its state file as well.
    fn verify_against_state(&self) -> Verdict {
        let path = self.path("audit.jsonl");
        let (seq, mac) = last_written(&path, &chain_key(KEY)).unwrap();
        let expected = [ExpectedEntry::Seq(seq), ExpectedEntry::Mac(mac)];
        self.verify_with(&["audit.jsonl"], &expected)
    }
}

/// The error of writing, if it is that.
fn write_error(error: RecordError<String>) -> String {
    match error {
        RecordError::Write(error) => error.to_string(),
        RecordError::Key(error) => panic!("the key: {error}"),
    }
}
