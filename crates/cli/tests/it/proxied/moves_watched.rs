//! Moves of values between records, as a client sees them that watches the source (`WATCH`), on every server: what changes
//! nothing there does not break its transaction.

use waxseal_testing::{Flavor, RedisServer};

use super::Pair;
use super::wire::Wire;

/// Records whose names begin with `wa:s`, and one that lists do not move to.
const RECORDS: &[&str] = &[
    "SET wa:s-string secret",
    "HSET wa:s-hash f secret g other",
    "RPUSH wa:s-list one two three",
    "SADD wa:s-set one two x",
    "ZADD wa:s-zset 1.5 one inf two 3 x",
    "SET wa:d-string secret",
];

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

/// A proxy before a server of this flavor, with the records.
fn start(flavor: Flavor) -> Pair {
    let redis = RedisServer::builder().flavor(flavor).start();
    let pair = Pair::before(redis, "auto", &["--format", "sealed"]);
    let mut wire = pair.wire();
    for line in RECORDS {
        assert!(!wire.ask(&words(line)).starts_with("-"), "{line}");
    }
    if matches!(flavor, Flavor::Redis80 | Flavor::Valkey) {
        wire.ask(&words("HPEXPIRE wa:s-hash 1000000 FIELDS 1 g"));
    }
    pair
}

/// True if a client that watches this record finds it unchanged after a request of another.
fn stays_unchanged(pair: &Pair, name: &str, wire: &mut Wire, line: &str, expected: &str) -> bool {
    let mut watching = pair.wire();
    assert_eq!(watching.ask(&["WATCH", name]), "+OK\r\n");
    let reply = wire.ask(&words(line));
    assert!(reply.starts_with(expected), "{line}: {reply:?}");
    watching.ask(&["MULTI"]);
    watching.ask(&["PING"]);
    let reply = watching.ask(&["EXEC"]);
    assert!(
        reply == "*1\r\n+PONG\r\n" || reply == "*-1\r\n",
        "{line}: {reply:?}"
    );
    reply != "*-1\r\n"
}

#[test]
fn a_copy_and_a_move_that_fails_do_not_change_the_source() {
    for flavor in Flavor::ALL {
        let pair = start(flavor);
        let mut wire = pair.wire();
        for (name, line, expected) in [
            ("wa:s-string", "COPY wa:s-string wa:d", ":1"),
            ("wa:s-hash", "COPY wa:s-hash wa:d REPLACE", ":1"),
            ("wa:s-set", "COPY wa:s-set wa:d REPLACE", ":1"),
            ("wa:s-zset", "COPY wa:s-zset wa:d REPLACE", ":1"),
            ("wa:s-list", "COPY wa:s-list wa:d REPLACE", ":1"),
            (
                "wa:s-list",
                "LMOVE wa:s-list wa:d-string LEFT LEFT",
                "-WRONGTYPE",
            ),
            ("wa:s-string", "RENAMENX wa:s-string wa:d-string", ":0"),
            ("wa:d-string", "COPY wa:s-string wa:d-string", ":0"),
        ] {
            let is_told = flavor == Flavor::Redis62 && line.starts_with("COPY wa:s-list");
            let unchanged = stays_unchanged(&pair, name, &mut wire, line, expected);
            assert_eq!(unchanged, !is_told, "{flavor:?} {line}");
        }
        for (name, line) in [
            ("wa:s-string", "RENAME wa:s-string wa:e"),
            ("wa:s-list", "LMOVE wa:s-list wa:e LEFT LEFT"),
        ] {
            let expected = if line.starts_with("LMOVE") { "$" } else { "+" };
            assert!(
                !stays_unchanged(&pair, name, &mut wire, line, expected),
                "{flavor:?} {line}"
            );
            wire.ask(&["DEL", "wa:e"]);
        }
        pair.proxy.stop();
    }
}

#[test]
fn what_a_user_may_not_do_changes_neither_record() {
    for flavor in Flavor::ALL {
        let pair = start(flavor);
        let hash = matches!(flavor, Flavor::Redis80 | Flavor::Valkey);
        for (kind, lacking) in [
            ("string", "-set"),
            ("hash", "-hset"),
            ("hash", "-hpexpireat"),
            ("hash", "-hpexpiretime"),
            ("list", "-rpush"),
            ("list", "-ltrim"),
            ("list", "-lset"),
            ("set", "-sadd"),
            ("set", "-srem"),
            ("zset", "-zadd"),
            ("zset", "-zrem"),
        ] {
            if lacking.starts_with("-hp") && !hash {
                continue;
            }
            let user = [
                "ACL", "SETUSER", "app", "on", ">pass", "~*", "+@all", lacking,
            ];
            pair.redis.cli(&user);
            let mut app = pair.wire();
            assert_eq!(app.ask(&["AUTH", "app", "pass"]), "+OK\r\n");
            let before = pair.redis.cli(&["DEBUG", "DIGEST"]);
            let name = format!("wa:s-{kind}");
            let line = format!("RENAME {name} wa:d-string");
            let context = format!("{flavor:?} {kind} {lacking}");
            let unchanged = stays_unchanged(&pair, &name, &mut app, &line, "-NOPERM RENAME");
            assert_eq!(pair.redis.cli(&["DEBUG", "DIGEST"]), before, "{context}");
            assert!(unchanged, "{context}");
        }
        pair.proxy.stop();
    }
}

#[test]
fn a_full_server_keeps_what_it_cannot_seal_for_another_name() {
    for flavor in Flavor::ALL {
        let pair = start(flavor);
        let mut wire = pair.wire();
        let before = pair.redis.cli(&["DEBUG", "DIGEST"]);
        pair.redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
        for kind in ["string", "hash", "list", "set", "zset"] {
            let (name, destination) = (format!("wa:s-{kind}"), format!("wa:d-{kind}"));
            for command in ["RENAME", "COPY"] {
                let reply = wire.ask(&[command, &name, &destination]);
                let is_refused = reply.starts_with("-") || reply == ":0\r\n";
                assert!(is_refused, "{flavor:?} {command} {kind}: {reply:?}");
                let digest = pair.redis.cli(&["DEBUG", "DIGEST"]);
                assert_eq!(digest, before, "{flavor:?} {command} {kind}");
            }
        }
        pair.proxy.stop();
    }
}
