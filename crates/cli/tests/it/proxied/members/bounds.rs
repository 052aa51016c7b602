//! What the prelude does not change, and where it works although the server takes no writes.

use waxseal_testing::RedisServer;

use super::super::UPSTREAMS;
use super::Wire;
use crate::program::{KEY, Program};
use crate::proxy::Proxy;

/// A proxy before this server, in mode `on`, that seals equal elements of lists alike.
fn proxy(redis: &RedisServer, upstream: &str) -> Proxy {
    let program = Program::at(redis).keys(KEY, "").file(
        "waxseal.toml",
        "[[protect]]\nname = \"All\"\nrecords = \"wa:*\"\nformat = \"sealed\"\nwrite_version = 3\n\
         members = \"deterministic\"\n",
    );
    Proxy::start_as(&program, redis, &["--upstream", upstream])
}

#[track_caller]
fn assert_replies(wire: &mut Wire, requests: &[(&str, &str)]) {
    for (line, expected) in requests {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(wire.ask(&words), *expected, "{line}");
    }
}

#[test]
fn a_member_that_looks_like_a_stored_one_leaves_that_one_as_it_is() {
    let redis = RedisServer::start();
    let proxy = proxy(&redis, "auto");
    let (mut wire, mut direct) = (Wire::tcp(proxy.port()), redis.client());
    wire.ask(&["SADD", "wa:s", "amatista"]);
    wire.ask(&["ZADD", "wa:z", "5", "amatista"]);
    wire.ask(&["RPUSH", "wa:l", "amatista"]);
    let stored = |name: &str, line: &str| {
        let reply = redis.client().cmd(&line.split(' ').collect::<Vec<_>>());
        reply.array().pop().unwrap().bytes().expect(name)
    };
    let member = stored("set", "SMEMBERS wa:s");
    let scored = stored("sorted set", "ZRANGE wa:z 0 -1");
    let element = stored("list", "LRANGE wa:l 0 -1");
    let digest = direct.cmd(&["DEBUG", "DIGEST"]).to_text();
    for (command, name, bytes, reply) in [
        ("SISMEMBER", "wa:s", &member, ":0\r\n"),
        ("SREM", "wa:s", &member, ":0\r\n"),
        ("ZSCORE", "wa:z", &scored, "$-1\r\n"),
        ("ZREM", "wa:z", &scored, ":0\r\n"),
        ("GEOPOS", "wa:z", &scored, "*1\r\n*-1\r\n"),
        ("LPOS", "wa:l", &element, "$-1\r\n"),
    ] {
        let words = [command.as_bytes(), name.as_bytes(), bytes];
        assert_eq!(wire.ask(&words), reply, "{command}");
    }
    assert_eq!(direct.cmd(&["DEBUG", "DIGEST"]).to_text(), digest);
    assert_replies(
        &mut wire,
        &[
            ("SISMEMBER wa:s amatista", ":1\r\n"),
            ("ZSCORE wa:z amatista", "$1\r\n5\r\n"),
            ("LPOS wa:l amatista", ":0\r\n"),
        ],
    );
    proxy.stop();
}

#[test]
fn a_request_gives_only_so_many_elements_another_form() {
    let redis = RedisServer::start();
    let proxy = proxy(&redis, "auto");
    let (mut wire, mut direct) = (Wire::tcp(proxy.port()), redis.client());
    for (count, is_refused) in [(10_000, false), (10_001, true)] {
        direct.cmd(&["DEL", "wa:l"]);
        let elements = ["RPUSH", "wa:l"].into_iter().chain([("job"); 10_001]);
        direct.cmd(&elements.take(count + 2).collect::<Vec<_>>());
        direct.cmd(&["RPUSH", "wa:l", "last"]);
        for line in ["LPOS wa:l job RANK -1", "LREM wa:l 1 job"] {
            let words: Vec<&str> = line.split(' ').collect();
            let reply = wire.ask(&words);
            let expected = match (words[0], is_refused) {
                ("LPOS", false) => ":9999\r\n".to_owned(),
                (_, false) => ":1\r\n".to_owned(),
                (name, true) => format!("-SEALREFUSED {name}: nothing was changed: the list holds"),
            };
            assert!(reply.starts_with(&expected), "{count} {line}: {reply:?}");
        }
        let plain = direct.cmd(&["LPOS", "wa:l", "job", "COUNT", "0"]).array();
        assert_eq!(plain.len(), if is_refused { count } else { 0 });
        let len = direct.cmd(&["LLEN", "wa:l"]).int();
        assert_eq!(len, if is_refused { 10_002 } else { 10_000 });
    }
    proxy.stop();
}

/// Requests that a server answers which takes no writes, where `amatista` and `other` are members, and others in plaintext.
const READS: &[(&str, &str)] = &[
    ("SISMEMBER wa:s amatista", ":1\r\n"),
    ("SISMEMBER wa:s plain", ":1\r\n"),
    ("SISMEMBER wa:s none", ":0\r\n"),
    (
        "SMISMEMBER wa:s plain none amatista",
        "*3\r\n:1\r\n:0\r\n:1\r\n",
    ),
    ("ZSCORE wa:z amatista", "$1\r\n1\r\n"),
    ("ZSCORE wa:z plain", "$3\r\n2.5\r\n"),
    ("ZMSCORE wa:z none plain", "*2\r\n$-1\r\n$3\r\n2.5\r\n"),
    ("ZRANK wa:z plain", ":1\r\n"),
    ("ZREVRANK wa:z plain", ":0\r\n"),
    ("GEODIST wa:g amatista plain", "$6\r\n0.0000\r\n"),
    ("LPOS wa:l amatista", ":0\r\n"),
];

/// Writes such records.
fn fill(redis: &RedisServer, wire: &mut Wire) {
    wire.ask(&["SADD", "wa:s", "amatista", "other"]);
    wire.ask(&["ZADD", "wa:z", "1", "amatista"]);
    wire.ask(&["GEOADD", "wa:g", "13", "38", "amatista"]);
    wire.ask(&["RPUSH", "wa:l", "amatista"]);
    let mut direct = redis.client();
    direct.cmd(&["SADD", "wa:s", "plain"]);
    direct.cmd(&["ZADD", "wa:z", "2.5", "plain"]);
    direct.cmd(&["GEOADD", "wa:g", "13", "38", "plain"]);
}

#[test]
fn a_full_server_answers_reads_and_removes_members() {
    for upstream in UPSTREAMS {
        let redis = RedisServer::start();
        let proxy = proxy(&redis, upstream);
        let mut wire = Wire::tcp(proxy.port());
        fill(&redis, &mut wire);
        redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
        assert_replies(&mut wire, READS);
        assert_replies(
            &mut wire,
            &[
                ("SREM wa:s amatista none", ":1\r\n"),
                ("SREM wa:s plain", ":1\r\n"),
                ("ZREM wa:z amatista plain", ":2\r\n"),
                ("SCARD wa:s", ":1\r\n"),
            ],
        );
        let full = wire.ask(&["SADD", "wa:s", "new"]);
        assert!(full.starts_with("-OOM command not allowed"), "{full:?}");
        proxy.stop();
    }
}

#[test]
fn a_replica_answers_reads_of_members_in_another_form() {
    for upstream in UPSTREAMS {
        let redis = RedisServer::start();
        let proxy = proxy(&redis, upstream);
        let mut wire = Wire::tcp(proxy.port());
        fill(&redis, &mut wire);
        let primary = RedisServer::start();
        // Its link does not come up, so that it keeps its records.
        redis.cli(&["CONFIG", "SET", "masterauth", "wrong"]);
        primary.cli(&["CONFIG", "SET", "requirepass", "secret"]);
        let port = primary.port().to_string();
        redis.cli(&["REPLICAOF", "127.0.0.1", &port]);
        let mut wire = Wire::tcp(proxy.port());
        assert_replies(&mut wire, READS);
        for refused in [&["SREM", "wa:s", "plain"][..], &["GEOPOS", "wa:g", "plain"]] {
            let reply = wire.ask(refused);
            assert!(reply.starts_with("-READONLY "), "{refused:?}: {reply:?}");
            assert!(!reply.contains("script:"), "{refused:?}: {reply:?}");
        }
        proxy.stop();
    }
}
