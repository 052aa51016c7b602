//! Erasing one user or many: unknown users are reported, nothing is signed by mistake, an interrupted run
//! continues.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::users::world;
use super::{Lies, World};
use crate::program::{Output, Program};
use crate::records::{NAME, STATE, get, put};

const USER: &str = "5215512345678";
const CONFIG_OF_ANOTHER: &str = "environment = \"tests\"\nkeyring = \"file:other.json\"\n";

/// A user who has a key and a record.
fn write_as(world: &World, user: &str) {
    let name = format!("wa:{user}");
    world
        .program
        .run_with(&["put", &name], STATE.as_bytes())
        .done();
}

fn erased(world: &World) -> Value {
    world.status()["erased_users"].clone()
}

fn receipts(world: &World) -> Vec<PathBuf> {
    let entries = fs::read_dir(world.program.path("receipts")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn forget_all(world: &World) -> Output {
    let words = [
        "forget",
        "--from",
        "users.txt",
        "--receipts",
        "receipts",
        "--yes",
    ];
    world.program.run(&words)
}

#[test]
fn an_unknown_user_is_reported_and_nothing_is_signed_or_written() {
    let world = world(Lies::InAFile);
    write_as(&world, USER);
    // A digit too few, and the whole record name.
    for user in ["521551234567", NAME] {
        let output = world.run(&["forget", user, "--yes"]);
        let output = output.failed(1, "error: the user is unknown");
        assert!(output.stdout.is_empty(), "{}", output.text());
        assert!(
            output.stderr.contains("--even-if-unknown"),
            "{}",
            output.stderr
        );
    }
    assert_eq!(erased(&world), 0);
    let receipt = world
        .run(&["forget", "521551234567", "--yes", "--even-if-unknown"])
        .done();
    assert_eq!(receipt.json()["key_destroyed"], false);
    assert_eq!(erased(&world), 1);
    // The right one is unchanged, and an erased one is not unknown.
    assert_eq!(world.run(&["get", NAME]).done().text(), STATE);
    world.run(&["forget", USER, "--yes"]).done();
    let again = world.run(&["forget", USER, "--yes"]).done().json();
    assert_eq!(
        (&again["erasure"], &again["key_destroyed"]),
        (&2.into(), &true.into())
    );
}

#[test]
fn each_trace_makes_a_user_known() {
    let world = world(Lies::InTheServer);
    // A plain record alone; a value in quarantine alone; a key alone.
    put(&world.server, "wa:plain", b"{}");
    put(
        &world.server,
        "waxseal:quarantine:{wa:aside}:19a91e2b6c07f1e2d3c",
        b"x",
    );
    write_as(&world, "keyed");
    world.server.cli(&["DEL", "wa:keyed"]);
    for (user, found) in [
        ("plain", "no key, 1 record, 0 values in quarantine"),
        ("aside", "no key, 0 records, 1 value in quarantine"),
        ("keyed", "the key, 0 records, 0 values in quarantine"),
    ] {
        let output = world.run(&["forget", user, "--dry-run"]).done();
        assert!(output.text().contains(found), "{}", output.text());
        world.run(&["forget", user, "--yes"]).done();
        let output = world.run(&["forget", user, "--dry-run"]).done();
        assert!(
            output.text().contains("erased 1 time before"),
            "{}",
            output.text()
        );
    }
}

#[test]
fn a_dry_run_shows_what_would_be_erased_and_changes_nothing() {
    let world = world(Lies::InTheServer);
    write_as(&world, USER);
    let before = world.server.snapshot();
    let output = world.run(&["forget", USER, "--dry-run"]).done();
    assert!(
        output
            .text()
            .contains("would be erased: the key, 1 record,"),
        "{}",
        output.text()
    );
    assert!(
        output.stderr.contains("nothing was changed"),
        "{}",
        output.stderr
    );
    let json = world
        .run(&["forget", USER, "--dry-run", "--json"])
        .done()
        .json();
    assert_eq!(
        (&json["known"], &json["key"], &json["records"]),
        (&true.into(), &true.into(), &1.into())
    );
    // Even with a confirmation.
    world.run(&["forget", USER, "--dry-run", "--yes"]).done();
    world
        .run(&["forget", "nobody", "--dry-run"])
        .failed(1, "the user is unknown");
    let program = world
        .program
        .clone()
        .file("users.txt", &format!("{USER}\nnobody\n"));
    let output = program.run(&["forget", "--from", "users.txt", "--dry-run"]);
    let output = output.with_status(1);
    let told =
        "line 1: would be erased: the key, 1 record, 0 values in quarantine\nline 2: unknown";
    assert!(output.text().starts_with(told), "{}", output.text());
    assert_eq!(world.server.snapshot(), before);
}

#[test]
fn many_users_are_erased_from_a_file_each_with_a_receipt_of_its_own() {
    let world = world(Lies::InAFile);
    let users: Vec<String> = (0..25).map(|n| format!("user{n}")).collect();
    users.iter().for_each(|user| write_as(&world, user));
    let list = format!("{}\r\nmisspelled\r\n\r\nuser3\r\n", users.join("\r\n"));
    let program = world.program.clone().file("users.txt", &list);
    program
        .run(&["forget", "--from", "users.txt", "--receipts", "receipts"])
        .failed(64, "confirm with --yes");
    program
        .run(&["forget", "--from", "users.txt", "--yes"])
        .failed(64, "--receipts DIRECTORY");
    let output = forget_all(&world).with_status(1);
    assert!(
        output.text().contains("line 26: unknown"),
        "{}",
        output.text()
    );
    let told = "26 users: 25 erased, 0 erased before, 1 unknown, 0 not done";
    assert!(output.stderr.contains(told), "{}", output.stderr);
    for user in &users {
        assert!(!output.text().contains(&format!("{user} ")) && !output.stderr.contains(user));
        assert_eq!(get(&world.server, &format!("wa:{user}")), None);
    }
    assert_eq!(erased(&world), 25);
    assert_eq!(receipts(&world).len(), 25);
    // Each receipt is that of one of them, and of no other.
    let verify = |path: &PathBuf, user: &str| {
        let path = path.to_str().unwrap();
        world
            .run(&["receipt", "verify", path, "--user", user])
            .status
    };
    let first = &receipts(&world)[0];
    let matching = users.iter().filter(|user| verify(first, user) == 0);
    assert_eq!(matching.count(), 1);
    // The same command again erases no user twice.
    let output = forget_all(&world).with_status(1);
    let told = "26 users: 0 erased, 25 erased before, 1 unknown, 0 not done";
    assert!(output.stderr.contains(told), "{}", output.stderr);
    assert_eq!(receipts(&world).len(), 25);
    // A user who returned is erased again, with another receipt.
    write_as(&world, "user7");
    let json = [
        "forget",
        "--from",
        "users.txt",
        "--receipts",
        "receipts",
        "--yes",
        "--json",
    ];
    let report = world.program.run(&json).with_status(1).json();
    assert_eq!(
        (
            &report["erased"],
            &report["already_erased"],
            &report["unknown"]
        ),
        (&1.into(), &24.into(), &1.into())
    );
    assert_eq!(receipts(&world).len(), 26);
    // With a correct list it succeeds.
    let list = format!("{}\n", users.join("\n"));
    world.program.clone().file("users.txt", &list);
    forget_all(&world).done();
}

#[test]
fn a_run_that_was_interrupted_shows_where_and_continues_there() {
    let world = world(Lies::InAFile);
    let users = ["user1", "user2", "user3"];
    users.iter().for_each(|user| write_as(&world, user));
    let program = world
        .program
        .clone()
        .file("users.txt", "user1\nuser2\nuser3\n");
    // The receipt of the second cannot be written: another file has its name.
    let hash = {
        let words = ["forget", "user2", "--yes"];
        let receipt = program.run(&words).done().json();
        receipt["user"].as_str().unwrap().to_owned()
    };
    write_as(&world, "user2");
    fs::create_dir(program.path("receipts")).unwrap();
    let place = program.path("receipts").join(format!("{hash}-2.json"));
    fs::write(&place, "something else").unwrap();
    let output = forget_all(&world).with_status(2);
    for told in [
        "line 2: the user is erased, and the receipt could not be written",
        "the same command continues where this one stopped",
        "2 not done",
    ] {
        assert!(output.stderr.contains(told), "{}", output.stderr);
    }
    assert_eq!(fs::read_to_string(&place).unwrap(), "something else");
    // A file that is not a receipt is not accepted as one.
    forget_all(&world).failed(2, "is not the receipt that it should be");
    fs::remove_file(&place).unwrap();
    let output = forget_all(&world).done();
    let told = "3 users: 2 erased, 1 erased before, 0 unknown, 0 not done";
    assert!(output.stderr.contains(told), "{}", output.stderr);
    for user in users {
        assert_eq!(get(&world.server, &format!("wa:{user}")), None);
    }
}

#[test]
fn users_can_come_from_stdin_and_a_list_without_any_is_refused() {
    let world = world(Lies::InAFile);
    write_as(&world, USER);
    let words = ["forget", "--from", "-", "--receipts", "receipts", "--yes"];
    world
        .program
        .run_with(&words, b"\n\n")
        .failed(64, "names no user");
    world.program.run_with(&words, USER.as_bytes()).done();
    assert_eq!(receipts(&world).len(), 1);
    world
        .run(&["forget", USER, "--from", "users.txt", "--yes"])
        .failed(64, "cannot be used with");
    world.run(&["forget", "--yes"]).with_status(64);
    world
        .run(&[
            "forget",
            "--from",
            "missing.txt",
            "--receipts",
            "receipts",
            "--yes",
        ])
        .failed(2, "missing.txt cannot be read");
    // If receipts cannot be written, no user is erased.
    write_as(&world, USER);
    world
        .program
        .clone()
        .file("file", "")
        .file("users.txt", USER);
    world
        .run(&[
            "forget",
            "--from",
            "users.txt",
            "--receipts",
            "file",
            "--yes",
        ])
        .failed(2, "file cannot be created");
    assert!(get(&world.server, NAME).is_some());
}

#[test]
fn a_receipt_is_compared_with_a_user() {
    let world = world(Lies::InAFile);
    write_as(&world, USER);
    let receipt = world.run(&["forget", USER, "--yes"]).done();
    let verify = |user: &str, program: &Program| {
        let words = ["receipt", "verify", "--user", user];
        program.run_with(&words, &receipt.stdout)
    };
    let output = verify(USER, &world.program).done();
    assert!(
        output
            .text()
            .contains("(keyed hash of the user that was named)"),
        "{}",
        output.text()
    );
    verify("521551234567", &world.program).failed(1, "it is the receipt of another user");
    let json = ["receipt", "verify", "--user", USER, "--json"];
    let json = world.program.run_with(&json, &receipt.stdout).done().json();
    assert_eq!(json["user_matches"], true);
    let json = ["receipt", "verify", "--user", "x", "--json"];
    let json = world
        .program
        .run_with(&json, &receipt.stdout)
        .with_status(1)
        .json();
    assert_eq!(
        (&json["verified"], &json["user_matches"]),
        (&false.into(), &false.into())
    );
    // Without a keyring the user cannot be compared.
    verify(USER, &Program::new()).failed(64, "only the keyring can tell");
    let other = world.program.clone().file("other.toml", CONFIG_OF_ANOTHER);
    other
        .run(&["keyring", "init", "--config", "other.toml", "--fresh"])
        .done();
    let words = [
        "receipt",
        "verify",
        "--user",
        USER,
        "--config",
        "other.toml",
    ];
    let key = receipt.json()["public_key"].as_str().unwrap().to_owned();
    let words = [&words[..], &["--key", &key]].concat();
    other
        .run_with(&words, &receipt.stdout)
        .failed(1, "for another keyring");
}

#[test]
fn each_of_many_erasures_is_in_the_audit_log() {
    let trail = "audit_log = \"file:audit.jsonl\"\naudit_log_key = \"env:TRAIL_KEY\"\n\
                 [[protect]]\nrecords = \"wa:{user}\"\nper_user_keys = true\nplain_values = \"json\"\n";
    let mut world = World::with(Lies::InAFile, trail);
    world.program = world.program.env(
        "TRAIL_KEY",
        "a3c15e0f7b29d846f0e1c2d3b4a5968778695a4b3c2d1e0f6c1f0a5be2d94738",
    );
    world.init();
    ["user1", "user2"]
        .iter()
        .for_each(|user| write_as(&world, user));
    world
        .program
        .clone()
        .file("users.txt", "user1\nnobody\nuser2\n");
    forget_all(&world).with_status(1);
    let log = fs::read_to_string(world.program.path("audit.jsonl")).unwrap();
    let forgotten = log.lines().filter(|line| line.contains("\"forget\""));
    // Each has a beginning and an end.
    assert_eq!(forgotten.count(), 4, "{log}");
    assert!(!log.contains("user1") && log.contains("user_hash"), "{log}");
}
