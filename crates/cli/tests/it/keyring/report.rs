//! Reports of audits: signed with the ring's key, as JSON and as a page, verified, and never incomplete.

mod files;
mod page;

use std::fs;

use serde_json::Value;
use waxseal_core::Format;
use waxseal_testing::RedisServer;

use super::{Lies, World, configured};
use crate::program::{KEY, OLD_KEY, OTHER_KEY, Program, shows_phone};
use crate::records::{STATE, put, sealed};

/// Two patterns, one of them named.
const PATTERNS: &str = "[[protect]]\nname = \"Conversations <&>\"\nrecords = \"wa:*\"\n\
                        [[protect]]\nrecords = \"tokens:*\"\nplain_values = \"any\"\n";
/// Text in names and values of records that no report may contain.
const PRIVATE: [&str; 8] = [
    "domicilio",
    "showing_menu",
    "hunter2",
    "wa:damaged",
    "wa:queue",
    "members",
    "tokens:one",
    "fieldname",
];
/// 2033-05-18T03:33:20Z, and an hour before.
const LATE: &str = "2000000000000";
const EARLY: &str = "1999996400000";

/// Values of every kind, under a ring that adopted two keys.
fn mixed(lies: Lies) -> World {
    let server = RedisServer::start();
    for (i, (key, format)) in (0..).zip([
        (KEY, Format::Classic),
        (KEY, Format::Sealed),
        (KEY, Format::Sealed),
        (OLD_KEY, Format::Classic),
        (OLD_KEY, Format::Sealed),
    ]) {
        let name = format!("wa:52155{i:08}");
        let value = sealed(key, format, &name, STATE.as_bytes());
        put(&server, &name, &value);
    }
    let token = "tokens:one";
    put(
        &server,
        token,
        &sealed(OLD_KEY, Format::Sealed, token, b"hunter2"),
    );
    server.cli(&["PEXPIREAT", "wa:5215500000003", EARLY]);
    server.cli(&["PEXPIREAT", "wa:5215500000004", LATE]);
    server.cli(&["PERSIST", token]);
    let program = configured(
        Program::at(&server).keys(KEY, OLD_KEY),
        &server,
        lies,
        PATTERNS,
    );
    let world = World {
        server,
        program,
        lies,
    };
    world.ring(&["init"]).done();
    let server = &world.server;
    put(server, "wa:5215500000009", STATE.as_bytes());
    server.cli(&["HSET", "wa:5215500000010", "fieldname", "{}", "b", "{}"]);
    server.cli(&["RPUSH", "wa:queue", "{}", "{}", "{}"]);
    server.cli(&["SADD", "wa:members", "hunter2"]);
    server.cli(&["ZADD", "wa:members2", "1", "hunter2"]);
    let damaged = "wa:damaged";
    put(
        server,
        damaged,
        &sealed(OTHER_KEY, Format::Sealed, damaged, b"{}"),
    );
    world
}

/// Writes both files, and returns them.
#[track_caller]
fn both(world: &World) -> (String, String) {
    let words = ["audit", "--report", "audit.json", "--html", "audit.html"];
    let output = world.run(&words).done();
    let key = receipt_key(world);
    for file in ["audit.json", "audit.html"] {
        let told = format!("waxseal: wrote {file}, signed by {key}\n");
        assert!(output.stderr.contains(&told), "{}", output.stderr);
    }
    let read = |name| fs::read_to_string(world.program.path(name)).unwrap();
    let (json, html) = (read("audit.json"), read("audit.html"));
    for text in [&json, &html] {
        for private in PRIVATE {
            assert!(!text.contains(private), "{private} is in {text}");
        }
        assert!(!shows_phone(text), "a record name is in {text}");
        for secret in [KEY, OLD_KEY, OTHER_KEY] {
            assert!(!text.contains(secret), "a key is in {text}");
        }
        for secret in world.wrapped() {
            assert!(!text.contains(&secret), "a wrapped key is in {text}");
        }
    }
    (json, html)
}

#[track_caller]
fn receipt_key(world: &World) -> String {
    world.status()["receipt_key"].as_str().unwrap().to_owned()
}

#[track_caller]
fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

/// Another key than this.
fn other_key(key: &str) -> String {
    let first = if key.starts_with('A') { 'B' } else { 'A' };
    format!("{first}{}", &key[1..])
}

#[test]
fn a_report_tells_what_is_stored_by_pattern_key_and_end() {
    for lies in super::PLACES {
        let world = mixed(lies);
        let before = world.server.snapshot();
        let (json, _) = both(&world);
        assert_eq!(world.server.snapshot(), before);
        let audit = &parsed(&json)["audit"];
        assert_eq!(audit["report"], "audit");
        assert_eq!(audit["waxseal"], env!("CARGO_PKG_VERSION"));
        assert_eq!(audit["environment"], "tests");
        assert_eq!(audit["store"], world.server.url().trim_end_matches('/'));
        assert_eq!(
            (&audit["deep"], &audit["clean"]),
            (&false.into(), &false.into())
        );
        assert!(audit["began"].as_str() <= audit["ended"].as_str());
        let status = world.status();
        assert_eq!(audit["keyring"]["ring"], status["ring"]);
        assert_eq!(audit["keyring"]["version"], status["version"]);
        counts(&audit["total"], [15, 6, 2, 8, 1, 0]);
        let patterns = audit["patterns"].as_array().unwrap();
        assert_eq!(patterns[0]["name"], "Conversations <&>");
        assert_eq!(patterns[0]["records"], "wa:*");
        counts(&patterns[0], [14, 5, 2, 8, 1, 0]);
        counts(&patterns[1], [1, 1, 0, 0, 0, 0]);
        assert_eq!(patterns[0]["percent"]["plain"], 57.14);
        assert_eq!(patterns[0]["percent"]["sealed"], 35.71);
        assert_eq!(patterns[0]["kinds"]["member"], 2);
        keys(&world, audit);
        // The same for programs, except for the times.
        let mut printed = world.run(&["audit", "--json"]).done().json();
        let mut written = audit.clone();
        for part in ["began", "ended", "keys"] {
            printed[part].take();
            written[part].take();
        }
        assert_eq!(printed, written);
    }
}

#[track_caller]
fn counts(of: &Value, expected: [u64; 6]) {
    let types = of["other_types"].as_object().unwrap().values();
    let types: u64 = types.map(|it| it.as_u64().unwrap()).sum();
    let words = ["total", "sealed", "classic", "plain", "unopenable"];
    let mut found: Vec<_> = words
        .iter()
        .map(|word| of[word].as_u64().unwrap())
        .collect();
    found.push(types);
    assert_eq!(found, expected, "{of}");
}

/// Over both patterns: values under the old key expire early, late and never.
#[track_caller]
fn keys(world: &World, audit: &Value) {
    let key = |state: &str| {
        let keys = audit["keys"].as_array().unwrap();
        let found = keys.iter().find(|key| key["state"] == state);
        found
            .unwrap_or_else(|| panic!("no {state} key in {audit}"))
            .clone()
    };
    assert_eq!(audit["keys"].as_array().unwrap().len(), 3);
    let (sealing, old) = (key("sealing"), key("opening"));
    assert_eq!(sealing["id"], world.sealing().as_str());
    assert_eq!(
        (&sealing["values"], &sealing["percent"]),
        (&3.into(), &20.0.into())
    );
    assert!(sealing["first_expiry"].is_null() && sealing["expiries"].is_null());
    assert_eq!(old["values"], 3);
    assert_eq!(old["first_expiry"], "2033-05-18T02:33:20Z");
    assert_eq!(old["last_expiry"], "2033-05-18T03:33:20Z");
    assert_eq!(old["without_expiry"], 1);
    assert!(old["unused_from"].is_null());
    let stretches = old["expiries"]["stretches"].as_array().unwrap();
    let values: Vec<_> = stretches
        .iter()
        .map(|it| it["values"].as_u64().unwrap())
        .collect();
    assert_eq!(values, [1, 1]);
    assert_eq!(key("unknown")["values"], 1);
}

#[test]
fn a_report_verifies_alone_with_its_ring_and_with_a_given_key() {
    let world = mixed(Lies::InAFile);
    let (json, html) = both(&world);
    let key = receipt_key(&world);
    let auditor = Program::new();
    for (name, content) in [("audit.json", &json), ("audit.html", &html)] {
        let is_page = name.ends_with("html");
        let said = world.run(&["audit", "verify", name]).done().text();
        let signer = format!("signed by    {key} (the expected one)\n");
        assert!(said.contains(&signer), "{said}");
        assert_eq!(said.contains("and the page shows it\n"), is_page, "{said}");
        assert!(said.contains("clean        no\n"), "{said}");
        let pattern =
            "pattern      Conversations <&> (wa:*): 5 sealed, 8 plain, 1 cannot be opened (";
        assert!(said.contains(pattern), "{said}");
        assert!(said.contains("1 of them do not expire"), "{said}");
        let content = content.as_bytes();
        let words = ["audit", "verify", "-", "--key", &key];
        let said = auditor.run_with(&words, content).done();
        assert!(said.text().contains("(the expected one)"));
        assert!(!said.stderr.contains("warning"), "{}", said.stderr);
        let unsure = auditor.run_with(&["audit", "verify", "-"], content).done();
        let warning = "warning: it is not known whether this signer is the right one\nhint: ";
        assert!(unsure.stderr.contains(warning), "{}", unsure.stderr);
        let told = auditor.run_with(&["audit", "--json", "verify", "-"], content);
        let told = told.done().json();
        assert_eq!(
            (&told["verified"], &told["expected_signer"]),
            (&true.into(), &Value::Null)
        );
        assert_eq!(told["page_shows_it"].as_bool(), is_page.then_some(true));
        assert_eq!(told["signer"], key.as_str());
        assert_eq!(told["audit"], parsed(&json)["audit"]);
        let other = other_key(&key);
        // A key may begin with a dash: then the second of these is the key itself.
        let others = [other.clone(), format!("-{}", &other[1..])];
        for key in others.into_iter().filter(|it| *it != key) {
            let words = ["audit", "verify", "-", "--key", &key, "--json"];
            let output = auditor.run_with(&words, content);
            let output = output.failed(1, "it was signed by another key than the expected one");
            assert_eq!(output.json()["expected_signer"], false);
        }
    }
    auditor
        .run(&["audit", "--deep", "verify", "x"])
        .failed(64, "audit verify counts nothing");
    auditor
        .run(&["audit", "verify", "missing.json"])
        .failed(2, "missing.json cannot be read");
}

#[test]
fn one_changed_byte_does_not_verify() {
    let world = mixed(Lies::InAFile);
    let (json, html) = both(&world);
    let auditor = Program::new();
    for (content, step) in [(&json, 97), (&html, 331)] {
        let is_page = content == &html;
        let bytes = content.as_bytes();
        for at in (0..bytes.len()).step_by(step) {
            // White space between the tokens of JSON has no meaning.
            let byte = bytes[at];
            if !is_page && byte.is_ascii_whitespace() {
                continue;
            }
            let mut changed = bytes.to_vec();
            changed[at] = if byte == b'7' { b'8' } else { b'7' };
            let output = auditor.run_with(&["audit", "verify", "-"], &changed);
            output.failed(1, "the report does not verify: ");
        }
    }
    for (from, to) in [
        ("\"plain\": 8", "\"plain\": 0"),
        ("\"clean\": false", "\"clean\": true"),
        (
            "\"report\": \"audit\",",
            "\"report\": \"audit\", \"more\": 1,",
        ),
        ("\"public_key\"", "\"approved\": true, \"public_key\""),
    ] {
        let changed = json.replace(from, to);
        assert_ne!(changed, json);
        let output = auditor.run_with(&["audit", "verify", "-", "--json"], changed.as_bytes());
        let output = output.failed(1, "its signature does not verify: it was changed");
        assert_eq!(output.json()["verified"], false);
    }
    // A receipt of an erasure is signed by the same key, and is not a report.
    for broken in [
        "",
        "{}",
        &json[..json.len() / 2],
        "{\"receipt\":\"erasure\"}",
    ] {
        auditor
            .run_with(&["audit", "verify", "-"], broken.as_bytes())
            .failed(1, "it is not a valid audit report");
    }
    let unknown = json.replace("\"report\": \"audit\"", "\"report\": \"census\"");
    auditor
        .run_with(&["audit", "verify", "-"], unknown.as_bytes())
        .failed(1, "its kind is unknown to this version of waxseal");
}

#[test]
fn the_whole_name_of_a_record_is_in_no_report_although_it_was_given_as_a_pattern() {
    let world = mixed(Lies::InAFile);
    let words = [
        "--protect",
        "wa:5215500000009",
        "--report",
        "one.json",
        "--html",
        "one.html",
    ];
    let output = world.run(&[&["audit"][..], &words].concat()).done();
    assert!(
        output
            .text()
            .starts_with("one record (one record): 0 sealed, 1 plain")
    );
    for name in ["one.json", "one.html"] {
        let text = fs::read_to_string(world.program.path(name)).unwrap();
        assert!(!shows_phone(&text) && text.contains("one record"), "{text}");
        world.run(&["audit", "verify", name]).done();
    }
}

#[test]
fn a_report_that_counted_nothing_is_signed_and_says_so() {
    let world = World::with(Lies::InAFile, "[[protect]]\nrecords = \"wb:*\"\n");
    world.init();
    world.server.cli(&["SET", "wa:1", "{}"]);
    let write = [
        "audit",
        "--report",
        "nothing.json",
        "--html",
        "nothing.html",
    ];
    world.run(&write).done();
    for file in ["nothing.json", "nothing.html"] {
        let said = world.run(&["audit", "verify", file]).done().text();
        for told in [
            "clean        no\n",
            "unmatched    no record matches wb:* though this database holds 1 record\n",
        ] {
            assert!(said.contains(told), "{said}");
        }
    }
    let page = fs::read_to_string(world.program.path("nothing.html")).unwrap();
    assert!(page.contains("no record matches"), "{page}");
}
