//! Words with a NUL in them. Servers compare some words as C strings, which end at the first NUL: to
//! them `STORE\0` is `STORE`. Such a word must never mean less to the proxy than to the server.

use waxseal_testing::{Flavor, RedisServer};

use super::corpus::Chance;
use super::counts::info;
use super::wire::{Raw, Wire, request};
use super::{Pair, UPSTREAMS};

const SECRET: &str = "$8\r\namatista\r\n";
/// The first bytes of a sealed value.
const ENVELOPE: &str = "\u{57}\u{2}";

/// A pair with a protected string, hash and list, and with places outside the pattern.
fn pair_of(flavor: Flavor, upstream: &str) -> Pair {
    let redis = RedisServer::builder().flavor(flavor).start();
    let flags = ["--format", "sealed", "--workers", "1"];
    let pair = Pair::before(redis, upstream, &flags);
    let mut wire = pair.wire();
    assert_eq!(wire.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
    wire.ask(&["HSET", "wa:hash", "field", "amatista"]);
    wire.ask(&["RPUSH", "wa:list", "amatista", "amatista", "amatista"]);
    wire.ask(&["GEOADD", "open:geo", "0.1", "0.1", "here"]);
    pair
}

#[track_caller]
fn is_refused(wire: &mut Wire, words: &[&str], context: &str) {
    let reply = wire.ask(words);
    let is_refusal = reply.starts_with("-SEALREFUSED ");
    assert!(is_refusal, "{context}, {words:?}: {reply:?}");
    assert_eq!(wire.ask(&["GET", "wa:1"]), SECRET, "{context}, {words:?}");
}

#[test]
fn a_destination_after_a_word_with_a_nul_is_protected() {
    for upstream in UPSTREAMS {
        let pair = pair_of(Flavor::System, upstream);
        let before = pair.redis.snapshot();
        let mut wire = pair.wire();
        for option in ["STORE\0", "store\0x", "STOREDIST\0", "StoreDist\0\0"] {
            let by_place = ["GEORADIUS", "open:geo", "0", "0", "100", "km"];
            let by_member = ["GEORADIUSBYMEMBER", "open:geo", "here", "100", "km"];
            for search in [&by_place[..], &by_member] {
                let words = [search, &[option, "wa:9"]].concat();
                is_refused(&mut wire, &words, upstream);
            }
        }
        assert!(pair.redis.snapshot() == before, "{upstream}");
        // What it is sorted into is sealed.
        wire.ask(&["RPUSH", "open:list", "zafiro", "agata"]);
        let words = ["SORT", "open:list", "ALPHA\0", "STORE\0x", "wa:9"];
        assert_eq!(wire.ask(&words), ":2\r\n", "{upstream}");
        let stored = Wire::tcp(pair.redis.port()).ask(&["LRANGE", "wa:9", "0", "-1"]);
        assert!(
            stored.starts_with("*2\r\n") && !stored.contains("zafiro"),
            "{stored:?}"
        );
    }
}

#[test]
fn names_after_a_word_with_a_nul_are_not_migrated() {
    for upstream in UPSTREAMS {
        let pair = pair_of(Flavor::System, upstream);
        let elsewhere = RedisServer::start();
        let port = elsewhere.port().to_string();
        let mut wire = pair.wire();
        for keys in ["KEYS\0", "keys\0x"] {
            let to = ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "COPY"];
            is_refused(&mut wire, &[&to[..], &[keys, "wa:1"]].concat(), upstream);
        }
        assert_eq!(elsewhere.cli(&["DBSIZE"]), "0", "{upstream}");
    }
}

#[test]
fn an_option_with_a_nul_brings_no_envelope() {
    for upstream in UPSTREAMS {
        for flavor in [Flavor::System, Flavor::Valkey] {
            let pair = pair_of(flavor, upstream);
            for words in [
                &["SET", "wa:1", "amatista", "GET\0"][..],
                &["SET", "wa:1", "amatista", "XX", "get\0x"],
                &["GETEX", "wa:1", "PERSIST\0"],
                &["GETEX", "wa:1", "EX\0", "100"],
                &["HRANDFIELD", "wa:hash", "1", "WITHVALUES\0"],
                &["HRANDFIELD", "wa:hash", "1", "withvalues\0x"],
                &["HSCAN", "wa:hash", "0", "COUNT\0", "10"],
                &["HSCAN", "wa:hash", "0", "NOVALUES\0"],
                &["LMPOP", "1", "wa:list", "LEFT\0"],
                &["LMPOP", "1", "wa:list", "LEFT", "COUNT\0", "1"],
                &["BLMPOP", "0.1", "1", "wa:list", "RIGHT\0x"],
                &["COMMAND", "GETKEYS", "SET\0", "wa:1", "amatista"],
            ] {
                let mut wire = pair.wire();
                let reply = wire.ask(words);
                let context = format!("{flavor:?}, {upstream}, {words:?}: {reply:?}");
                assert!(!reply.contains(ENVELOPE), "{context}");
                assert_eq!(wire.ask(&["GET", "wa:1"]), SECRET, "{context}");
            }
            let stored = pair.redis.client().cmd(&["GET", "wa:1"]).bytes().unwrap();
            assert!(Raw(stored).contains(ENVELOPE), "{flavor:?}, {upstream}");
        }
    }
}

#[test]
fn a_command_word_with_a_nul_is_refused() {
    for upstream in UPSTREAMS {
        for flavor in [Flavor::System, Flavor::Valkey] {
            let pair = pair_of(flavor, upstream);
            let context = format!("{flavor:?}, {upstream}");
            for words in [
                &["SYNC\0aaq"][..],
                &["PSYNC\0x", "?", "-1"],
                &["REPLCONF\0", "listening-port", "1"],
                &["GET\0x", "wa:1"],
                &["GET\0x", "open:1"],
                &["XREAD\0", "STREAMS", "open:stream", "0"],
                &["CLIENT\0", "REPLY", "OFF"],
                &["CLIENT", "REPLY\0", "OFF"],
                &["CLIENT", "CAPA\0", "redirect"],
                &["CONFIG", "GET\0x", "maxmemory"],
                &["MULTI\0"],
                &["EXEC\0"],
                &["SUBSCRIBE\0", "news"],
                &["\0"],
            ] {
                is_refused(&mut pair.wire(), words, &context);
                let mut wire = pair.wire();
                assert_eq!(wire.ask(&["MULTI"]), "+OK\r\n");
                let reply = wire.ask(words);
                let refused = reply.starts_with("-SEALREFUSED ");
                assert!(refused, "{context}, {words:?} in MULTI: {reply:?}");
                let reply = wire.ask(&["EXEC"]);
                assert!(reply.starts_with("-EXECABORT "), "{context}: {reply:?}");
            }
        }
    }
}

#[test]
fn no_spelling_of_replication_reaches_the_server() {
    const SPELLINGS: usize = 600;
    for (seed, upstream) in (1..).zip(UPSTREAMS) {
        let pair = pair_of(Flavor::System, upstream);
        let mut chance = Chance::seeded(seed);
        for round in 0..SPELLINGS {
            let mut word = if round % 2 == 0 { "SYNC" } else { "sync" }
                .as_bytes()
                .to_vec();
            word.push(0);
            let length = chance.below(5);
            word.extend((0..length).map(|_| b'a' + u8::try_from(chance.below(26)).unwrap()));
            let reply = pair.wire().ask(&[&word]);
            let refused = reply.starts_with("-SEALREFUSED ");
            assert!(refused, "{upstream}, {}: {reply:?}", word.escape_ascii());
        }
        let counts = pair.redis.command_counts();
        for command in ["sync", "psync", "replconf"] {
            assert!(!counts.contains_key(command), "{upstream}: {command}");
        }
        let replicas = info(&pair.redis, "replication", "connected_slaves");
        assert_eq!(replicas, "0", "{upstream}");
    }
}

#[test]
fn replies_stay_paired_where_a_word_with_a_nul_switches_them() {
    for upstream in UPSTREAMS {
        for flavor in [Flavor::System, Flavor::Valkey] {
            let pair = pair_of(flavor, upstream);
            for mode in ["OFF\0x", "off\0", "SKIP\0x", "Skip\0"] {
                let context = format!("{flavor:?}, {upstream}, {mode:?}");
                let mut wire = pair.wire();
                let requests = [
                    request(&["CLIENT", "REPLY", mode]),
                    request(&["ECHO", "one"]),
                    request(&["CLIENT", "REPLY", "ON"]),
                    request(&["GET", "wa:1"]),
                    request(&["ECHO", "end"]),
                ];
                wire.send(&requests.concat());
                let mut first = wire.reply();
                if first.starts_with("-SEALREFUSED ") {
                    assert_eq!(wire.reply(), "$3\r\none\r\n", "{context}");
                    first = wire.reply();
                }
                assert_eq!(first, "+OK\r\n", "{context}");
                assert_eq!(wire.reply(), SECRET, "{context}");
                assert_eq!(wire.reply(), "$3\r\nend\r\n", "{context}");
                assert_eq!(wire.ask(&["GET", "wa:1"]), SECRET, "{context}");
            }
        }
    }
}
