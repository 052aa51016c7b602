//! The life of a file: crashes, renames and concurrent writers leave one chain.

use std::fs;
use std::thread;

use serde_json::Value;
use waxseal_audit_log::{BreakKind, state_path};

use super::{KEY, Log, chain_key};

#[test]
fn a_renamed_file_is_continued_in_a_new_one() {
    let log = Log::with_entries();
    fs::rename(log.path("audit.jsonl"), log.path("audit.jsonl.1")).unwrap();
    log.put("wa:#00000003", "begun");
    assert_eq!(log.actions(), ["continued", "put"]);
    assert_eq!(log.entries()[0]["seq"], 6);
    assert_eq!(log.entries()[0]["details"]["after"], 5);
    let verdict = log.verify(&["audit.jsonl.1", "audit.jsonl"]);
    assert!(verdict.whole);
    assert_eq!(verdict.entries, 7);
    let verdict = log.verify(&["audit.jsonl"]);
    assert_eq!((verdict.whole, verdict.first_seq), (true, Some(6)));
    let broken = log.verify(&["audit.jsonl", "audit.jsonl.1"]).broken;
    assert_eq!(broken.unwrap().kind, BreakKind::AnotherChain);
    // Without its state file, a new log is another chain.
    fs::remove_file(log.path("audit.jsonl")).unwrap();
    fs::remove_file(state_path(&log.path("audit.jsonl"))).unwrap();
    log.put("wa:#00000004", "begun");
    let broken = log.verify(&["audit.jsonl.1", "audit.jsonl"]).broken;
    assert_eq!(broken.unwrap().kind, BreakKind::AnotherChain);
}

#[test]
fn a_partial_line_is_kept_and_recorded() {
    let log = Log::with_entries();
    for partial in ["{\"seq\":6,\"at\":\"20", "{", "\u{1}"] {
        let before = log.text();
        log.set_text(&format!("{before}{partial}"));
        let broken = log.verify_against_state().broken.unwrap();
        assert_eq!(broken.kind, BreakKind::HalfLine);
        log.put("wa:#00000003", "begun");
        let after = log.text();
        let added = after
            .strip_prefix(&format!("{before}{partial}\n"))
            .expect("nothing that was written changes");
        let repaired: Value = serde_json::from_str(added.lines().next().unwrap()).unwrap();
        assert_eq!(repaired["action"], "repaired");
        assert_eq!(repaired["details"]["bytes"], partial.len());
        assert!(log.verify_against_state().whole);
    }
    // A partial line that no entry records is a change.
    let changed = log.text().replacen("\n{\n", "\n}\n", 1);
    log.set_text(&changed);
    assert!(!log.verify_against_state().whole);
}

#[test]
fn a_line_that_lacks_only_its_end_counts_as_written() {
    let log = Log::with_entries();
    let before = log.text();
    log.set_text(before.trim_end());
    log.put("wa:#00000003", "begun");
    assert!(log.text().starts_with(&before));
    assert_eq!(log.actions()[5..], ["put"]);
    assert!(log.verify_against_state().whole);
}

#[test]
fn the_first_line_may_be_partial() {
    let log = Log::new();
    log.set_text("{\"seq\":1");
    log.put("wa:#00000001", "begun");
    let verdict = log.verify_against_state();
    assert_eq!((verdict.whole, verdict.entries), (true, 2));
}

#[test]
fn an_entry_that_its_state_file_misses_is_followed() {
    let log = Log::with_entries();
    let state = state_path(&log.path("audit.jsonl"));
    let older = fs::read(&state).unwrap();
    log.put("wa:#00000003", "begun");
    // As a crash between the two writes leaves them.
    fs::write(&state, older).unwrap();
    log.put("wa:#00000003", "done");
    let verdict = log.verify_against_state();
    assert_eq!((verdict.whole, verdict.entries), (true, 7));
}

#[test]
fn concurrent_writers_keep_one_chain() {
    let log = Log::new();
    let others: Vec<_> = (0..8)
        .map(|_| {
            let target = waxseal_audit_log::Target::File(log.path("audit.jsonl"));
            waxseal_audit_log::Trail::new(Some(super::settings(target, KEY)), super::actor())
        })
        .collect();
    thread::scope(|scope| {
        for trail in &others {
            scope.spawn(|| {
                for _ in 0..5 {
                    let operation = waxseal_audit_log::Operation::new("get", "wa:#00000001");
                    trail.record(&operation).unwrap();
                }
            });
        }
    });
    let verdict = log.verify_against_state();
    assert_eq!((verdict.whole, verdict.entries), (true, 41));
}

#[test]
fn the_example_of_the_documentation_is_whole() {
    let key = "b1946ac92492d2347c6235b4d2611184f0c1e2d3a4b5968778695a4b3c2d1e0f";
    let lines = include_str!("../data/example.jsonl");
    let log = Log::new();
    log.set_text(lines);
    let files = [log.path("audit.jsonl")];
    let verdict = waxseal_audit_log::verify(&files, &chain_key(key), false, &[]).unwrap();
    assert_eq!((verdict.whole, verdict.entries), (true, 4));
}
