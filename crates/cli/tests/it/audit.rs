//! `audit`: counts stored values, and writes nothing.

use serde_json::Value;
use waxseal_core::Format;
use waxseal_testing::RedisServer;

use crate::program::{KEY, OLD_KEY, OTHER_KEY, Program};
use crate::records::{NAME, STATE, put, sealed, server_with_states};

/// A server with one value of each sort under two keys.
fn mixed() -> RedisServer {
    let server = RedisServer::start();
    for (i, (key, format)) in (0..).zip([
        (KEY, Format::Classic),
        (KEY, Format::Classic),
        (KEY, Format::Sealed),
        (OLD_KEY, Format::Classic),
        (OLD_KEY, Format::Sealed),
        (OLD_KEY, Format::Sealed),
    ]) {
        let name = format!("wa:52155{i:08}");
        put(
            &server,
            &name,
            &sealed(key, format, &name, STATE.as_bytes()),
        );
    }
    server
}

fn group<'a>(report: &'a Value, format: &str, state: Option<&str>, kind: &str) -> &'a Value {
    let groups = report["patterns"][0]["groups"].as_array().unwrap();
    let wanted = |group: &&Value| {
        group["format"] == format && group["key_state"].as_str() == state && group["kind"] == kind
    };
    groups
        .iter()
        .find(wanted)
        .unwrap_or_else(|| panic!("no such group in {report}"))
}

#[test]
fn groups_by_format_key_and_kind() {
    let server = mixed();
    put(&server, NAME, STATE.as_bytes());
    server.cli(&["HSET", "wa:hash", "a", "{}", "b", "{}"]);
    let before = server.snapshot();
    let program = Program::at(&server).keys(KEY, OLD_KEY);
    let report = program.run(&["audit", "--json"]).done().json();
    assert_eq!(report["clean"], false);
    let pattern = &report["patterns"][0];
    assert_eq!(
        (&pattern["name"], &pattern["records"]),
        (&"WhatsApp state".into(), &"wa:*".into())
    );
    assert_eq!(
        (&pattern["total"], &pattern["sealed"]),
        (&9.into(), &6.into())
    );
    assert_eq!(
        (&pattern["plain"], &pattern["unopenable"]),
        (&3.into(), &0.into())
    );
    for (format, state, kind, values) in [
        ("classic", Some("sealing"), "string", 2),
        ("sealed", Some("sealing"), "string", 1),
        ("classic", Some("opening"), "string", 1),
        ("sealed", Some("opening"), "string", 2),
        ("plain", None, "string", 1),
        ("plain", None, "hash", 2),
    ] {
        assert_eq!(
            group(&report, format, state, kind)["values"],
            values,
            "{format} {kind}"
        );
    }
    let bytes = 2 * (STATE.len() + 48);
    assert_eq!(
        group(&report, "sealed", Some("opening"), "string")["bytes"],
        bytes
    );
    let text = program.run(&["audit"]).done().text();
    assert!(text.starts_with("WhatsApp state (wa:*): 6 sealed, 3 plain, 0 cannot be opened\n"));
    assert_eq!(server.snapshot(), before);
}

#[test]
fn shows_from_when_an_old_key_is_unused() {
    let server = mixed();
    // 2033-05-18T03:33:20Z and an hour before.
    server.cli(&["PEXPIREAT", "wa:5215500000004", "2000000000000"]);
    server.cli(&["PEXPIREAT", "wa:5215500000005", "1999996400000"]);
    let program = Program::at(&server).keys(KEY, OLD_KEY);
    let report = program.run(&["audit", "--json"]).done().json();
    let old = group(&report, "sealed", Some("opening"), "string");
    assert_eq!(old["unused_from"], "2033-05-18T03:33:20Z");
    assert_eq!(old["without_expiry"], 0);
    assert!(group(&report, "sealed", Some("sealing"), "string")["unused_from"].is_null());
    let text = program.run(&["audit"]).done().text();
    assert!(
        text.contains("unused from about 2033-05-18T03:33:20Z\n"),
        "{text}"
    );
    server.cli(&["PERSIST", "wa:5215500000005"]);
    let text = program.run(&["audit"]).done().text();
    assert!(
        text.contains("1 of them do not expire: waxseal rotate"),
        "{text}"
    );
}

#[test]
fn require_clean_fails_on_one_plain_value_and_passes_without() {
    let server = server_with_states(42);
    let program = Program::at(&server);
    program.run(&["migrate"]).done();
    program.run(&["audit", "--require-clean"]).done();
    put(&server, NAME, STATE.as_bytes());
    let output = program.run(&["audit", "--require-clean"]);
    let output = output.failed(
        1,
        "error: there is plaintext under a protected pattern\nhint: ",
    );
    assert!(
        output.text().contains("42 sealed, 1 plain"),
        "{}",
        output.text()
    );
    let report = program
        .run(&["audit", "--require-clean", "--json"])
        .with_status(1)
        .json();
    assert_eq!(report["clean"], false);
    // The attack that no count shows is mentioned as long as it is possible.
    let told = "can put a plain value in the place of a sealed one";
    for (mode, accepts_plain) in [("off", true), ("on", true), ("required", false)] {
        let in_mode = || Program::at(&server).env("ENABLE_REDIS_ENCRYPTION", mode);
        let report = in_mode().run(&["audit", "--json"]).done().json();
        assert_eq!(report["mode"], mode);
        assert_eq!(report["accepts_plain"], accepts_plain);
        let output = in_mode().run(&["audit"]).done();
        assert_eq!(output.stderr.contains(told), accepts_plain, "{mode}");
    }
}

#[test]
fn plain_members_and_values_of_streams_are_plaintext() {
    let server = RedisServer::start();
    server.cli(&["SADD", "wa:set", "a", "b"]);
    server.cli(&["ZADD", "wa:zset", "1", "a"]);
    server.cli(&["XADD", "wa:stream", "*", "name", "a", "age", "7"]);
    let program = Program::at(&server);
    let audit = ["audit", "--require-clean"];
    program
        .run(&audit)
        .failed(1, "there is plaintext under a protected pattern");
    let report = program.run(&["audit", "--json"]).done().json();
    let kinds = serde_json::json!({"member": 3, "stream field": 2});
    assert_eq!(report["patterns"][0]["kinds"], kinds);
    let groups = report["patterns"][0]["groups"].as_array().unwrap();
    let types: Vec<_> = groups
        .iter()
        .map(|it| (&it["kind"], &it["values"]))
        .collect();
    let expected = [("set", 2), ("zset", 1), ("stream", 2)];
    let expected = expected.map(|(kind, values)| (kind.into(), values.into()));
    let expected: Vec<_> = expected
        .iter()
        .map(|(kind, values)| (kind, values))
        .collect();
    assert_eq!(types, expected);
    // Values of streams stay as they are.
    let migrated = program.run(&["migrate"]).with_status(1).text();
    assert!(migrated.contains("success: false"), "{migrated}");
    server.cli(&["DEL", "wa:stream"]);
    let migrated = program.run(&["migrate"]).done().text();
    assert!(migrated.contains("success: true"), "{migrated}");
    program.run(&audit).done();
}

#[test]
fn a_deep_audit_counts_what_headers_do_not_show() {
    let server = mixed();
    let (one, two) = ("wa:5215500000004", "wa:5215500000005");
    // Two sealed values swapped, and one with a byte changed.
    for (from, to) in [(one, "swap"), (two, one), ("swap", two)] {
        assert_eq!(server.cli(&["RENAME", from, to]), "OK");
    }
    server.cli(&["SETRANGE", "wa:5215500000002", "50", "!!"]);
    let before = server.snapshot();
    let program = Program::at(&server).keys(KEY, OLD_KEY);
    let shallow = program.run(&["audit", "--json"]).done().json();
    assert_eq!(shallow["patterns"][0]["unopenable"], 0);
    let deep = program.run(&["audit", "--deep", "--json"]).with_status(1);
    assert_eq!(deep.json()["patterns"][0]["unopenable"], 3);
    assert_eq!(deep.json()["patterns"][0]["sealed"], 3);
    assert_eq!(deep.stderr.matches("waxseal: warning: wa:#").count(), 3);
    assert_eq!(server.snapshot(), before);
}

#[test]
fn values_under_a_missing_key_are_reported_with_its_id() {
    let server = mixed();
    put(
        &server,
        NAME,
        &sealed(OTHER_KEY, Format::Sealed, NAME, STATE.as_bytes()),
    );
    let program = Program::at(&server).keys(KEY, OLD_KEY);
    let output = program.run(&["audit", "--json"]).done();
    let report = output.json();
    assert_eq!(report["patterns"][0]["unopenable"], 1);
    let id = group(&report, "sealed, key unknown", Some("unknown"), "string")["key"].clone();
    let told = format!(
        "is sealed under key {}, which is not in the keyring",
        id.as_str().unwrap()
    );
    assert!(output.stderr.contains(&told), "{}", output.stderr);
}

#[test]
fn several_patterns_are_reported_separately() {
    let server = server_with_states(5);
    server.cli(&["SET", "whatsapp:temp_password:1", "hunter2"]);
    let protect = ["--protect", "wa:*", "--protect", "whatsapp:temp_password:*"];
    let text = Program::at(&server)
        .run(&[&["audit"][..], &protect].concat())
        .done()
        .text();
    assert!(text.contains("WhatsApp state (wa:*): 0 sealed, 5 plain, 0 cannot be opened\n"));
    let passwords = "whatsapp:temp_password:* (whatsapp:temp_password:*): 0 sealed, 1 plain";
    assert!(text.contains(passwords), "{text}");
}

#[test]
fn counts_plain_values_without_any_key() {
    let server = server_with_states(5);
    let program = Program::at(&server).without("REDIS_ENCRYPTION_KEY");
    let output = program.run(&["audit", "--require-clean"]).with_status(1);
    assert!(
        output.text().contains("0 sealed, 5 plain"),
        "{}",
        output.text()
    );
}
