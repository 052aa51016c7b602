//! Patterns that match the same names: each record belongs to the most specific one, for the proxy, for
//! every sweep, and for what is typed beside the configuration.

use waxseal_testing::RedisServer;

use super::wire::{Wire, bulk};
use crate::program::Program;
use crate::proxy::Proxy;

const STATES: &str =
    "[[protect]]\nname = \"States\"\nrecords = \"wa:*\"\nplain_values = \"json\"\n";
const TOKENS: &str = "[[protect]]\nname = \"Tokens\"\nrecords = \"wa:token:*\"\nformat = \"sealed\"\nplain_values = \"any\"\n";
/// Base64 that is a plain value under the second pattern, and a damaged one under the first.
const TOKEN: &str = "dGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZw==";

fn program(redis: &RedisServer, config: &[&str]) -> Program {
    Program::at(redis).file("waxseal.toml", &config.concat())
}

/// A server with a state and a few tokens.
fn server() -> RedisServer {
    let redis = RedisServer::start();
    redis.cli(&["SET", "wa:1", "{\"status\":\"new\"}"]);
    for number in ["1", "2", "3"] {
        redis.cli(&["SET", &format!("wa:token:{number}"), TOKEN]);
    }
    redis
}

#[test]
fn a_record_belongs_to_the_most_specific_pattern_in_whatever_order() {
    for config in [[STATES, TOKENS], [TOKENS, STATES]] {
        let redis = server();
        let program = program(&redis, &config);
        let proxy = Proxy::start_as(&program, &redis, &[]);
        let mut wire = Wire::tcp(proxy.port());
        assert_eq!(wire.ask(&["GET", "wa:token:1"]), *bulk(TOKEN).as_str());
        assert_eq!(wire.ask(&["SET", "wa:token:4", "secret"]), "+OK\r\n");
        assert_eq!(wire.ask(&["SET", "wa:2", "secret"]), "+OK\r\n");
        let text = program.run(&["audit", "--deep"]).done().text();
        let told = "States (wa:*): 1 sealed, 1 plain, 0 cannot be opened\n";
        assert!(text.contains(told), "{text}");
        let told = "Tokens (wa:token:*): 1 sealed, 3 plain, 0 cannot be opened\n";
        assert!(text.contains(told), "{text}");
        let report = program.run(&["migrate", "--json"]).done().json();
        assert_eq!(report["success"], true, "{report}");
        // Each in the format of its own pattern.
        let text = program
            .run(&["audit", "--deep", "--require-clean"])
            .done()
            .text();
        assert!(text.contains("States (wa:*): 2 sealed, 0 plain"), "{text}");
        assert!(
            text.contains("Tokens (wa:token:*): 4 sealed, 0 plain"),
            "{text}"
        );
        assert_eq!(redis.cli(&["STRLEN", "wa:token:4"]), "54");
        assert_eq!(redis.cli(&["STRLEN", "wa:2"]), "52");
        for number in ["1", "2", "3"] {
            let name = format!("wa:token:{number}");
            assert_eq!(wire.ask(&["GET", &name]), *bulk(TOKEN).as_str());
        }
        proxy.stop();
        program.run(&["rotate"]).done();
        let doctor = program.run(&["doctor"]).with_status_of(&[0, 1]).text();
        let told = "what wa:* and wa:token:* match belongs to the latter, the more specific";
        assert!(doctor.contains(told), "{doctor}");
    }
}

#[test]
fn a_pattern_that_is_typed_takes_no_records_from_those_of_the_configuration() {
    let redis = server();
    let program = program(&redis, &[TOKENS]);
    let migrated = program.run(&["migrate", "--protect", "wa:*"]).done();
    assert!(
        migrated
            .text()
            .contains("migrated: 1, failed: 0, total: 1 }")
    );
    let told = "warning: records of wa:token:* are left out: they match what --protect names, and the \
                configuration has a more specific pattern for them\nhint: name these as well: --protect \
                'wa:token:*'; without";
    assert!(migrated.stderr.contains(told), "{}", migrated.stderr);
    assert_eq!(redis.cli(&["GET", "wa:token:1"]), TOKEN);
    // A single record is the one that it is, whatever is typed.
    let put = ["put", "wa:token:1", "--protect", "wa:*"];
    program.run_with(&put, TOKEN.as_bytes()).done();
    assert_eq!(
        redis.cli(&["STRLEN", "wa:token:1"]),
        (48 + TOKEN.len()).to_string()
    );
    // A part of what is configured is sealed as that is.
    program.run(&["migrate", "--protect", "wa:token:2*"]).done();
    assert_eq!(
        redis.cli(&["STRLEN", "wa:token:2"]),
        (48 + TOKEN.len()).to_string()
    );
    // The proxy lets none of them by in clear, and opens what is sealed.
    let proxy = Proxy::start_as(&program, &redis, &["--protect", "wa:*"]);
    let mut wire = Wire::tcp(proxy.port());
    for name in ["wa:token:1", "wa:token:2", "wa:token:3"] {
        assert_eq!(wire.ask(&["GET", name]), *bulk(TOKEN).as_str());
    }
    assert_eq!(wire.ask(&["SET", "wa:token:5", "secret"]), "+OK\r\n");
    assert_eq!(redis.cli(&["STRLEN", "wa:token:5"]), "54");
    proxy.stop();
}

#[test]
fn a_pattern_that_protects_nothing_is_refused_at_start() {
    let redis = RedisServer::start();
    for (pattern, why) in [
        (
            "wa:* ",
            "the record pattern \"wa:* \" begins or ends with a blank",
        ),
        (
            "\u{a0}wa:*",
            "the record pattern \"\u{a0}wa:*\" begins or ends with a blank",
        ),
        (
            "wa:name ",
            "the record pattern of 8 characters begins or ends with a blank",
        ),
        (
            "waxseal:*",
            "the record pattern \"waxseal:*\" protects nothing: names that begin with waxseal: are Waxseal's \
             own records",
        ),
    ] {
        let config = format!("[[protect]]\nrecords = \"{pattern}\"\n");
        let program = program(&redis, &[&config]);
        let listen = ["proxy", "--listen", "127.0.0.1:0"];
        program.run(&listen).failed(64, &format!("error: {why}"));
        program.run(&["audit"]).failed(64, &format!("error: {why}"));
        let typed = Program::at(&redis).run(&["audit", "--protect", pattern]);
        typed.failed(64, &format!("error: {why}"));
    }
    let twice = program(&redis, &[STATES, STATES]);
    let doctor = twice.run(&["doctor"]).with_status_of(&[0, 1]).text();
    assert!(
        doctor.contains("wa:* is configured twice: the first [[protect]] decides"),
        "{doctor}"
    );
}
