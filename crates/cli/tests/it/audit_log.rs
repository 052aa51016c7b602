//! The audit log: what each command writes into it, and that nothing else is in it. Its chain, and what
//! is refused, are checked further down.

mod chain;
mod refusals;
mod starts;

use std::fs;

use serde_json::Value;
use waxseal_testing::RedisServer;

use crate::program::{KEY, OTHER_KEY, Program};
use crate::quarantine::{one_moved_aside, the_id};
use crate::records::{NAME, STATE};

/// The key of the audit log.
const TRAIL_KEY: &str = "a3c15e0f7b29d846f0e1c2d3b4a5968778695a4b3c2d1e0f6c1f0a5be2d94738";
const CONFIG: &str = "environment = \"tests\"\naudit_log = \"file:audit.jsonl\"\n\
                      audit_log_key = \"env:TRAIL_KEY\"\n";
const RING: &str = "keyring = \"file:ring.json\"\n";
const USERS: &str = "[[protect]]\nrecords = \"wa:{user}\"\nper_user_keys = true\n\
                     plain_values = \"json\"\n";
const IDENTITY: &str = include_str!("../../../keys/tests/vectors/backup/identity.txt");
/// Secrets that must not be in any entry.
const SECRETS: [&str; 8] = [
    KEY,
    OTHER_KEY,
    TRAIL_KEY,
    "5215512345678",
    "domicilio",
    "showing_menu",
    "987654",
    "AGE-SECRET",
];

/// A program that records, at this server.
fn recording(server: &RedisServer, more: &str) -> Program {
    let program = Program::at(server).file("waxseal.toml", &format!("{CONFIG}{more}"));
    let state = program.path("state");
    program
        .env("STATE_DIRECTORY", state.to_str().unwrap())
        .env("TRAIL_KEY", TRAIL_KEY)
}

fn log(program: &Program) -> String {
    fs::read_to_string(program.path("audit.jsonl")).unwrap_or_default()
}

#[track_caller]
fn entries(program: &Program) -> Vec<Value> {
    let text = log(program);
    for secret in SECRETS {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Actions and outcomes, as `action outcome`.
#[track_caller]
fn recorded(program: &Program) -> Vec<String> {
    let word = |entry: &Value, name: &str| entry[name].as_str().unwrap().to_owned();
    let entries = entries(program);
    let entries = entries.iter();
    entries
        .map(|it| format!("{} {}", word(it, "action"), word(it, "outcome")))
        .collect()
}

#[track_caller]
fn assert_whole(program: &Program, count: u64) {
    let verdict = program
        .run(&["audit-log", "verify", "--json"])
        .done()
        .json();
    assert_eq!(verdict["whole"], true);
    assert_eq!(verdict["entries"], count);
}

#[test]
fn an_access_is_recorded_with_user_and_masked_record() {
    let server = RedisServer::start();
    let program = recording(&server, "").env("SUDO_USER", "ana");
    let put = program.run_with(&["put", NAME], STATE.as_bytes()).done();
    let got = program.run(&["get", NAME]).done();
    assert_eq!(got.text(), STATE);
    let stored = crate::records::get(&server, NAME).unwrap();
    let opened = program
        .run_with(&["open", "--record", NAME], &stored)
        .done();
    assert_eq!(opened.text(), STATE);
    program.run_with(&["open"], &stored).done();
    let expected = [
        "started done",
        "put begun",
        "put done",
        "get done",
        "open done",
        "open done",
    ];
    assert_eq!(recorded(&program), expected);
    let entries = entries(&program);
    let get = &entries[3];
    let shown = get["target"].as_str().unwrap();
    assert!(shown.starts_with("wa:#") && shown.len() == 12, "{shown}");
    assert!(put.stderr.contains(&format!("record={shown}")));
    assert!(got.stderr.contains(&format!("record={shown}")));
    assert_eq!(get["environment"], "tests");
    assert_eq!(get["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(get["user"]["sudo_user"], "ana");
    assert!(get["user"]["uid"].is_u64() && get["pid"].is_u64());
    assert!(!get["host"].as_str().unwrap().is_empty());
    let at = get["at"].as_str().unwrap();
    assert!(
        at.len() == "2026-11-28T05:15:24.123Z".len() && at.ends_with('Z'),
        "{at}"
    );
    assert_eq!(entries[2]["details"]["begun"], 2);
    assert_eq!(entries[4]["target"], shown);
    assert_eq!(entries[5]["target"], "a value of no named record");
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(entry["seq"], index as u64 + 1);
        if index > 0 {
            assert_eq!(entry["prev"], entries[index - 1]["mac"]);
        }
    }
    assert_whole(&program, 6);
}

#[test]
fn commands_that_only_read_are_not_recorded() {
    let server = RedisServer::start();
    let program = recording(&server, "");
    for words in [
        &["audit"][..],
        &["migrate", "--dry-run"],
        &["key", "generate", "--file", "k"],
        &["quarantine", "list"],
        &["audit-log", "verify", "waxseal.toml"],
    ] {
        program.run(words);
    }
    assert!(!program.path("audit.jsonl").exists());
}

/// The changes of a keyring below, and their entries.
const CHANGES: [(&str, &str); 13] = [
    ("init", "done"),
    ("add", "done"),
    ("promote", "done"),
    ("compromise", "done"),
    ("destroy", "done"),
    ("configure", "done"),
    ("rewrap", "done"),
    ("release", "failed"),
    ("rewrap", "failed"),
    ("export", "done"),
    ("rehearse", "done"),
    ("import", "failed"),
    ("restore", "done"),
];

#[test]
fn changes_of_the_keyring_are_recorded_before_and_after() {
    let server = RedisServer::start();
    let program = recording(&server, RING);
    let ring = |words: &[&str], status| {
        let words = [&["keyring"], words].concat();
        program.run(&words).with_status(status)
    };
    let quick = ["--propagation", "100ms", "--refresh", "50ms"];
    ring(
        &[&["init", "--rotate-every", "never"], &quick[..]].concat(),
        0,
    );
    ring(&["add"], 0);
    let status = ring(&["status", "--json"], 0).json();
    let id = |state: &str| {
        let keys = status["keys"].as_array().unwrap();
        let key = keys.iter().find(|key| key["state"] == state).unwrap();
        key["id"].as_str().unwrap().to_owned()
    };
    let (first, second) = (id("sealing"), id("pending"));
    ring(&["promote", &second, "--now"], 0);
    ring(&["compromise", &first], 0);
    ring(&["destroy", &first, "--force"], 0);
    ring(&["configure", "--rest", "9d"], 0);
    ring(&["rewrap"], 0);
    let records = ["--records", "sess:*"];
    ring(
        &["release", "--store", &server.url(), records[0], records[1]],
        2,
    );
    ring(
        &["rewrap", "--to", "pkcs11:token=t;object=o?pin-value=987654"],
        64,
    );
    let recipient = IDENTITY
        .lines()
        .find_map(|it| it.strip_prefix("# public key: "));
    ring(
        &["export", "keyring.age", "--recipient", recipient.unwrap()],
        0,
    );
    let program = program.clone().file("identity.txt", IDENTITY);
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(program.path("identity.txt"), mode).unwrap();
    ring(
        &["rehearse", "keyring.age", "--identity", "identity.txt"],
        0,
    );
    ring(&["import", "keyring.age", "--identity", "identity.txt"], 2);
    ring(&["restore"], 0);
    let mut expected = vec!["started done".to_owned()];
    for (action, outcome) in CHANGES {
        expected.push(format!("keyring_{action} begun"));
        expected.push(format!("keyring_{action} {outcome}"));
    }
    assert_eq!(recorded(&program), expected);
    assert_details(&entries(&program), &second);
    assert_whole(&program, 27);
}

/// The details of the entries of the changes.
#[track_caller]
fn assert_details(entries: &[Value], second: &str) {
    let of = |seq: usize| &entries[seq - 1];
    assert_eq!(of(2)["details"]["custodians"], "env:REDIS_ENCRYPTION_KEY");
    assert_eq!(of(6)["target"], second);
    assert_eq!(of(6)["details"]["now"], true);
    assert_eq!(of(7)["details"]["sealing"], second);
    assert_eq!(of(16)["target"], "sess:*");
    assert_eq!(of(17)["details"]["error"], "failed");
    assert_eq!(of(18)["details"]["to"], "pkcs11:token=t;object=o");
}

#[test]
fn sweeps_are_recorded_with_their_counts() {
    let server = crate::records::server_with_states(25);
    let program = recording(&server, RING);
    program.run(&["keyring", "init"]).done();
    program.run(&["migrate"]).done();
    program.run(&["rotate"]).done();
    program.run(&["decrypt"]).with_status(64);
    program.run(&["decrypt", "--yes"]).done();
    let expected = [
        "migrate begun",
        "migrate done",
        "rotate begun",
        "rotate done",
        "decrypt begun",
        "decrypt done",
    ];
    assert_eq!(recorded(&program)[3..], expected);
    let entries = entries(&program);
    assert_eq!(entries[3]["target"], "wa:*");
    assert_eq!(entries[4]["details"]["changed"], 25);
    assert_eq!(entries[6]["details"]["changed"], 0);
    assert_eq!(entries[8]["details"]["changed"], 25);
    assert_eq!(entries[8]["details"]["failed"], 0);
}

#[test]
fn an_erasure_is_recorded_under_the_hash_of_its_receipt() {
    let server = RedisServer::start();
    let program = recording(&server, &format!("{RING}{USERS}"));
    program.run(&["keyring", "init"]).done();
    program.run_with(&["put", NAME], STATE.as_bytes()).done();
    program.run(&["forget", "5215512345678"]).with_status(64);
    let receipt = program
        .run(&["forget", "5215512345678", "--yes"])
        .done()
        .json();
    assert_eq!(recorded(&program)[5..], ["forget begun", "forget done"]);
    let entries = entries(&program);
    assert_eq!(entries[5]["target"], "a user");
    assert_eq!(entries[6]["details"]["user_hash"], receipt["user"]);
    assert_eq!(entries[6]["details"]["records_deleted"], 1);
}

#[test]
fn a_report_of_an_audit_is_recorded_and_an_audit_without_one_is_not() {
    let server = crate::records::server_with_states(3);
    let program = recording(&server, RING);
    program.run(&["keyring", "init"]).done();
    let before = recorded(&program).len();
    program.run(&["audit"]).done();
    program
        .run(&["audit", "--report", "nowhere/audit.json"])
        .with_status(2);
    assert_eq!(recorded(&program).len(), before);
    let output = program
        .run(&["audit", "--report", "audit.json", "--require-clean"])
        .with_status(1);
    assert!(output.stderr.contains("wrote audit.json"));
    program.run(&["audit", "verify", "audit.json"]).done();
    let expected = ["audit_report begun", "audit_report done"];
    assert_eq!(recorded(&program)[before..], expected);
    let entries = entries(&program);
    let [begun, done] = &entries[before..] else {
        panic!("two entries in {entries:?}");
    };
    assert_eq!(begun["target"], "wa:*");
    assert_eq!(begun["details"]["deep"], false);
    let details = &done["details"];
    assert_eq!(
        (&details["values"], &details["clean"]),
        (&3.into(), &false.into())
    );
    assert_eq!(details["signed_by"].as_str().unwrap().len(), 43);
}

#[test]
fn values_in_quarantine_are_recorded_when_they_are_moved_or_dropped() {
    let (server, _) = one_moved_aside();
    let program = recording(&server, "");
    let id = the_id(&program);
    program.run(&["quarantine", "drop", &id]).with_status(64);
    program
        .run(&["quarantine", "drop", "nothing", "--yes"])
        .with_status(2);
    program.run(&["quarantine", "drop", &id, "--yes"]).done();
    let expected = ["quarantine_drop begun", "quarantine_drop done"];
    assert_eq!(recorded(&program)[1..], expected);
    let entry = &entries(&program)[1];
    assert_eq!(entry["details"]["id"], id.as_str());
    assert!(entry["target"].as_str().unwrap().starts_with("wa:#"));

    let (server, _) = one_moved_aside();
    let program = recording(&server, "");
    let id = the_id(&program);
    program.run(&["quarantine", "restore", &id]).done();
    let expected = ["quarantine_restore begun", "quarantine_restore done"];
    assert_eq!(recorded(&program)[1..], expected);
}
