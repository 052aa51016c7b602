//! Values that do not open, that may not be sealed, or that are too large: the client is told with a
//! code word, no client gets the bytes, and the connection stays open.

use waxseal_testing::RedisServer;

use super::wire::{Raw, Wire, bulk, contains};
use super::{Pair, UPSTREAMS};
use crate::program::{KEY, OTHER_KEY, Program};
use crate::proxy::{PROTECTED_MARKER, Proxy};

/// A proxy as in [`Pair`], with this environment and these flags.
fn pair_as(program: Program, upstream: &str, flags: &[&str]) -> Pair {
    let redis = RedisServer::start();
    let mut all = vec!["--protect", "wa:*", "--upstream", upstream];
    all.extend(flags);
    let proxy = Proxy::start_as(&program, &redis, &all);
    Pair { redis, proxy }
}

fn keyed(key: &str) -> Program {
    Program::new().env("REDIS_ENCRYPTION_KEY", key)
}

fn raw(redis: &RedisServer, words: &[&str]) -> Vec<u8> {
    redis.client().cmd(words).bytes().unwrap()
}

/// An error with this word, with nothing of the value; and the connection continues.
#[track_caller]
fn is_told(wire: &mut Wire, words: &[&str], error: &str) {
    let reply = wire.ask(words);
    assert!(reply.contains(error), "{words:?}: {reply:?}");
    assert!(!reply.contains(PROTECTED_MARKER), "{words:?}: {reply:?}");
    assert_eq!(wire.ask(&["ECHO", "on"]), "$2\r\non\r\n");
}

#[test]
fn a_value_that_was_changed_or_moved_is_an_error_and_never_its_bytes() {
    for upstream in UPSTREAMS {
        for format in ["classic", "sealed"] {
            let pair = Pair::with(upstream, &["--format", format]);
            let mut wire = pair.wire();
            let value = "amatista roja";
            wire.ask(&["MSET", "wa:1", value, "wa:2", value, "wa:3", value]);
            wire.ask(&["HSET", "wa:h", "f", value, "g", value]);
            wire.ask(&["RPUSH", "wa:l", value, value]);
            let mut direct = pair.redis.client();
            let mut stored = raw(&pair.redis, &["GET", "wa:1"]);
            let middle = stored.len() - 6;
            stored[middle] = if stored[middle] == b'0' { b'1' } else { b'0' };
            direct.cmd(&[&b"SET"[..], b"wa:1", &stored]);
            direct.cmd(&[&b"HSET"[..], b"wa:h", b"f", &stored]);
            direct.cmd(&[&b"LSET"[..], b"wa:l", b"1", &stored]);
            for words in [
                &["GET", "wa:1"][..],
                &["GETRANGE", "wa:1", "0", "3"],
                &["STRLEN", "wa:1"],
                &["MGET", "wa:2", "wa:1", "wa:3"],
                &["HGET", "wa:h", "f"],
                &["HGETALL", "wa:h"],
                &["LRANGE", "wa:l", "0", "-1"],
                &["LINDEX", "wa:l", "1"],
                &["SET", "wa:1", "new", "GET", "XX", "KEEPTTL"],
            ] {
                is_told(&mut wire, words, "-SEALBROKEN");
            }
            direct.cmd(&[&b"SET"[..], b"wa:1", &stored]);
            // What is beside it in a transaction still comes.
            wire.ask(&["MULTI"]);
            wire.ask(&["GET", "wa:1"]);
            wire.ask(&["GET", "wa:2"]);
            let reply = wire.ask(&["EXEC"]);
            assert!(reply.starts_with("*2\r\n-SEALBROKEN"), "{reply:?}");
            assert!(reply.contains(value), "{reply:?}");
            let mut other = pair.wire().resp3();
            is_told(&mut other, &["HGETALL", "wa:h"], "-SEALBROKEN");
            if format == "sealed" {
                let stored = raw(&pair.redis, &["GET", "wa:2"]);
                direct.cmd(&[&b"SET"[..], b"wa:elsewhere", &stored]);
                is_told(&mut wire, &["GET", "wa:elsewhere"], "-SEALBROKEN");
            }
            let log = pair.proxy.stop().stderr;
            assert!(!log.contains("wa:elsewhere"), "{log}");
        }
    }
}

#[test]
fn a_value_under_a_key_that_is_missing_is_an_error() {
    for upstream in UPSTREAMS {
        let ours = Pair::with(upstream, &["--format", "sealed"]);
        let theirs = pair_as(keyed(OTHER_KEY), upstream, &["--format", "sealed"]);
        assert_eq!(theirs.wire().ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
        let stored = raw(&theirs.redis, &["GET", "wa:1"]);
        ours.redis.client().cmd(&[&b"SET"[..], b"wa:1", &stored]);
        is_told(&mut ours.wire(), &["GET", "wa:1"], "-SEALNOKEY GET");
        ours.proxy.stop();
    }
}

#[test]
fn commands_that_would_need_the_value_are_refused_and_change_nothing() {
    for upstream in UPSTREAMS {
        let pair = Pair::start(upstream);
        let mut wire = pair.wire();
        assert_eq!(wire.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
        let before = pair.redis.snapshot();
        for words in [
            &["EVAL", "return redis.call('DEL',KEYS[1])", "1", "wa:1"][..],
            // Of a text that has not passed the digest is not known.
            &["EVAL", "return 1", "1", "wa:1"],
            &[
                "EVALSHA",
                "e0e1f9fabfc9d4800c877a703b823ac0578ff8db",
                "1",
                "wa:1",
            ],
            &["FCALL", "f", "1", "wa:1"],
            &["NOSUCHCOMMAND", "open:1", "wa:1", "x"],
            &["PFADD", "wa:1", "x"],
            &["INCREX", "wa:1"],
            &["BITOP", "NOT", "wa:1", "wa:1"],
            &["RENAME", "wa:1", "open:2"],
            &["COPY", "wa:1", "open:1"],
            &["SORT", "wa:l", "STORE", "open:2"],
            &["PFADD", "wa:s", "x"],
            &["LMOVE", "wa:l", "open:l", "LEFT", "LEFT"],
            &["SYNC"],
            &["PSYNC", "?", "-1"],
        ] {
            is_told(&mut wire, words, "-SEALREFUSED ");
        }
        assert!(pair.redis.snapshot() == before, "{upstream}");
        assert_eq!(wire.ask(&["GET", "wa:1"]), "$8\r\namatista\r\n");
    }
}

#[test]
fn errors_of_the_server_about_protected_records_come_as_they_are() {
    let wrong = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
    for upstream in UPSTREAMS {
        let pair = Pair::start(upstream);
        let mut direct = pair.redis.client();
        direct.cmd(&["SADD", "wa:set", "x"]);
        for mut wire in [pair.wire(), pair.wire().resp3()] {
            for words in [
                &["GET", "wa:set"][..],
                &["GETRANGE", "wa:set", "0", "1"],
                &["STRLEN", "wa:set"],
                &["HGETALL", "wa:set"],
                &["HSET", "wa:set", "f", "v"],
                &["LRANGE", "wa:set", "0", "-1"],
                &["LPUSH", "wa:set", "v"],
                &["SET", "wa:set", "v", "GET"],
            ] {
                assert_eq!(wire.ask(words), wrong, "{words:?}");
            }
            assert_eq!(
                wire.ask(&["LSET", "wa:none", "0", "v"]),
                "-ERR no such key\r\n"
            );
        }
    }
}

#[test]
fn each_mode_treats_plaintext_as_it_says() {
    let value = Raw(bulk("amatista").into_bytes());
    for upstream in UPSTREAMS {
        for (mode, sealed, plain_comes) in [
            ("true", true, true),
            ("false", false, true),
            ("required", true, false),
        ] {
            let program = keyed(KEY).env("ENABLE_REDIS_ENCRYPTION", mode);
            let pair = pair_as(program, upstream, &[]);
            let mut wire = pair.wire();
            assert_eq!(wire.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
            let stored = raw(&pair.redis, &["GET", "wa:1"]);
            assert_eq!(!contains(&stored, b"amatista"), sealed, "{mode}");
            assert_eq!(wire.ask(&["GET", "wa:1"]), value, "{mode}");
            pair.redis.client().cmd(&["SET", "wa:plain", "amatista"]);
            if plain_comes {
                assert_eq!(wire.ask(&["GET", "wa:plain"]), value, "{mode}");
            } else {
                is_told(&mut wire, &["GET", "wa:plain"], "-SEALPLAIN GET");
            }
            pair.proxy.stop();
        }
    }
}

#[test]
fn values_above_the_limit_are_refused_and_those_at_it_are_not() {
    const LIMIT: usize = 64 * 1024;
    let at = "x".repeat(LIMIT);
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--max-value", "64KiB"]);
        let mut wire = pair.wire();
        assert_eq!(wire.ask(&["SET", "wa:1", &at]), "+OK\r\n");
        assert_eq!(wire.ask(&["GET", "wa:1"]), *bulk(&at).as_str());
        for larger in [LIMIT + 1, 1 << 20, 5 << 20] {
            let above = "x".repeat(larger);
            for words in [
                &["SET", "wa:2", &above][..],
                &["HSET", "wa:h", "f", &above],
                &["RPUSH", "wa:l", "small", &above],
                &["MSET", "open:1", "x", "wa:2", &above],
            ] {
                is_told(&mut wire, words, "-SEALREFUSED ");
            }
            assert_eq!(wire.ask(&["SET", "open:large", &above]), "+OK\r\n");
            assert_eq!(
                wire.ask(&["STRLEN", "open:large"]),
                *format!(":{larger}\r\n")
            );
        }
        assert_eq!(
            wire.ask(&["EXISTS", "wa:2", "wa:h", "wa:l", "open:1"]),
            ":0\r\n"
        );
        // In a transaction it is the whole that is not executed.
        wire.ask(&["MULTI"]);
        assert_eq!(wire.ask(&["SET", "wa:3", "x"]), "+QUEUED\r\n");
        is_refused_in_a_transaction(&mut wire, &"x".repeat(1 << 20));
        assert!(wire.ask(&["EXEC"]).starts_with("-EXECABORT "));
        assert_eq!(wire.ask(&["EXISTS", "wa:3", "wa:4"]), ":0\r\n");
        // Many that fit are more than a reply may hold.
        for _ in 0..4 {
            wire.ask(&["RPUSH", "wa:many", &at]);
        }
        is_told(
            &mut wire,
            &["LRANGE", "wa:many", "0", "-1"],
            "-SEALREFUSED LRANGE",
        );
        assert_eq!(wire.ask(&["LINDEX", "wa:many", "0"]), *bulk(&at).as_str());
    }
}

#[track_caller]
fn is_refused_in_a_transaction(wire: &mut Wire, value: &str) {
    let reply = wire.ask(&["SET", "wa:4", value]);
    assert!(reply.starts_with("-SEALREFUSED SET"), "{reply:?}");
}
