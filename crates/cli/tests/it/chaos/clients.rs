//! The clients under load, one program in each language at each proxy, and what they say in the end.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;
use waxseal_testing::clients::{RunningProgram, start_node, start_python};

use super::rust_client::RustClient;
use super::stage::Stage;
use crate::proxy::PROTECTED_MARKER;

/// Names in one request of the final check.
const NAMES: usize = 500;

/// All programs.
pub(super) struct Load {
    others: Vec<(String, RunningProgram)>,
    rust: Vec<(String, RustClient)>,
}

/// The work of a program, as it reports it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Account {
    pub(super) done: u64,
    pub(super) errors: BTreeMap<String, u64>,
    /// Names, the last write that was acknowledged, the last that was attempted.
    pub(super) records: Vec<(String, u64, u64)>,
    pub(super) counters: Vec<(String, u64, u64)>,
    pub(super) violations: Vec<String>,
}

/// The work of all of them.
pub(super) struct Results(Vec<(String, Account)>);

impl Load {
    pub(super) fn start(stage: &Stage) -> Self {
        let mut others = Vec::new();
        let mut rust = Vec::new();
        for (number, port) in stage.ports().into_iter().enumerate() {
            let word = |language: &str| format!("{language}{number}");
            let node = start_node("chaos.mjs", port, &[&word("node")]);
            let python = start_python("chaos.py", port, &[&word("python")]);
            others.extend([(word("node"), node), (word("python"), python)]);
            rust.push((word("rust"), RustClient::start(port, &word("rust"))));
        }
        Self { others, rust }
    }

    pub(super) fn stop(self) -> Results {
        let others = self.others.into_iter().map(|(name, program)| {
            let text = program.finish();
            let account = serde_json::from_str(&text).expect("its account");
            (name, account)
        });
        let rust = self
            .rust
            .into_iter()
            .map(|(name, client)| (name, client.stop()));
        Results(others.chain(rust).collect())
    }
}

impl Results {
    pub(super) fn summary(&self) -> String {
        let mut text = String::new();
        for (name, account) in &self.0 {
            let _ = writeln!(
                text,
                "{name:<8} {} requests answered, {} records, errors: {:?}",
                account.done,
                account.records.len(),
                account.errors
            );
        }
        text
    }

    /// Every record holds what was acknowledged last, or what was attempted later; a client's replies
    /// were its own; and nothing is stored in plain.
    #[track_caller]
    pub(super) fn assert_nothing_lost(&self, stage: &Stage) {
        for (name, account) in &self.0 {
            assert!(account.violations.is_empty(), "{name}: {account:?}");
            assert!(account.done > 0, "{name} was never served");
            let unreadable = account.errors.keys().find(|it| it.starts_with("SEAL"));
            assert_eq!(unreadable, None, "{name}: values were refused");
        }
        let mut checked = 0;
        let records = self.0.iter().flat_map(|(_, account)| &account.records);
        let records: Vec<_> = records.collect();
        let mut client = waxseal_testing::Client::connect(stage.ports()[0]).unwrap();
        for records in records.chunks(NAMES) {
            let names = records.iter().map(|it| it.0.as_str());
            let words: Vec<&str> = std::iter::once("MGET").chain(names).collect();
            let values = client.cmd(&words).array();
            assert_eq!(values.len(), records.len());
            for (value, (name, acknowledged, attempted)) in values.into_iter().zip(records) {
                let sequence = value.bytes().map_or(0, |value| sequence(&value, name));
                assert!(
                    (*acknowledged..=*attempted).contains(&sequence),
                    "{name} holds write {sequence}; {acknowledged} was acknowledged, {attempted} \
                     attempted"
                );
                checked += usize::from(sequence > 0);
            }
        }
        assert!(checked > 0, "no record was written");
        for (name, counted, attempted) in self.0.iter().flat_map(|(_, it)| &it.counters) {
            let count: u64 = stage.cli(&["GET", name]).parse().unwrap_or(0);
            assert!((*counted..=*attempted).contains(&count), "{name}: {count}");
        }
        assert_sealed(stage);
    }
}

/// Which write a value is of. It must be one of this record.
#[track_caller]
fn sequence(value: &[u8], name: &str) -> u64 {
    let value = String::from_utf8_lossy(value);
    let mut words = value.split(' ');
    assert_eq!(words.next(), Some(PROTECTED_MARKER), "{name}");
    assert_eq!(words.next(), Some(name), "a value of another record");
    words.next().unwrap().parse().unwrap()
}

fn assert_sealed(stage: &Stage) {
    let files = stage.files();
    let has = |text: &[u8]| files.windows(text.len()).any(|it| it == text);
    assert!(has(b"count:"), "what is not protected is not found");
    assert!(!has(PROTECTED_MARKER.as_bytes()), "a value is in plain");
    let audit = ["audit", "--deep", "--require-clean"];
    stage.program().run(&audit).done();
}
