//! Keys of single users: configured, used by every command, and destroyed with a receipt.

mod lost_store;
mod members;

use serde_json::Value;

use super::{Lies, PLACES, World, text};
use crate::program::Program;
use crate::records::{NAME, STATE, get, put};

const CONFIG: &str = "[[protect]]\nname = \"States\"\nrecords = \"wa:{user}\"\nper_user_keys = true\n\
                      plain_values = \"json\"\n[[protect]]\nrecords = \"sess:*\"\n";
/// The user of the record that the tests use.
const USER: &str = "5215512345678";

pub(super) fn world(lies: Lies) -> World {
    let world = World::with(lies, CONFIG);
    world.init();
    world
}

impl World {
    #[track_caller]
    fn inspected(&self, name: &str, status: i32) -> Value {
        let report = self
            .run(&["inspect", name, "--json"])
            .with_status(status)
            .json();
        report["values"][0].clone()
    }
}

#[test]
fn values_of_a_user_are_under_a_key_of_their_own() {
    for lies in PLACES {
        let world = world(lies);
        world
            .program
            .run_with(&["put", NAME], STATE.as_bytes())
            .done();
        let other = "wa:5215500000001";
        world.program.run_with(&["put", other], b"[1]").done();
        assert_eq!(world.run(&["get", NAME]).done().text(), STATE);
        assert_eq!(world.run(&["get", other]).done().text(), "[1]");
        let (mine, theirs) = (world.inspected(NAME, 0), world.inspected(other, 0));
        assert_eq!(mine["key_state"], "user key");
        assert_eq!(mine["format"], "sealed");
        assert_ne!(mine["key"], theirs["key"]);
        assert_ne!(mine["key"], world.sealing().as_str());
        let records = world
            .server
            .client()
            .cmd(&["KEYS", "waxseal:user:*"])
            .array();
        assert_eq!(records.len(), 2);
        // Neither helps another.
        put(&world.server, other, &get(&world.server, NAME).unwrap());
        world.run(&["get", other]).with_status(2);
        // A pattern without users is under the ring.
        world.program.run_with(&["put", "sess:1"], b"x").done();
        assert_eq!(world.inspected("sess:1", 0)["key_state"], "sealing");
    }
}

#[test]
fn plain_values_are_migrated_and_audited_and_decrypted() {
    let world = world(Lies::InTheServer);
    waxseal_testing::load_states(&world.server, 25, std::time::Duration::from_secs(3600));
    world.run(&["migrate", "--dry-run"]).done();
    let keys = || {
        world
            .server
            .client()
            .cmd(&["KEYS", "waxseal:user:*"])
            .array()
            .len()
    };
    assert_eq!(keys(), 0);
    world.run(&["migrate"]).done();
    assert_eq!(keys(), 25);
    let report = world
        .run(&["audit", "--deep", "--require-clean", "--json"])
        .done()
        .json();
    assert_eq!(report["patterns"][0]["sealed"], 25);
    let group = &report["patterns"][0]["groups"][0];
    assert_eq!(group["format"], "sealed, user's key");
    assert_eq!(group["key_state"], "user key");
    world
        .run(&["migrate", "--format", "classic"])
        .failed(64, "the classic format names no key");
    let before = world
        .server
        .client()
        .cmd(&["GET", &waxseal_testing::state_name(3)])
        .bytes();
    world.run(&["rotate"]).done();
    let after = world
        .server
        .client()
        .cmd(&["GET", &waxseal_testing::state_name(3)])
        .bytes();
    assert_eq!(before, after);
    world.run(&["decrypt", "--yes"]).done();
    let plain = get(&world.server, &waxseal_testing::state_name(3)).unwrap();
    assert_eq!(plain, waxseal_testing::state_json(3).into_bytes());
}

#[test]
fn keys_of_users_can_lie_in_a_store_of_their_own() {
    let keys = waxseal_testing::RedisServer::start();
    let more = format!("user_keys = \"{}\"\n{CONFIG}", keys.url());
    let world = World::with(Lies::InAFile, &more);
    world.init();
    world
        .program
        .run_with(&["put", NAME], STATE.as_bytes())
        .done();
    let count = |server: &waxseal_testing::RedisServer| {
        server
            .client()
            .cmd(&["KEYS", "waxseal:user:*"])
            .array()
            .len()
    };
    assert_eq!((count(&keys), count(&world.server)), (1, 0));
    assert_eq!(world.run(&["get", NAME]).done().text(), STATE);
    let name = keys
        .client()
        .cmd(&["KEYS", "waxseal:user:*"])
        .array()
        .remove(0);
    let name = name.bytes().unwrap();
    let stored = keys.client().cmd(&[&b"GET"[..], &name]).bytes().unwrap();
    let name = String::from_utf8(name).unwrap();
    assert!(!name.contains(USER) && !stored.windows(8).any(|it| it == &USER.as_bytes()[..8]));
    drop(keys);
    let output = world.run(&["get", NAME]).failed(
        2,
        "the store of users' keys: the store at redis://127.0.0.1:",
    );
    let hint = "hint: check user_keys in waxseal.toml";
    assert!(output.stderr.contains(hint), "{}", output.stderr);
    // What is done about the keyring itself does not wait for it.
    world.ring(&["add"]).done();
    let id = world.keys("pending").pop().unwrap();
    world.ring(&["promote", &id, "--now"]).done();
    world.ring(&["configure", "--retain", "2h"]).done();
    assert_eq!(world.sealing(), id);
}

#[test]
fn a_flag_that_names_the_same_records_does_not_take_users_keys_from_them() {
    let world = world(Lies::InAFile);
    let put = ["put", NAME, "--protect", "wa:*"];
    world.program.run_with(&put, STATE.as_bytes()).done();
    assert_eq!(world.inspected(NAME, 0)["key_state"], "user key");
    world.run(&["decrypt", "--yes", "--protect", "wa:*"]).done();
    assert_eq!(get(&world.server, NAME).as_deref(), Some(STATE.as_bytes()));
}

#[test]
fn a_users_key_that_is_not_there_is_not_looked_for_in_the_environment() {
    let world = world(Lies::InAFile);
    let put = ["put", NAME];
    world.program.run_with(&put, STATE.as_bytes()).done();
    let without = "environment = \"tests\"\nkeyring = \"file:ring.json\"\n\
                   [[protect]]\nrecords = \"wa:{user}\"\nformat = \"sealed\"\n";
    let program = world.program.file("without.toml", without);
    let output = program
        .run(&["get", NAME, "--config", "without.toml"])
        .failed(2, "of a user, which is not there");
    let hint = "hint: check per_user_keys and user_keys in waxseal.toml";
    assert!(output.stderr.contains(hint), "{}", output.stderr);
    assert!(!output.stderr.contains("PREVIOUS"), "{}", output.stderr);
}

#[test]
fn users_keys_in_two_stores_are_reported() {
    let keys = waxseal_testing::RedisServer::start();
    let more = format!("user_keys = \"{}\"\n{CONFIG}", keys.url());
    let world = World::with(Lies::InAFile, &more);
    world.init();
    let put = ["put", NAME];
    let put = || world.program.run_with(&put, STATE.as_bytes()).done();
    assert!(!put().stderr.contains("keys at"));
    // One machine was configured without user_keys.
    let config = world.program.path("waxseal.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace(&more, CONFIG)).unwrap();
    let at = format!("redis://127.0.0.1:{}", keys.port());
    let told = format!("users of this keyring have keys at {at}, and not only at ");
    // A value is under a key that is not here.
    let refused = world.program.run_with(&["put", NAME], b"{}");
    let refused = refused.failed(2, "holds no key of this keyring");
    assert!(refused.stderr.contains(&told), "{}", refused.stderr);
    world.ring(&["adopt-users", "--yes"]).done();
    for output in [put(), world.run(&["forget", USER, "--yes"]).done()] {
        assert!(output.stderr.contains(&told), "{}", output.stderr);
        assert!(output.stderr.contains("waxseal keyring release"));
    }
    let release = ["release", "--records", "waxseal:user:*", "--store"];
    world.ring(&[&release[..], &[&keys.url()]].concat()).done();
    assert!(!put().stderr.contains("keys at"));
}

#[test]
fn a_user_whose_name_is_not_text_is_forgotten_and_one_who_was_never_there_is_reported() {
    let world = world(Lies::InAFile);
    let name = b"wa:\xff\xfe";
    let set = [&b"SET"[..], name, STATE.as_bytes()];
    assert_eq!(world.server.client().cmd(&set).to_text(), "OK");
    let output = world
        .program
        .start_after("set -- forget \"$(printf '\\377\\376')\" --yes", &[])
        .end()
        .done();
    assert_eq!(output.json()["records_deleted"], 1);
    let left = world.server.client().cmd(&[&b"EXISTS"[..], name]).int();
    assert_eq!(left, 0);
    assert!(!output.stderr.contains("warning"), "{}", output.stderr);
    // The whole record name is not the user.
    let output = world.run(&["forget", NAME, "--yes"]).with_status(1);
    assert!(
        output.stderr.contains("the user is unknown"),
        "{}",
        output.stderr
    );
    let output = world
        .run(&["forget", NAME, "--yes", "--even-if-unknown"])
        .done();
    let told = "nothing was found of this user";
    assert!(output.stderr.contains(told), "{}", output.stderr);
}

#[test]
fn a_user_is_erased_and_the_receipt_verifies() {
    for lies in PLACES {
        let world = world(lies);
        world
            .program
            .run_with(&["put", NAME], STATE.as_bytes())
            .done();
        let kept = get(&world.server, NAME).unwrap();
        world
            .run(&["forget", USER])
            .failed(64, "confirm with --yes");
        assert_eq!(world.run(&["get", NAME]).done().text(), STATE);
        let receipt = world.run(&["forget", USER, "--yes"]).done();
        let told = receipt.json();
        assert_eq!(told["key_destroyed"], true);
        assert_eq!(told["records_deleted"], 1);
        assert_eq!(told["environment"], "tests");
        assert!(!receipt.text().contains(USER));
        assert_eq!(get(&world.server, NAME), None);
        // A backup of the records does not bring the user back.
        put(&world.server, NAME, &kept);
        world
            .run(&["get", NAME])
            .failed(2, "the user's key was destroyed");
        assert_eq!(world.inspected(NAME, 1)["key_state"], "erased");
        let report = world.run(&["audit", "--json"]).done().json();
        assert_eq!(report["patterns"][0]["erased"], 1);
        assert_eq!(world.status()["erased_users"], 1);
        verify(&world, &receipt.stdout);
        // Who comes back gets a new key.
        world.program.run_with(&["put", NAME], b"[2]").done();
        assert_eq!(world.run(&["get", NAME]).done().text(), "[2]");
        let again = world.run(&["forget", USER, "--yes"]).done().json();
        assert_eq!(again["erasure"], 2);
        let never = ["forget", "nobody", "--yes", "--even-if-unknown"];
        let never = world.run(&never).done().json();
        assert_eq!(
            (&never["key_destroyed"], &never["records_deleted"]),
            (&false.into(), &0.into())
        );
    }
}

/// Verifies a receipt in all ways, and refuses what is none.
#[track_caller]
fn verify(world: &World, receipt: &[u8]) {
    let key = world.status()["receipt_key"].as_str().unwrap().to_owned();
    let path = world.program.path("receipt.json");
    std::fs::write(&path, receipt).unwrap();
    let said = world
        .run(&["receipt", "verify", "receipt.json"])
        .done()
        .text();
    assert!(
        said.contains(&format!("signed by    {key} (the expected one)")),
        "{said}"
    );
    assert!(said.contains("key          destroyed"), "{said}");
    let auditor = Program::new();
    let said = auditor.run_with(&["receipt", "verify", "-", "--key", &key], receipt);
    assert!(said.done().text().contains("(the expected one)"));
    let unsure = auditor.run_with(&["receipt", "verify"], receipt).done();
    assert!(
        unsure
            .stderr
            .contains("warning: it is not known whether this signer")
    );
    let json = auditor
        .run_with(&["receipt", "verify", "--json"], receipt)
        .done()
        .json();
    assert_eq!(
        (&json["verified"], &json["expected_signer"]),
        (&true.into(), &Value::Null)
    );
    let wrong = format!("A{}", &key[1..]);
    let wrong = if wrong == key {
        format!("B{}", &key[1..])
    } else {
        wrong
    };
    auditor
        .run_with(&["receipt", "verify", "--key", &wrong], receipt)
        .failed(1, "it was signed by another key than the expected one");
    // Some keys begin with a hyphen.
    let hyphen = format!("-{}", &key[1..]);
    if hyphen != key {
        let words = ["receipt", "verify", "--key", &hyphen];
        auditor
            .run_with(&words, receipt)
            .failed(1, "signed by another key");
    }
    let text = String::from_utf8(receipt.to_vec()).unwrap();
    for (from, to) in [
        ("\"records_deleted\": 1", "\"records_deleted\": 2"),
        ("\"environment\": \"tests\"", "\"environment\": \"toasts\""),
        ("\"key_destroyed\": true", "\"key_destroyed\": false"),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        let output = auditor.run_with(&["receipt", "verify", "--json"], changed.as_bytes());
        let output = output.failed(1, "its signature does not verify: it was changed");
        assert_eq!(output.json()["verified"], false);
    }
    for broken in [&b""[..], b"{}", &receipt[..receipt.len() / 2]] {
        auditor
            .run_with(&["receipt", "verify"], broken)
            .failed(1, "it is not a valid receipt");
    }
    auditor
        .run(&["receipt", "verify", "missing.json"])
        .failed(2, "missing.json cannot be read");
}

#[test]
fn what_the_configuration_cannot_mean_is_refused() {
    let per_user = "[[protect]]\nrecords = \"wa:{user}\"\nper_user_keys = true\n";
    let ring = "keyring = \"file:ring.json\"\n";
    for (config, text) in [
        (
            format!("{ring}{}", per_user.replace("{user}", "*")),
            "per_user_keys of \"wa:*\": the pattern does not say who the user is",
        ),
        (
            per_user.to_owned(),
            "per_user_keys of \"wa:{user}\": it needs a keyring",
        ),
        (
            format!("{ring}{per_user}format = \"classic\"\n"),
            "per_user_keys of \"wa:{user}\": the classic format names no key",
        ),
        (
            "custodian = \"env:KEK\"\n".to_owned(),
            "custodian is configured, and no keyring",
        ),
        (
            "keyring_copy = \"c\"\n".to_owned(),
            "keyring_copy is configured, and no keyring",
        ),
        (
            "user_keys = \"redis://h\"\n".to_owned(),
            "user_keys is configured, and no keyring",
        ),
        (
            "keyring = \"localhost\"\n".to_owned(),
            "the URL of a keyring starts with file:",
        ),
        (
            format!("{ring}user_keys = \"h\"\n"),
            "a store URL starts with",
        ),
        (
            format!("{ring}custodian = 1\n"),
            "custodian is a word, or a list of words",
        ),
        (
            format!("{ring}custodian = \"gcpkms:x\"\n"),
            "a custodian URL starts with env:, file:, pkcs11:, awskms: or vault:",
        ),
        (
            format!("{ring}custodian = \"vault:x\"\n"),
            "the custodian URL vault:… is malformed",
        ),
        ("keyrin = \"file:x\"\n".to_owned(), "did you mean keyring?"),
        (
            per_user.replace("per_user_keys", "per_user_key"),
            "did you mean protect.per_user_keys?",
        ),
    ] {
        let program = Program::with_file()
            .env("STATE_DIRECTORY", "/nowhere")
            .file("waxseal.toml", &config);
        program.run(&["audit"]).failed(64, text);
    }
}

#[test]
fn a_receipt_that_could_not_be_written_is_reported_and_the_user_is_erased() {
    let world = world(Lies::InAFile);
    put(&world.server, NAME, STATE.as_bytes());
    let forget = ["forget", USER, "--yes"];
    let output = world
        .program
        .start_after("exec > /dev/full", &forget)
        .end()
        .failed(
            2,
            "the user is erased, and the receipt could not be written",
        );
    assert!(output.stderr.contains("hint: the same command gives"));
    assert_eq!(get(&world.server, NAME), None);
    assert_eq!(world.status()["erased_users"], 1);
    let again = world.run(&forget).done().json();
    assert_eq!(again["erasure"], 2);
}

#[test]
fn an_old_key_that_an_erased_user_keeps_is_freed_by_forgetting_again() {
    let world = world(Lies::InAFile);
    let forget = ["forget", USER, "--yes"];
    put(&world.server, NAME, STATE.as_bytes());
    world.run(&forget).done();
    // A process without per_user_keys writes for the user.
    let without = "environment = \"tests\"\nkeyring = \"file:ring.json\"\n\
                   [[protect]]\nrecords = \"wa:{user}\"\nformat = \"sealed\"\n";
    let program = world.program.file("without.toml", without);
    let write = ["put", NAME, "--config", "without.toml"];
    program.run_with(&write, STATE.as_bytes()).done();
    let old = text(&program.run(&["keyring", "status", "--json"]).done().json()["keys"][0]["id"]);
    let ring = |words: &[&str]| program.run(&[&["keyring"], words].concat());
    let added = ring(&["add", "--json"]).done().json();
    let said = text(&added["done"]);
    let new = said.split(' ').nth(1).unwrap();
    ring(&["promote", new, "--now"]).done();
    std::thread::sleep(std::time::Duration::from_millis(500));
    program.run(&["rotate"]).with_status(1);
    let output = ring(&["archive", &old]).failed(2, "1 values are under it");
    let hint = "erased users, which waxseal forget deletes";
    assert!(output.stderr.contains(hint), "{}", output.stderr);
    program.run(&forget).done();
    ring(&["archive", &old]).done();
}

#[test]
fn forgetting_needs_a_keyring_and_a_pattern_that_names_users() {
    Program::with_file()
        .run(&["forget", USER, "--yes"])
        .failed(64, "no keyring is configured");
    let world = World::with_ring(Lies::InAFile);
    let output = world.run(&["forget", USER, "--yes"]);
    output.failed(64, "no protected pattern says who the user");
    assert_eq!(world.status()["erased_users"], 0);
}
