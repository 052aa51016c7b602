//! Manipulations of a log that verification finds.

use std::fs;

use waxseal_audit_log::{Break, BreakKind, ExpectedEntry, for_each_entry, verify};

use super::{KEY, Log, OTHER_KEY, chain_key};

/// The break in a copy of the log whose lines were changed.
#[track_caller]
fn break_after(log: &Log, change: impl Fn(&mut Vec<String>)) -> Break {
    let mut lines: Vec<_> = log.text().lines().map(str::to_owned).collect();
    change(&mut lines);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(log.path("copy.jsonl"), text).unwrap();
    let verdict = log.verify(&["copy.jsonl"]);
    assert!(!verdict.whole);
    verdict.broken.unwrap()
}

#[track_caller]
fn assert_break(broken: &Break, kind: BreakKind, line: u64) {
    assert_eq!((broken.kind, broken.line), (kind, line), "{}", broken.text);
}

#[test]
fn an_untouched_log_is_whole() {
    let log = Log::with_entries();
    let verdict = log.verify(&["audit.jsonl"]);
    assert!(verdict.whole && verdict.broken.is_none());
    assert_eq!((verdict.entries, verdict.unverified), (5, 0));
    assert_eq!((verdict.first_seq, verdict.last_seq), (Some(1), Some(5)));
    let entries = log.entries();
    assert_eq!(verdict.last_mac.as_deref(), entries[4]["mac"].as_str());
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(entry["seq"], index as u64 + 1);
        assert_eq!(entry["user"]["sudo_user"], "ana");
        if index > 0 {
            assert_eq!(entry["prev"], entries[index - 1]["mac"]);
        }
    }
}

#[test]
fn changes_of_lines_are_found_and_classified() {
    let log = Log::with_entries();
    let broken = break_after(&log, |lines| {
        lines[2] = lines[2].replace("\"put\"", "\"get\"");
    });
    assert_break(&broken, BreakKind::Changed, 3);
    let broken = break_after(&log, |lines| lines[2].replace_range(0..1, "x"));
    assert_break(&broken, BreakKind::Changed, 3);
    let broken = break_after(&log, |lines| drop(lines.remove(2)));
    assert_break(&broken, BreakKind::Removed, 3);
    assert_eq!(broken.text, "entry 3 is missing before it");
    let broken = break_after(&log, |lines| drop(lines.drain(1..3)));
    assert_break(&broken, BreakKind::Removed, 2);
    assert_eq!(broken.text, "entries 2 to 3 are missing before it");
    let broken = break_after(&log, |lines| drop(lines.remove(0)));
    assert_break(&broken, BreakKind::Removed, 1);
    let broken = break_after(&log, |lines| lines.swap(2, 3));
    assert_break(&broken, BreakKind::Reordered, 3);
    let broken = break_after(&log, |lines| {
        let forged = lines[2].replace("\"begun\"", "\"done\"");
        lines.insert(3, forged.replace("put", "get"));
    });
    assert_break(&broken, BreakKind::Inserted, 4);
    let broken = break_after(&log, |lines| lines.insert(3, lines[2].clone()));
    assert_break(&broken, BreakKind::Inserted, 4);
    let broken = break_after(&log, |lines| lines.insert(3, "garbage".to_owned()));
    assert_break(&broken, BreakKind::Inserted, 4);
    let broken = break_after(&log, Vec::clear);
    assert_eq!(broken.kind, BreakKind::CutOff);
}

#[test]
fn every_changed_byte_is_found() {
    let log = Log::with_entries();
    let bytes = log.text().into_bytes();
    for index in 0..bytes.len() - 1 {
        let mut changed = bytes.clone();
        changed[index] ^= 1;
        fs::write(log.path("copy.jsonl"), changed).unwrap();
        assert!(!log.verify(&["copy.jsonl"]).whole, "{index}");
    }
}

#[test]
fn a_missing_end_is_found_by_an_entry_known_from_elsewhere() {
    let log = Log::with_entries();
    let entries = log.entries();
    let lines: Vec<_> = log.text().lines().map(str::to_owned).collect();
    let shorter = lines[..3].join("\n") + "\n";
    fs::write(log.path("copy.jsonl"), &shorter).unwrap();
    assert!(log.verify(&["copy.jsonl"]).whole);
    let mac = |index: usize| ExpectedEntry::Mac(entries[index]["mac"].as_str().unwrap().to_owned());
    for expected in [ExpectedEntry::Seq(3), mac(2)] {
        assert!(log.verify_with(&["copy.jsonl"], &[expected]).whole);
    }
    for expected in [ExpectedEntry::Seq(5), mac(4)] {
        let verdict = log.verify_with(&["copy.jsonl"], &[expected]);
        assert_eq!(verdict.broken.unwrap().kind, BreakKind::CutOff);
    }
    // On the machine that wrote it, the state file knows the last entry; the next entry records the gap.
    log.set_text(&shorter);
    let verdict = log.verify_against_state();
    assert_eq!(verdict.broken.unwrap().kind, BreakKind::CutOff);
    log.put("wa:#00000003", "begun");
    assert_eq!(log.actions()[3..], ["cut_off", "put"]);
    let broken = log.verify_against_state().broken.unwrap();
    assert_break(&broken, BreakKind::Removed, 4);
    assert!(
        broken.text.contains("waxseal noticed it"),
        "{}",
        broken.text
    );
}

#[test]
fn another_key_verifies_nothing_and_extends_nothing() {
    let log = Log::with_entries();
    let files = [log.path("audit.jsonl")];
    let verdict = verify(&files, &chain_key(OTHER_KEY), false, &[]).unwrap();
    assert_eq!((verdict.entries, verdict.unverified), (0, 5));
    let before = log.text();
    let target = waxseal_audit_log::Target::File(log.path("audit.jsonl"));
    let other =
        waxseal_audit_log::Trail::new(Some(super::settings(target, OTHER_KEY)), super::actor());
    let operation = waxseal_audit_log::Operation::new("get", "wa:#00000001");
    let error = super::write_error(other.record(&operation).unwrap_err());
    assert!(error.contains("does not verify under this key"), "{error}");
    assert_eq!(log.text(), before);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let log = Log::new();
    let error = verify(&[log.path("absent")], &chain_key(KEY), false, &[]).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("absent cannot be read: "), "{text}");
}

#[test]
fn entries_that_do_not_verify_are_visited_as_none() {
    let log = Log::with_entries();
    log.set_text(&log.text().replacen("\"put\"", "\"get\"", 1));
    let mut visited = Vec::new();
    for_each_entry(
        &log.path("audit.jsonl"),
        &chain_key(KEY),
        |number, entry| {
            visited.push((number, entry.map(|entry| entry["seq"].as_u64().unwrap())));
            Ok::<_, std::io::Error>(())
        },
    )
    .unwrap();
    let expected = [
        (1, Some(1)),
        (2, None),
        (3, Some(3)),
        (4, Some(4)),
        (5, Some(5)),
    ];
    assert_eq!(visited, expected);
}
