//! Rotations that go on while requests are compared: each one to its end, and the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::Value;

use crate::program::{KEY, OLD_KEY, Output, Program, wait_until};

/// Keys that can follow one another within a test. What a client has queued in a transaction is sealed under the keys of that moment: it is
/// carried out before the next key is used, and long before one is destroyed.
const INIT: [&str; 12] = [
    "keyring",
    "init",
    "--document-format",
    "2",
    "--rotate-every",
    "never",
    "--propagation",
    "5s",
    "--refresh",
    "200ms",
    "--retain",
    "6s",
];

/// What is rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rotation {
    /// The key of the environment. The second proxy has the two keys the other way round, as one that was not restarted
    /// yet.
    PreviousKey,
    /// The key of a keyring, again and again.
    Key,
    /// The index key of a keyring, again and again.
    IndexKey,
    /// The same, each time until members are known to be in one form.
    OneForm,
}

impl Rotation {
    /// The programs of two proxies. The first one rotates.
    pub(super) fn programs(self, program: &Program) -> [Program; 2] {
        let program = program.clone();
        match self {
            Self::PreviousKey => [
                program.clone().keys(KEY, OLD_KEY),
                program.keys(OLD_KEY, KEY),
            ],
            Self::Key | Self::IndexKey | Self::OneForm => [program.clone(), program],
        }
    }
}

/// The program with a new ring in a file.
pub(super) fn with_ring(program: Program) -> Program {
    let state = program.path("state");
    let program = program.env("STATE_DIRECTORY", state.to_str().unwrap());
    program.run(&INIT).done();
    program
}

/// Rotations in the background.
pub(super) struct Rotations {
    stop: Arc<AtomicBool>,
    completed: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Rotations {
    pub(super) fn begin(program: &Program, rotation: Rotation) -> Self {
        let (stop, completed) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let background = Background {
            program: program.clone(),
            stop: stop.clone(),
        };
        let count = completed.clone();
        let thread = thread::spawn(move || {
            while background.rotate(rotation) {
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self {
            stop,
            completed,
            thread,
        }
    }

    /// The number of rotations that were completed.
    pub(super) fn completed(&self) -> u64 {
        self.completed.load(Ordering::Relaxed)
    }

    /// Fails if one has failed.
    pub(super) fn assert_going_on(&self) {
        assert!(!self.thread.is_finished(), "a rotation failed");
    }

    /// Ends them, and returns how many were completed.
    pub(super) fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no rotation failed");
        self.completed.load(Ordering::Relaxed)
    }
}

struct Background {
    program: Program,
    stop: Arc<AtomicBool>,
}

impl Background {
    /// One rotation. Returns false if it was stopped before its end.
    fn rotate(&self, rotation: Rotation) -> bool {
        match rotation {
            Rotation::PreviousKey => self.sweep(),
            Rotation::Key => self.replace_key() && self.sweep(),
            Rotation::IndexKey => self.replace_index_key(),
            Rotation::OneForm => self.replace_index_key() && self.find_one_form(),
        }
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Reseals everything. Values of streams stay.
    fn sweep(&self) -> bool {
        let output = self.program.run(&["rotate", "--json"]);
        assert_nothing_failed(&output.with_status_of(&[0, 1]));
        !self.is_stopped()
    }

    /// Adds a key, which the upkeep of the proxies lets seal.
    fn replace_key(&self) -> bool {
        let previous = self.keys("keys", "sealing").pop().unwrap();
        self.ring(&["add"]).done();
        let mut is_replaced = false;
        wait_until(|| {
            is_replaced = self.keys("keys", "sealing") != [previous.as_str()];
            is_replaced || self.is_stopped()
        });
        is_replaced
    }

    /// Replaces the index key, and destroys those before it that are needed no more.
    fn replace_index_key(&self) -> bool {
        let previous = self.keys("index_keys", "writing").pop().unwrap();
        let mut is_replaced = false;
        wait_until(|| {
            self.ring(&["rotate-index"]).done();
            is_replaced = self.keys("index_keys", "reading").contains(&previous);
            is_replaced || self.is_stopped()
        });
        if !is_replaced || !self.sweep() {
            return false;
        }
        for key in self.keys("index_keys", "reading") {
            let output = self.ring(&["destroy", &key]);
            // What was copied within a group meanwhile is resealed by the next pass.
            let waits = ["has to wait", "needs a clean audit"];
            let is_early = waits.iter().any(|it| output.stderr.contains(it));
            assert!(output.status == 0 || is_early, "{}", output.stderr);
        }
        true
    }

    /// Counts until the keyring knows that members are in one form: from then on the proxies look them up in no other.
    fn find_one_form(&self) -> bool {
        let mut is_one = false;
        wait_until(|| {
            self.program.run(&["audit"]).done();
            let status = self.ring(&["status", "--json"]).done().json();
            let mut protects = status["protects"].as_array().unwrap().iter();
            is_one = protects.any(|it| it["members"]["key"].is_string());
            is_one || self.is_stopped()
        });
        is_one
    }

    fn ring(&self, words: &[&str]) -> Output {
        self.program.run(&[&["keyring"], words].concat())
    }

    /// The ids of the keys in this state.
    fn keys(&self, list: &str, state: &str) -> Vec<String> {
        let status = self.ring(&["status", "--json"]).done().json();
        let keys = status[list].as_array().unwrap().iter();
        let keys = keys.filter(|key| key["state"] == state);
        keys.map(|key| key["id"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// A sweep found nothing wrong.
fn assert_nothing_failed(output: &Output) {
    for pattern in output.json()["patterns"].as_array().unwrap() {
        assert_eq!(pattern["failed"], 0, "{pattern}\n{}", output.stderr);
    }
}

/// After one more pass everything is in its newest form, but for streams.
pub(super) fn assert_nothing_is_left(program: &Program) {
    program.run(&["rotate"]).with_status_of(&[0, 1]);
    let dry = program.run(&["rotate", "--dry-run", "--json"]);
    assert_nothing_failed(&dry);
    let patterns: Value = dry.json()["patterns"].clone();
    for pattern in patterns.as_array().unwrap() {
        assert_eq!(pattern["done"], 0, "{pattern}");
    }
}
