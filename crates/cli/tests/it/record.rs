//! `get`, `put` and `inspect`: one record of a store.

use waxseal_core::{Binding, Format};
use waxseal_testing::RedisServer;

use crate::program::{KEY, OLD_KEY, OTHER_KEY, Program};
use crate::proxied::relay::{Manner, Relay};
use crate::records::{NAME, STATE, get, opened, put, sealed, sealer};

fn server_with(value: &[u8]) -> RedisServer {
    let server = RedisServer::start();
    put(&server, NAME, value);
    server
}

fn server_with_sealed(key: &str, format: Format) -> RedisServer {
    server_with(&sealed(key, format, NAME, STATE.as_bytes()))
}

#[test]
fn get_prints_the_value_and_logs_the_access_without_the_name() {
    for format in [Format::Classic, Format::Sealed] {
        let server = server_with_sealed(KEY, format);
        let before = server.snapshot();
        let output = Program::at(&server).run(&["get", NAME]).done();
        assert_eq!(output.text(), STATE);
        assert!(
            output
                .stderr
                .contains("INFO a record was opened for an operator record=wa:#")
        );
        let json = Program::at(&server)
            .run(&["get", NAME, "--log-format", "json"])
            .done();
        let line: serde_json::Value = serde_json::from_str(&json.stderr).unwrap();
        assert_eq!(
            line["fields"]["message"],
            "a record was opened for an operator"
        );
        assert_eq!(server.snapshot(), before);
    }
}

#[test]
fn get_reads_plain_values_unless_the_mode_is_required() {
    let server = server_with(STATE.as_bytes());
    assert_eq!(
        Program::at(&server).run(&["get", NAME]).done().text(),
        STATE
    );
    let required = Program::at(&server).env("ENABLE_REDIS_ENCRYPTION", "required");
    let output = required
        .run(&["get", NAME])
        .failed(2, "the value is plaintext");
    assert_eq!(output.text(), "");
}

#[test]
fn get_refuses_values_that_were_tampered_with_cut_short_or_moved() {
    let good = sealed(KEY, Format::Sealed, NAME, STATE.as_bytes());
    let mut flipped = good.clone();
    flipped[60] ^= 1;
    let moved = sealed(KEY, Format::Sealed, "wa:5215587654321", STATE.as_bytes());
    let server = server_with(&good);
    // A value that opens, so that the key is known to be right.
    Program::at(&server)
        .run(&["migrate", "--format", "sealed"])
        .done();
    for (stored, text) in [
        (&flipped[..], "error: Failed to decrypt Redis data\n"),
        (
            &good[..good.len() - 1],
            "error: Failed to decrypt Redis data\n",
        ),
        (
            &good[..20],
            "error: Failed to decrypt Redis data: it is truncated\n",
        ),
        (&moved, "error: Failed to decrypt Redis data\n"),
    ] {
        put(&server, NAME, stored);
        let output = Program::at(&server).run(&["get", NAME]).failed(2, text);
        assert_eq!(output.text(), "");
        assert_eq!(get(&server, NAME).as_deref(), Some(stored));
    }
}

#[test]
fn get_reports_missing_records_and_those_of_another_type() {
    let server = RedisServer::start();
    server.cli(&["HSET", "wa:hash", "a", "[1]"]);
    server.cli(&["SADD", "wa:set", "a"]);
    let program = Program::at(&server);
    let absent = "there is no such record or field";
    program.run(&["get", NAME]).failed(1, absent);
    program
        .run(&["get", "wa:hash", "--field", "b"])
        .failed(1, absent);
    assert_eq!(
        program
            .run(&["get", "wa:hash", "--field", "a"])
            .done()
            .text(),
        "[1]"
    );
    for name in ["wa:hash", "wa:set"] {
        program
            .run(&["get", name])
            .failed(2, "the record is of another type\nhint: ");
    }
}

#[test]
fn a_name_that_matches_no_protected_pattern_is_wrong_usage() {
    let server = server_with(STATE.as_bytes());
    server.cli(&["SET", "sess:1", "a"]);
    let program = Program::at(&server);
    for command in ["get", "put", "inspect"] {
        let output = program.run_with(&[command, "sess:1"], b"{}");
        output.failed(
            64,
            "error: this record matches no protected pattern\nhint: ",
        );
        // Waxseal's own records belong to no pattern.
        let own = program.run_with(&[command, "waxseal:canary", "--protect", "*"], b"{}");
        own.failed(64, "matches no protected pattern");
    }
    let output = program
        .run(&["get", "sess:1", "--protect", "sess:*"])
        .done();
    assert_eq!(output.text(), "a");
    assert_eq!(server.cli(&["GET", "sess:1"]), "a");
}

#[test]
fn put_seals_and_keeps_the_expiry_unless_another_is_given() {
    let server = server_with(b"{}");
    let program = Program::at(&server);
    let expires = server.cli(&["PEXPIRETIME", NAME]);
    let output = program.run_with(&["put", NAME], STATE.as_bytes()).done();
    assert_eq!(output.text(), "");
    assert!(
        output
            .stderr
            .contains("a record was written by an operator record=wa:#")
    );
    let value = |stored: &[u8]| opened(KEY, NAME, stored);
    let expected = Some((Format::Classic, STATE.as_bytes().to_vec()));
    assert_eq!(value(&get(&server, NAME).unwrap()), expected);
    assert_eq!(server.cli(&["PEXPIRETIME", NAME]), expires);

    let ttl = |name| server.cli(&["TTL", name]).parse::<i64>().unwrap();
    program
        .run_with(&["put", NAME, "--ttl", "90000"], STATE.as_bytes())
        .done();
    assert!((3_601..=90_000).contains(&ttl(NAME)));
    program
        .run_with(&["put", "wa:new"], STATE.as_bytes())
        .done();
    assert_eq!(ttl("wa:new"), -1);
    program
        .run_with(&["put", "wa:newer", "--ttl", "60"], STATE.as_bytes())
        .done();
    assert!((1..=60).contains(&ttl("wa:newer")));
    assert_eq!(program.run(&["get", "wa:newer"]).done().text(), STATE);
}

#[test]
fn put_seals_one_field_in_the_format_of_the_configuration() {
    let server = RedisServer::start();
    let program = Program::at(&server).file(
        "waxseal.toml",
        "[[protect]]\nrecords = \"sess:*\"\nformat = \"sealed\"\n",
    );
    program
        .run_with(&["put", "sess:1", "--field", "email"], b"a@b")
        .done();
    let stored = server
        .client()
        .cmd(&["HGET", "sess:1", "email"])
        .bytes()
        .unwrap();
    assert!(stored.starts_with(&[0xF5, 0x57]));
    let field = program.run(&["get", "sess:1", "--field", "email"]).done();
    assert_eq!(field.text(), "a@b");
}

#[test]
fn inspect_shows_everything_about_an_envelope_but_its_value() {
    let server = server_with_sealed(KEY, Format::Sealed);
    let program = Program::at(&server);
    let report = program.run(&["inspect", NAME, "--json"]).done();
    assert!(!report.text().contains("domicilio"));
    let report = report.json();
    let value = &report["values"][0];
    assert_eq!(report["type"], "string");
    assert!(report["expires"].as_str().unwrap().ends_with('Z'));
    assert_eq!(value["format"], "sealed");
    assert_eq!(value["key_state"], "sealing");
    assert_eq!(value["bound_to_record"], true);
    assert_eq!(value["bound_to_field"], false);
    assert_eq!(value["size"], STATE.len() + 48);
    assert_eq!(value["opens"], true);
    let text = program.run(&["inspect", NAME]).done().text();
    let size = format!("size     {} bytes\n", STATE.len() + 48);
    let answer = format!("opening  a value of {} bytes\n", STATE.len());
    for line in [
        "type     string\n",
        "format   sealed\n",
        "bound to record\n",
        &size,
        &answer,
    ] {
        assert!(text.contains(line), "no «{line}» in {text}");
    }
    assert!(!text.contains("domicilio") && !text.contains(NAME));
}

/// The report of `inspect` about a stored value.
fn inspected(program: &Program, server: &RedisServer, stored: &[u8], status: i32) -> String {
    put(server, NAME, stored);
    let output = program.run(&["inspect", NAME]).with_status(status);
    output.text()
}

#[test]
fn inspect_shows_for_every_form_whether_and_why_it_does_not_open() {
    let server = RedisServer::start();
    let program = Program::at(&server).keys(KEY, OLD_KEY);
    let sealed = |key, format| sealed(key, format, NAME, STATE.as_bytes());
    let moved = crate::records::sealed(KEY, Format::Sealed, "wa:1", b"{}");
    let cases = [
        (
            STATE.as_bytes().to_vec(),
            0,
            vec!["format   plain\n", "opening  a value of"],
        ),
        (Vec::new(), 0, vec!["format   empty\n", "opening  none\n"]),
        (
            sealed(KEY, Format::Classic),
            0,
            vec!["format   classic\n", "(sealing)\n"],
        ),
        (
            sealed(OLD_KEY, Format::Classic),
            0,
            vec!["format   classic\n", "(opening)\n"],
        ),
        (
            sealed(OLD_KEY, Format::Sealed),
            0,
            vec!["format   sealed\n", "(opening)\n"],
        ),
        (
            sealed(OTHER_KEY, Format::Classic),
            1,
            vec![
                "format   Base64, perhaps classic\n",
                "opening  Failed to decrypt Redis data: damaged, or sealed under a key",
            ],
        ),
        (
            sealed(OTHER_KEY, Format::Sealed),
            1,
            vec![
                "format   sealed\n",
                "(unknown)\n",
                "which is not in the keyring\n",
            ],
        ),
        (
            moved,
            1,
            vec![
                "bound to record\n",
                "damaged, tampered with, or sealed for another",
            ],
        ),
        (
            b"\xf5\x57\x02\x01".to_vec(),
            1,
            vec!["format   sealed, malformed (it is truncated)\n"],
        ),
    ];
    for (stored, status, lines) in cases {
        let text = inspected(&program, &server, &stored, status);
        for line in lines {
            assert!(text.contains(line), "no «{line}» in {text}");
        }
    }
}

#[test]
fn get_opens_members_and_values_of_streams() {
    let server = RedisServer::start();
    server.cli(&["SADD", "wa:set", "maria", "juan"]);
    server.cli(&["ZADD", "wa:zset", "2", "maria", "1", "juan"]);
    let sealer = sealer(KEY, Format::Sealed);
    let place = Binding::stream_field(b"wa:stream", b"name");
    let value = sealer.seal(b"maria", place).unwrap();
    let add = [
        &b"XADD"[..],
        b"wa:stream",
        b"1-1",
        b"n",
        b"1",
        b"name",
        &value,
    ];
    assert_eq!(server.client().cmd(&add).error(), None);
    let program = Program::at(&server);
    program.run(&["migrate"]).with_status(1);
    for name in ["wa:set", "wa:zset"] {
        let text = program.run(&["get", name, "--members"]).done().text();
        assert_eq!(text, "juan\nmaria\n", "{name}");
    }
    let entry = ["get", "wa:stream", "--entry", "1-1"];
    let named = |field| [&entry[..], &["--field", field]].concat();
    assert_eq!(program.run(&named("name")).done().text(), "maria");
    let absent = "there is no such record or field";
    program.run(&named("none")).failed(1, absent);
    program
        .run(&["get", "wa:none", "--members"])
        .failed(1, absent);
    let told = "--entry needs the field whose value is meant";
    program.run(&entry).failed(64, told);
    for name in ["wa:set", "wa:stream"] {
        let told = "the record is of another type\nhint: ";
        program.run(&["get", name]).failed(2, told);
    }
    let told = "the record is of another type";
    program
        .run(&["get", "wa:stream", "--members"])
        .failed(2, told);
}

#[test]
fn inspect_shows_fields_elements_members_and_entries() {
    let server = RedisServer::start();
    server.cli(&["HSET", "wa:hash", "email", "a@b"]);
    server.cli(&["RPUSH", "wa:list", "[1]", "[2]"]);
    server.cli(&["SADD", "wa:set", "a"]);
    server.cli(&["XADD", "wa:stream", "1-1", "name", "a"]);
    let program = Program::at(&server);
    program
        .run(&["migrate", "--format", "sealed"])
        .with_status(1);
    let text = |name| program.run(&["inspect", name]).done().text();
    let hash = text("wa:hash");
    assert!(
        hash.contains("type     hash\n") && hash.contains("expires  never\n"),
        "{hash}"
    );
    assert!(hash.contains("field email\n") && hash.contains("bound to record and field\n"));
    let list = text("wa:list");
    assert!(
        list.contains("element 0\n") && list.contains("element 1\n"),
        "{list}"
    );
    let set = text("wa:set");
    assert!(
        set.contains("type     set\n") && set.contains("member #"),
        "{set}"
    );
    assert!(set.contains("sealed, version 3, deterministic\n"), "{set}");
    assert!(!set.contains("member a"), "{set}");
    let stream = program.run(&["inspect", "wa:stream"]).done().text();
    assert!(stream.contains("entry 1-1, field name\n"), "{stream}");
    assert!(stream.contains("format   plain\n"), "{stream}");
    program
        .run(&["inspect", NAME])
        .failed(1, "there is no such record");
}

#[test]
fn put_replaces_no_record_of_another_type_unless_asked_to() {
    let server = RedisServer::start();
    server.cli(&["HSET", "wa:1", "a", "1", "b", "2"]);
    server.cli(&["RPUSH", "wa:2", "a"]);
    server.cli(&["SADD", "wa:3", "a"]);
    server.cli(&["SET", "wa:4", "old"]);
    let program = Program::at(&server);
    let before = server.snapshot();
    for (name, told) in [
        ("wa:1", "error: the record is a hash with 2 values: "),
        ("wa:2", "error: the record is a list with 1 value: "),
        ("wa:3", "error: the record is a set with 1 value: "),
    ] {
        let output = program.run_with(&["put", name], STATE.as_bytes());
        let output = output.failed(2, told);
        assert!(output.stderr.contains("--replace"), "{}", output.stderr);
    }
    // Only the canary is new.
    let canary = b"waxseal:canary".to_vec();
    assert_eq!(before.changed_names(&server.snapshot()), [canary]);
    program
        .run_with(&["put", "wa:1", "--field", "a"], b"3")
        .done();
    let output = program.run_with(&["put", "wa:1", "--replace"], STATE.as_bytes());
    let told = "warning: a hash with 2 values is replaced\n";
    assert!(output.done().stderr.contains(told));
    program.run_with(&["put", "wa:4"], STATE.as_bytes()).done();
    for name in ["wa:1", "wa:4"] {
        assert_eq!(program.run(&["get", name]).done().text(), STATE);
    }
}

#[test]
fn put_replaces_no_record_of_another_type_whose_reading_is_interrupted() {
    let server = RedisServer::start();
    let program = Program::at(&server);
    // Keeps the canary, so that no values are read to check the key.
    program.run_with(&["put", "wa:2"], STATE.as_bytes()).done();
    server.cli(&["HSET", "wa:1", "a", "1"]);
    let relay = Relay::before(server.port());
    for word in ["MGET", "STRLEN"] {
        relay.behaves(Manner::BreaksAt(word.as_bytes()));
        let put = ["put", "wa:1", "--store", &relay.url()];
        let output = program.run_with(&put, STATE.as_bytes());
        output.failed(2, "error: the record is a hash with 1 value: ");
    }
    assert_eq!(server.cli(&["TYPE", "wa:1"]), "hash");
}

#[test]
fn a_name_that_is_not_text_is_given_in_bytes_or_in_hexadecimal_digits() {
    const HEX: [&str; 2] = ["--name-hex", "77613aff00fe"];
    let server = RedisServer::start();
    let name = b"wa:\xff\x00\xfe";
    let program = Program::at(&server);
    let put = [&["put"], &HEX[..]].concat();
    program.run_with(&put, STATE.as_bytes()).done();
    let stored = server.client().cmd(&[&b"GET"[..], name]).bytes().unwrap();
    let (_, value) = opened(KEY, "", &stored).expect("it is sealed under its name");
    assert_eq!(value, STATE.as_bytes());
    let got = program.run(&[&["get"], &HEX[..]].concat()).done();
    assert_eq!(got.text(), STATE);
    let found = program.run(&[&["inspect"], &HEX[..]].concat()).done();
    assert!(
        found.text().contains("opening  a value of "),
        "{}",
        found.text()
    );
    server.client().cmd(&[&b"DEL"[..], name]);
    let field = [&put[..], &["--field-hex", "ff"]].concat();
    program.run_with(&field, STATE.as_bytes()).done();
    let found = program
        .run(&[&["inspect"], &HEX[..]].concat())
        .done()
        .text();
    assert!(found.contains("field --field-hex ff\n"), "{found}");
    let got = program.run(&[&["get"], &HEX[..], &["--field-hex", "ff"]].concat());
    assert_eq!(got.done().text(), STATE);
    for (typed, told) in [
        (
            &["get", "--name-hex", "77x"][..],
            "two hexadecimal digits for each byte",
        ),
        (&["get", "wa:1", "--name-hex", "77"], "cannot be used with"),
        (&["get"], "<NAME>"),
    ] {
        program.run(typed).failed(64, told);
    }
    // An envelope sealed for such a name opens only there.
    let place = ["--record-hex", "77613aff", "--field-hex", "fe"];
    let seal = [&["seal", "--format", "sealed", "--armor"], &place[..]].concat();
    let envelope = program.run_with(&seal, STATE.as_bytes()).done().stdout;
    let open = program.run_with(&[&["open"], &place[..]].concat(), &envelope);
    assert_eq!(open.done().text(), STATE);
    let elsewhere = program.run_with(&["open", "--record-hex", "77613afe"], &envelope);
    elsewhere.failed(2, "Failed to decrypt Redis data");
}
