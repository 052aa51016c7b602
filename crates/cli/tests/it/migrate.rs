//! `migrate`: seals plain values, with the output of the operator's guide.

use waxseal_core::{Binding, Format};
use waxseal_testing::node::{self, ClassicSeal};
use waxseal_testing::{RedisServer, state_json, state_name};

use crate::program::{KEY, OLD_KEY, Program};
use crate::records::{
    NAME, STATE, assert_states_sealed, expiries, get, key_bytes, opened, put, sealed, sealer,
    server_with_states, stored_states,
};

#[test]
fn prints_the_five_lines_of_the_guide_and_everything_else_on_stderr() {
    let server = server_with_states(42);
    let output = Program::at(&server).run(&["migrate"]).done();
    assert_eq!(
        output.text(),
        "Starting Redis encryption migration\n\
         Redis connection verified\n\
         Migrating WhatsApp state data...\n\
         WhatsApp state migration completed { migrated: 42, failed: 0, total: 42 }\n\
         Migration completed { totalMigrated: 42, totalFailed: 0, success: true }\n"
    );
    assert_eq!(output.stderr, "");
    assert_states_sealed(&server, 42, KEY, Format::Classic);
}

#[test]
fn keeps_the_expiry_of_every_record_to_the_millisecond() {
    for format in ["classic", "sealed"] {
        let server = server_with_states(1_000);
        put(&server, "wa:for-ever", STATE.as_bytes());
        server.cli(&["PERSIST", "wa:for-ever"]);
        let before = expiries(&server);
        assert_eq!(before.values().filter(|time| time.is_none()).count(), 1);
        Program::at(&server)
            .run(&["migrate", "--format", format])
            .done();
        assert_eq!(expiries(&server), before);
    }
}

#[test]
fn a_second_run_finds_everything_sealed_and_changes_nothing() {
    let server = server_with_states(42);
    let program = Program::at(&server);
    program.run(&["migrate"]).done();
    let before = server.snapshot();
    let output = program.run(&["migrate"]).done();
    let counts = "WhatsApp state migration completed \
                  { migrated: 0, failed: 0, total: 42, alreadySealed: 42 }";
    assert!(output.text().contains(counts), "{}", output.text());
    let end = "Migration completed { totalMigrated: 0, totalFailed: 0, success: true }\n";
    assert!(output.text().ends_with(end), "{}", output.text());
    assert_eq!(server.snapshot(), before);
}

#[test]
fn an_audit_afterwards_counts_no_plain_value() {
    let server = server_with_states(42);
    let program = Program::at(&server);
    program.run(&["migrate"]).done();
    let audit = program.run(&["audit", "--require-clean"]).done();
    let counts = "WhatsApp state (wa:*): 42 sealed, 0 plain, 0 cannot be opened\n";
    assert!(audit.text().starts_with(counts), "{}", audit.text());
}

#[test]
fn a_dry_run_counts_and_writes_nothing() {
    let server = server_with_states(42);
    let before = server.snapshot();
    let output = Program::at(&server).run(&["migrate", "--dry-run"]).done();
    let text = output.text();
    assert!(
        text.starts_with("Starting Redis encryption migration (dry run: nothing is written)\n")
    );
    assert!(
        text.contains("{ migrated: 42, failed: 0, total: 42 }"),
        "{text}"
    );
    assert_eq!(server.snapshot(), before);
}

#[test]
fn the_json_report_is_all_that_is_on_stdout() {
    let server = server_with_states(42);
    server.cli(&["SADD", "wa:set", "a"]);
    let program = Program::at(&server);
    let report = program.run(&["migrate", "--json"]).done().json();
    assert_eq!(report["task"], "migrate");
    assert_eq!(report["success"], true);
    assert_eq!(report["dry_run"], false);
    let pattern = &report["patterns"][0];
    assert_eq!(pattern["name"], "WhatsApp state");
    assert_eq!(pattern["complete"], true);
    assert_eq!(
        (&pattern["done"], &pattern["total"]),
        (&43.into(), &43.into())
    );
    assert_eq!(pattern["skipped"], serde_json::json!({}));
    let report = program.run(&["migrate", "--json"]).done().json();
    assert_eq!(report["patterns"][0]["already"], 43);
}

#[test]
fn the_sealed_format_replaces_classic_values() {
    let server = server_with_states(42);
    let program = Program::at(&server);
    program.run(&["migrate"]).done();
    put(&server, NAME, STATE.as_bytes());
    let output = program.run(&["migrate", "--format", "sealed"]).done();
    assert!(
        output
            .text()
            .contains("{ migrated: 43, failed: 0, total: 43 }"),
        "{}",
        output.text()
    );
    assert_states_sealed(&server, 42, KEY, Format::Sealed);
    let counts = "{ migrated: 0, failed: 0, total: 43, alreadySealed: 43 }";
    // Never back: classic is the older format.
    for format in ["sealed", "classic"] {
        let output = program.run(&["migrate", "--format", format]).done();
        assert!(output.text().contains(counts), "{}", output.text());
    }
}

#[test]
fn node_opens_what_a_migration_wrote() {
    let server = server_with_states(200);
    Program::at(&server).run(&["migrate"]).done();
    let stored = stored_states(&server, 200).into_iter().flatten();
    let stored: Vec<_> = stored.map(|it| String::from_utf8(it).unwrap()).collect();
    let expected: Vec<_> = (0..200).map(|i| Some(state_json(i).into_bytes())).collect();
    assert!(node::classic_open(&key_bytes(KEY), &stored) == expected);
}

#[test]
fn values_that_node_sealed_count_as_sealed_and_can_be_read() {
    let server = server_with_states(10);
    let key = key_bytes(KEY);
    let seal = |i| ClassicSeal {
        key: &key,
        iv: None,
        value: if i == 0 { STATE.as_bytes() } else { b"{}" },
    };
    let by_node = node::classic_seal(&[seal(0), seal(1)]);
    put(&server, NAME, by_node[0].as_bytes());
    put(&server, "wa:other", by_node[1].as_bytes());
    let program = Program::at(&server);
    let output = program.run(&["migrate"]).done();
    let counts = "{ migrated: 10, failed: 0, total: 12, alreadySealed: 2 }";
    assert!(output.text().contains(counts), "{}", output.text());
    assert_eq!(program.run(&["get", NAME]).done().text(), STATE);
    assert_eq!(get(&server, NAME).unwrap(), by_node[0].as_bytes());
}

#[test]
fn several_patterns_are_swept_in_turn_and_nothing_else_is_changed() {
    let server = server_with_states(42);
    put(&server, "whatsapp:temp_password:1", b"hunter2");
    put(&server, "lock:wa:5215512345678", b"1");
    put(&server, "bull:queue:id", b"17");
    let before = server.snapshot();
    let output = Program::at(&server)
        .run(&[
            "migrate",
            "--protect",
            "wa:{user}",
            "--protect",
            "whatsapp:temp_password:*",
        ])
        .done();
    assert_eq!(
        output.text(),
        "Starting Redis encryption migration\n\
         Redis connection verified\n\
         Migrating WhatsApp state data...\n\
         WhatsApp state migration completed { migrated: 42, failed: 0, total: 42 }\n\
         Migrating whatsapp:temp_password:* data...\n\
         whatsapp:temp_password:* migration completed { migrated: 1, failed: 0, total: 1 }\n\
         Migration completed { totalMigrated: 43, totalFailed: 0, success: true }\n"
    );
    let others = |name: &[u8]| name.starts_with(b"lock:") || name.starts_with(b"bull:");
    assert_eq!(server.snapshot().only(others), before.only(others));
    let name = "whatsapp:temp_password:1";
    let stored = get(&server, name).unwrap();
    let password = Some((Format::Classic, b"hunter2".to_vec()));
    assert_eq!(opened(KEY, name, &stored), password);
}

#[test]
fn fields_of_hashes_and_elements_of_lists_are_sealed_one_by_one() {
    for format in ["classic", "sealed"] {
        let server = RedisServer::start();
        let mut client = server.client();
        for i in 0..1_200 {
            let (field, value) = (format!("field{i}"), format!("[{i}]"));
            client.cmd(&["HSET", "sess:hash", &field, &value]);
            client.cmd(&["RPUSH", "sess:list", &value]);
        }
        client.cmd(&["PEXPIRE", "sess:hash", "3600000"]);
        let before = expiries(&server);
        let program = Program::at(&server);
        let protect = ["--protect", "sess:*"];
        let run = |words: &[&str]| program.run(&[words, &protect].concat()).done();
        let output = run(&["migrate", "--format", format]);
        let counts = "{ migrated: 2400, failed: 0, total: 2400 }";
        assert!(output.text().contains(counts), "{}", output.text());
        assert_eq!(expiries(&server), before);
        let values = client.cmd(&["HVALS", "sess:hash"]).array();
        let elements = client.cmd(&["LRANGE", "sess:list", "0", "-1"]).array();
        for stored in values.into_iter().chain(elements) {
            assert!(!stored.bytes().unwrap().starts_with(b"["));
        }
        for i in ["0", "700", "1199"] {
            let value = format!("[{i}]");
            let field = format!("field{i}");
            let got = run(&["get", "sess:hash", "--field", &field]);
            assert_eq!(got.text(), value);
            let got = run(&["get", "sess:list", "--element", i]);
            assert_eq!(got.text(), value);
        }
    }
}

#[test]
fn members_are_sealed_and_values_of_streams_are_reported() {
    let server = server_with_states(42);
    server.cli(&["SADD", "wa:set", "maria", "juan"]);
    server.cli(&["ZADD", "wa:zset", "1.5", "maria"]);
    server.cli(&["XADD", "wa:stream", "*", "name", "maria"]);
    let is_stream = |name: &[u8]| name == b"wa:stream";
    let stream = server.snapshot().only(is_stream);
    let program = Program::at(&server);
    // What stays in plaintext is a finding.
    let output = program.run(&["migrate"]).with_status(1);
    let counts = "{ migrated: 45, failed: 0, total: 46, streams: 1 }";
    assert!(output.text().contains(counts), "{}", output.text());
    let told = "warning: 1 value in a stream was skipped";
    assert!(output.stderr.contains(told), "{}", output.stderr);
    assert_eq!(server.snapshot().only(is_stream), stream);
    assert_states_sealed(&server, 42, KEY, Format::Classic);
    let plain = server.client().cmd(&["SISMEMBER", "wa:set", "maria"]);
    assert_eq!(plain.int(), 0);
    let plain = server.client().cmd(&["ZSCORE", "wa:zset", "maria"]);
    assert_eq!(plain.bytes(), None);
    let output = program.run(&["decrypt", "--yes"]).done();
    assert!(output.text().contains("totalDecrypted: 45"));
    let score = server.client().cmd(&["ZSCORE", "wa:zset", "maria"]).bytes();
    assert_eq!(score.as_deref(), Some(&b"1.5"[..]));
    // With a sealed value in a stream the key is still needed.
    let place = Binding::stream_field(b"wa:stream", b"name");
    let sealed = sealer(KEY, Format::Sealed).seal(b"juan", place).unwrap();
    let add = [&b"XADD"[..], b"wa:stream", b"*", b"name", &sealed];
    assert_eq!(server.client().cmd(&add).error(), None);
    let output = program.run(&["decrypt", "--yes"]).with_status(1);
    assert!(output.stderr.contains(told), "{}", output.stderr);
    let output = program.run(&["migrate", "--streams", "rewrite"]).done();
    assert!(!output.stderr.contains(told), "{}", output.stderr);
}

#[test]
fn a_value_that_looks_sealed_and_does_not_open_fails_and_is_skipped() {
    let server = server_with_states(42);
    let foreign = sealed(OLD_KEY, Format::Classic, NAME, STATE.as_bytes());
    put(&server, NAME, &foreign);
    let program = Program::at(&server);
    let output = program.run(&["migrate"]).failed(1, "wa:#");
    assert!(output.stderr.contains("Failed to decrypt Redis data"));
    let text = output.text();
    assert!(
        text.contains("{ migrated: 42, failed: 1, total: 43 }"),
        "{text}"
    );
    let end = "Migration completed { totalMigrated: 42, totalFailed: 1, success: false }\n";
    assert!(text.ends_with(end), "{text}");
    assert_eq!(get(&server, NAME), Some(foreign));
    assert_states_sealed(&server, 42, KEY, Format::Classic);
    let report = program.run(&["migrate", "--json"]).with_status(1).json();
    assert_eq!(report["success"], false);
    assert_eq!(report["patterns"][0]["failed"], 1);
}

#[test]
fn empty_values_stay_empty() {
    let server = server_with_states(3);
    put(&server, NAME, b"");
    let output = Program::at(&server).run(&["migrate"]).done();
    let counts = "{ migrated: 3, failed: 0, total: 4, empty: 1 }";
    assert!(output.text().contains(counts), "{}", output.text());
    assert_eq!(get(&server, NAME), Some(Vec::new()));
}

#[test]
fn warns_if_applications_continue_to_write_plain_values() {
    let server = server_with_states(3);
    let program = Program::at(&server).env("ENABLE_REDIS_ENCRYPTION", "false");
    let output = program.run(&["migrate"]).done();
    assert!(
        output.stderr.contains("warning: the mode is off"),
        "{}",
        output.stderr
    );
    assert_states_sealed(&server, 3, KEY, Format::Classic);
}

#[test]
fn an_embedded_store_is_migrated_like_a_server() {
    let program = Program::with_file();
    let names: Vec<_> = (0..20).map(state_name).collect();
    for (i, name) in (0..).zip(&names) {
        let put = program.run_with(&["put", name, "--ttl", "3600"], state_json(i).as_bytes());
        put.done();
    }
    program.run(&["decrypt", "--yes"]).done();
    let text = program
        .run(&["migrate", "--format", "sealed"])
        .done()
        .text();
    assert!(text.contains("Store connection verified\n"), "{text}");
    assert!(
        text.contains("{ migrated: 20, failed: 0, total: 20 }"),
        "{text}"
    );
    for (i, name) in (0..).zip(&names) {
        assert_eq!(program.run(&["get", name]).done().text(), state_json(i));
    }
}
