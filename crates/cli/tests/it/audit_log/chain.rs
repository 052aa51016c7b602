//! The chain: changed, removed, inserted, moved or cut lines are found, and the ordinary life of a file leaves it whole.

use std::fs;

use serde_json::Value;
use waxseal_testing::RedisServer;

use super::{TRAIL_KEY, assert_whole, entries, log, recorded, recording};
use crate::program::{OTHER_KEY, Program};

/// A program with an audit log of 5 entries, in a store that is a file.
fn with_entries() -> Program {
    let program = Program::with_file()
        .env("TRAIL_KEY", TRAIL_KEY)
        .file("waxseal.toml", super::CONFIG);
    put(&program, "wa:1");
    put(&program, "wa:2");
    program
}

#[track_caller]
fn put(program: &Program, name: &str) {
    program.run_with(&["put", name], b"{}").done();
}

/// The break in a log after a manipulation.
#[track_caller]
fn after(program: &Program, change: impl Fn(&mut Vec<String>)) -> Value {
    let mut lines: Vec<_> = log(program).lines().map(str::to_owned).collect();
    change(&mut lines);
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    // Under another name, without a state file.
    fs::write(program.path("copy.jsonl"), text).unwrap();
    let output = program.run(&["audit-log", "verify", "copy.jsonl", "--json"]);
    output.with_status(1).json()["broken"].clone()
}

#[track_caller]
fn assert_broken(broken: &Value, kind: &str, line: u64) {
    assert_eq!(broken["kind"], kind, "{broken}");
    assert_eq!(broken["line"], line, "{broken}");
}

#[test]
fn manipulations_of_lines_are_found_and_classified() {
    let program = with_entries();
    assert_whole(&program, 5);
    let broken = after(&program, |lines| {
        lines[2] = lines[2].replace("\"put\"", "\"get\"");
    });
    assert_broken(&broken, "changed", 3);
    let broken = after(&program, |lines| lines[2].replace_range(0..1, "x"));
    assert_broken(&broken, "changed", 3);
    let broken = after(&program, |lines| drop(lines.remove(2)));
    assert_broken(&broken, "removed", 3);
    let broken = after(&program, |lines| drop(lines.remove(0)));
    assert_broken(&broken, "removed", 1);
    let broken = after(&program, |lines| lines.swap(2, 3));
    assert_broken(&broken, "reordered", 3);
    let broken = after(&program, |lines| {
        let forged = lines[2].replace("\"begun\"", "\"done\"");
        lines.insert(3, forged);
    });
    assert_broken(&broken, "inserted", 4);
    let broken = after(&program, |lines| lines.insert(3, lines[2].clone()));
    assert_broken(&broken, "inserted", 4);
    let broken = after(&program, |lines| lines.insert(3, "garbage".to_owned()));
    assert_broken(&broken, "inserted", 4);
    let broken = after(&program, Vec::clear);
    assert_eq!(broken["kind"], "cut_off");
}

#[test]
fn the_example_of_the_documentation_is_whole() {
    let page = include_str!("../../../../../docs/operate/audit-log.md");
    let lines = page.lines().filter(|line| line.starts_with("{\"seq\":"));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    let key = page
        .lines()
        .find(|line| line.len() == 64 && line.chars().all(|it| it.is_ascii_hexdigit()))
        .unwrap();
    let program = Program::new()
        .env("EXAMPLE", key)
        .file("audit.jsonl", &text);
    let words = ["audit-log", "verify", "audit.jsonl", "--key", "env:EXAMPLE"];
    let told = program.run(&words).done().text();
    assert!(told.starts_with("whole: 4 entries"), "{told}");
    for line in told.lines().take(2) {
        assert!(page.contains(line), "{line}");
    }
}

#[test]
fn every_changed_byte_is_found() {
    let program = with_entries();
    let bytes = log(&program).into_bytes();
    let line = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    for index in (0..line).step_by(37) {
        let mut changed = bytes.clone();
        changed[index] ^= 1;
        fs::write(program.path("copy.jsonl"), changed).unwrap();
        let output = program.run(&["audit-log", "verify", "copy.jsonl"]);
        output.with_status_of(&[1]);
    }
}

#[test]
fn a_missing_end_is_found_by_an_entry_known_from_elsewhere() {
    let program = with_entries();
    let all = entries(&program);
    let text = program.run(&["audit-log", "verify"]).done().text();
    let mac = all[4]["mac"].as_str().unwrap();
    assert!(text.contains("whole: 5 entries in 1 file\n"), "{text}");
    assert!(
        text.contains(&format!("first seq 1, last seq 5, mac {mac}\n")),
        "{text}"
    );
    let lines: Vec<_> = log(&program).lines().map(str::to_owned).collect();
    fs::write(program.path("copy.jsonl"), lines[..3].join("\n") + "\n").unwrap();
    let verify = |more: &[&str]| program.run(&[&["audit-log", "verify"], more].concat());
    // It goes unnoticed without an entry that was noted elsewhere.
    verify(&["copy.jsonl"]).done();
    let third = all[2]["mac"].as_str().unwrap();
    for noted in ["3", third] {
        verify(&["copy.jsonl", "--expect-last", noted]).done();
    }
    for noted in ["5", mac] {
        let output = verify(&["copy.jsonl", "--expect-last", noted]).with_status(1);
        assert!(
            output.text().contains("the end was cut off"),
            "{}",
            output.text()
        );
    }
    verify(&["copy.jsonl", "--expect-last", "x"]).failed(64, "--expect-last takes");
    // On the machine that wrote it, the last entry is known.
    fs::copy(program.path("copy.jsonl"), program.path("audit.jsonl")).unwrap();
    let broken = verify(&["--json"]).with_status(1).json()["broken"].clone();
    assert_eq!(broken["kind"], "cut_off");
    // And the next writer reports it.
    put(&program, "wa:3");
    assert_eq!(
        recorded(&program)[3..],
        ["cut_off done", "put begun", "put done"]
    );
    let broken = verify(&["--json"]).with_status(1).json()["broken"].clone();
    assert_broken(&broken, "removed", 4);
}

#[test]
fn another_key_is_distinguished_from_a_broken_chain() {
    let program = with_entries();
    let other = program.clone().env("TRAIL_KEY", OTHER_KEY);
    let text = "no entry of the audit log was written under this key\nhint: ";
    other.run(&["audit-log", "verify"]).failed(2, text);
    // Nothing is appended to the entries of another key.
    let output = other.run(&["get", "wa:1"]);
    let output = output.failed(2, "does not verify under this key");
    assert_eq!(output.text(), "");
    // It needs no store, keyring or configuration.
    let auditor = Program::new().env("KEY_OF_LOG", TRAIL_KEY);
    fs::copy(program.path("audit.jsonl"), auditor.path("copied")).unwrap();
    let words = ["audit-log", "verify", "copied", "--key", "env:KEY_OF_LOG"];
    auditor.run(&words).done();
    auditor
        .run(&words[..3])
        .failed(64, "the key of the audit log is not known\nhint: ");
    auditor
        .run(&["audit-log", "verify", "no", "--key", "env:KEY_OF_LOG"])
        .failed(2, "no cannot be read");
    auditor
        .run(&["audit-log", "verify", "copied", "--key", "env:NO"])
        .failed(64, "--key: the variable NO is not set\nhint: ");
}

#[test]
fn entries_are_shown_by_time_and_action() {
    let program = with_entries();
    let show = |more: &[&str]| program.run(&[&["audit-log", "show"], more].concat());
    let text = show(&[]).done().text();
    assert_eq!(text.lines().count(), 5);
    let first = &entries(&program)[0];
    let (at, host) = (
        first["at"].as_str().unwrap(),
        first["host"].as_str().unwrap(),
    );
    assert!(
        text.starts_with(&format!("     1  {at}  {host}  ")),
        "{text}"
    );
    assert!(text.contains("  put begun  wa:#"), "{text}");
    let shown = show(&["--action", "put", "--json", "--since", "2020-01-01"]).done();
    assert_eq!(shown.json().as_array().unwrap()[..], entries(&program)[1..]);
    assert_eq!(show(&["--since", "2999-01-01T00:00:00Z"]).done().text(), "");
    show(&["--since", "yesterday"]).failed(64, "--since takes a time in UTC\nhint: ");
    show(&["nothing"]).failed(2, "nothing: ");
    let changed = log(&program).replacen("\"put\"", "\"get\"", 1);
    fs::write(program.path("audit.jsonl"), changed).unwrap();
    let output = show(&[]).failed(1, "audit.jsonl, line 2 does not verify under this key");
    assert_eq!(output.text().lines().count(), 4);
}

#[test]
fn a_renamed_file_is_continued_in_a_new_one() {
    let program = with_entries();
    fs::rename(program.path("audit.jsonl"), program.path("audit.jsonl.1")).unwrap();
    put(&program, "wa:3");
    assert_eq!(
        recorded(&program),
        ["continued done", "put begun", "put done"]
    );
    let entries = entries(&program);
    assert_eq!(entries[0]["seq"], 6);
    let verify = |files: &[&str]| program.run(&[&["audit-log", "verify"], files].concat());
    let text = verify(&["audit.jsonl.1", "audit.jsonl"]).done().text();
    assert!(text.contains("whole: 8 entries in 2 files\n"), "{text}");
    let text = verify(&[]).done().text();
    assert!(text.contains("entries 1 to 5 are in older files"), "{text}");
    let output = verify(&["audit.jsonl", "audit.jsonl.1", "--json"]).with_status(1);
    assert_broken(&output.json()["broken"], "another_chain", 1);
    // A chain that was restarted is another one.
    fs::remove_file(program.path("audit.jsonl")).unwrap();
    fs::remove_file(program.path("audit.jsonl.state")).unwrap();
    put(&program, "wa:4");
    let output = verify(&["audit.jsonl.1", "audit.jsonl", "--json"]).with_status(1);
    assert_broken(&output.json()["broken"], "another_chain", 1);
}

#[test]
fn a_partial_line_is_kept_and_recorded() {
    let program = with_entries();
    for half in ["{\"seq\":6,\"at\":\"20", "{", "\u{1}"] {
        let before = log(&program);
        fs::write(program.path("audit.jsonl"), format!("{before}{half}")).unwrap();
        let output = program
            .run(&["audit-log", "verify", "--json"])
            .with_status(1);
        assert_eq!(output.json()["broken"]["kind"], "half_line");
        put(&program, "wa:3");
        let after = log(&program);
        assert!(after.starts_with(&format!("{before}{half}\n")));
        let next: Value = serde_json::from_str(
            after[before.len() + half.len() + 1..]
                .lines()
                .next()
                .unwrap(),
        )
        .unwrap();
        assert_eq!(next["action"], "repaired");
        assert_eq!(next["details"]["bytes"], half.len());
        program.run(&["audit-log", "verify"]).done();
    }
    // A line that lacks only its end was written.
    let before = log(&program);
    fs::write(program.path("audit.jsonl"), before.trim_end()).unwrap();
    put(&program, "wa:3");
    assert!(log(&program).starts_with(&before));
    program.run(&["audit-log", "verify"]).done();
    // A half line without a report is another matter.
    let changed = log(&program).replacen("\"bytes\":1}", "\"bytes\":2}", 1);
    let changed = changed.replacen("\n{\n", "\n}\n", 1);
    fs::write(program.path("audit.jsonl"), changed).unwrap();
    program.run(&["audit-log", "verify"]).with_status(1);
}

#[test]
fn the_first_line_may_be_partial() {
    let program = Program::with_file()
        .env("TRAIL_KEY", TRAIL_KEY)
        .file("waxseal.toml", super::CONFIG)
        .file("audit.jsonl", "{\"seq\":1");
    put(&program, "wa:1");
    let output = program.run(&["audit-log", "verify"]).done();
    assert!(
        output.text().contains("whole: 3 entries"),
        "{}",
        output.text()
    );
}

#[test]
fn processes_that_write_at_once_keep_one_chain() {
    let server = RedisServer::start();
    let program = recording(&server, "");
    put(&program, "wa:0");
    let running: Vec<_> = (0..12).map(|_| program.start(&["get", "wa:0"])).collect();
    for one in running {
        assert_eq!(one.end().done().text(), "{}");
    }
    assert_eq!(recorded(&program).len(), 15);
    assert_whole(&program, 15);
}
