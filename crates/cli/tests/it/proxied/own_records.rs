//! Records whose names begin with `waxseal:` are Waxseal's own: the canary, keyrings, the quarantine,
//! keys of users. Clients of the proxy may read them, and write them only where the operator allows it.

use waxseal_testing::RedisServer;

use super::wire::Wire;
use super::{Pair, UPSTREAMS};

/// Requests that write a record of Waxseal's own, or would.
const WRITES: [&[&str]; 58] = [
    &["SET", "waxseal:text", "x"],
    &["SET", "waxseal:new", "x", "NX"],
    &["SETEX", "waxseal:text", "10", "x"],
    &["SETNX", "waxseal:new", "x"],
    &["GETSET", "waxseal:text", "x"],
    &["GETDEL", "waxseal:text"],
    &["GETEX", "waxseal:text", "EX", "10"],
    &["MSET", "open:1", "x", "waxseal:text", "x"],
    &["MSETNX", "waxseal:new", "x"],
    &["APPEND", "waxseal:text", "x"],
    &["INCR", "waxseal:new"],
    &["SETRANGE", "waxseal:text", "0", "x"],
    &["SETBIT", "waxseal:text", "0", "1"],
    &["BITOP", "NOT", "waxseal:text", "open:1"],
    &["BITFIELD", "waxseal:text", "SET", "u8", "0", "1"],
    &["PFADD", "waxseal:new", "x"],
    &["PFMERGE", "waxseal:new", "open:none"],
    &["DEL", "open:1", "waxseal:text"],
    &["UNLINK", "waxseal:canary"],
    &["EXPIRE", "waxseal:canary", "1"],
    &["PEXPIRE", "waxseal:canary", "1"],
    &["EXPIREAT", "waxseal:canary", "1"],
    &["PEXPIREAT", "waxseal:canary", "1"],
    &["PERSIST", "waxseal:mortal"],
    &["RENAME", "waxseal:text", "open:new"],
    &["RENAME", "open:1", "waxseal:text"],
    &["RENAMENX", "open:1", "waxseal:new"],
    &["COPY", "open:1", "waxseal:text", "REPLACE"],
    &["MOVE", "waxseal:text", "1"],
    &["MIGRATE", "127.0.0.1", "1", "waxseal:text", "0", "100"],
    &[
        "MIGRATE",
        "127.0.0.1",
        "1",
        "",
        "0",
        "100",
        "KEYS",
        "open:1",
        "waxseal:text",
    ],
    &["HSET", "waxseal:hash", "f", "x"],
    &["HSETNX", "waxseal:hash", "g", "x"],
    &["HDEL", "waxseal:hash", "f"],
    &["HINCRBY", "waxseal:hash", "n", "1"],
    &["LPUSH", "waxseal:list", "x"],
    &["RPUSH", "waxseal:new", "x"],
    &["LPOP", "waxseal:list"],
    &["LSET", "waxseal:list", "0", "x"],
    &["LTRIM", "waxseal:list", "1", "0"],
    &["LMOVE", "open:list", "waxseal:list", "LEFT", "LEFT"],
    &[
        "BLMOVE",
        "waxseal:list",
        "open:list",
        "LEFT",
        "LEFT",
        "0.01",
    ],
    &["RPOPLPUSH", "open:list", "waxseal:list"],
    &["BLPOP", "open:none", "waxseal:list", "0.01"],
    &["LMPOP", "1", "waxseal:list", "LEFT"],
    &["SADD", "waxseal:set", "x"],
    &["SMOVE", "open:set", "waxseal:set", "a"],
    &["SUNIONSTORE", "waxseal:set", "open:set"],
    &["ZADD", "waxseal:new", "1", "x"],
    &["ZUNIONSTORE", "waxseal:new", "1", "open:sorted"],
    &["ZRANGESTORE", "waxseal:new", "open:sorted", "0", "-1"],
    &["GEOADD", "waxseal:new", "0", "0", "x"],
    &["XADD", "waxseal:new", "*", "f", "x"],
    &["XGROUP", "CREATE", "waxseal:new", "g", "$", "MKSTREAM"],
    &["SORT", "open:list", "ALPHA", "STORE", "waxseal:list"],
    &[
        "EVAL",
        "return redis.call('DEL',KEYS[1])",
        "1",
        "waxseal:text",
    ],
    &[
        "EVAL",
        "return redis.call('DEL',KEYS[2])",
        "2",
        "open:1",
        "waxseal:text",
    ],
    &["NOSUCHCOMMAND", "open:1", "waxseal:text"],
];

/// Requests that only read them.
const READS: [&[&str]; 16] = [
    &["GET", "waxseal:canary"],
    &["MGET", "open:1", "waxseal:text"],
    &["STRLEN", "waxseal:text"],
    &["GETRANGE", "waxseal:text", "0", "3"],
    &["EXISTS", "waxseal:canary", "open:1", "waxseal:none"],
    &["TTL", "waxseal:canary"],
    &["PTTL", "waxseal:text"],
    &["TYPE", "waxseal:list"],
    &["SCAN", "0", "COUNT", "100"],
    &["SCAN", "0", "MATCH", "waxseal:*", "COUNT", "100"],
    &["KEYS", "waxseal:*"],
    &["DUMP", "waxseal:text"],
    &["HGETALL", "waxseal:hash"],
    &["LRANGE", "waxseal:list", "0", "-1"],
    &["SMEMBERS", "waxseal:set"],
    &["OBJECT", "ENCODING", "waxseal:text"],
];

/// A pair with records of both kinds.
fn pair_with(upstream: &str, flags: &[&str]) -> Pair {
    let pair = Pair::with(upstream, &[&["--workers", "1"], flags].concat());
    let mut direct = pair.redis.client();
    for words in [
        &["SET", "waxseal:text", "text"][..],
        &["SET", "waxseal:mortal", "text", "EX", "1000"],
        &["HSET", "waxseal:hash", "f", "v"],
        &["RPUSH", "waxseal:list", "a", "b"],
        &["SADD", "waxseal:set", "a"],
        &["SET", "open:1", "text"],
        &["RPUSH", "open:list", "a", "b"],
        &["SADD", "open:set", "a", "b"],
        &["ZADD", "open:sorted", "1", "a"],
    ] {
        direct.cmd(words);
    }
    pair
}

#[test]
fn requests_that_would_write_them_are_refused_and_change_nothing() {
    for upstream in UPSTREAMS {
        let pair = pair_with(upstream, &[]);
        let dump = pair
            .redis
            .client()
            .cmd(&["DUMP", "open:1"])
            .bytes()
            .unwrap();
        let restore: [&[u8]; 5] = [b"RESTORE", b"waxseal:text", b"0", &dump, b"REPLACE"];
        let mut writes: Vec<Vec<&[u8]>> = vec![restore.to_vec()];
        writes.extend(WRITES.map(|words| words.iter().map(|word| word.as_bytes()).collect()));
        let before = pair.redis.snapshot();
        for words in writes {
            let context = format!("{upstream}, {}", words.join(&b' ').escape_ascii());
            let mut wire = pair.wire();
            let reply = wire.ask(&words);
            assert!(reply.starts_with("-SEALREFUSED "), "{context}: {reply:?}");
            assert_eq!(wire.ask(&["MULTI"]), "+OK\r\n", "{context}");
            assert_eq!(wire.ask(&["SET", "open:1", "x"]), "+QUEUED\r\n");
            let reply = wire.ask(&words);
            assert!(reply.starts_with("-SEALREFUSED "), "{context}: {reply:?}");
            let reply = wire.ask(&["EXEC"]);
            assert!(reply.starts_with("-EXECABORT "), "{context}: {reply:?}");
            assert_eq!(wire.ask(&["PING"]), "+PONG\r\n", "{context}");
        }
        let moved = pair.redis.cli(&["INFO", "keyspace"]);
        assert!(!moved.contains("db1:"), "{upstream}: {moved}");
        assert!(pair.redis.snapshot() == before, "{upstream}");
    }
}

#[test]
fn they_can_be_read() {
    for upstream in UPSTREAMS {
        let pair = pair_with(upstream, &[]);
        let (mut wire, mut direct) = (pair.wire(), Wire::tcp(pair.redis.port()));
        for words in READS {
            let reply = wire.ask(words);
            assert_eq!(reply, direct.ask(words), "{upstream}: {words:?}");
            assert!(!reply.starts_with("-"), "{upstream}: {words:?}: {reply:?}");
        }
    }
}

#[test]
fn an_operator_can_allow_that_they_are_written() {
    for upstream in UPSTREAMS {
        let pair = pair_with(upstream, &["--allow-own-writes"]);
        let mut wire = pair.wire();
        for (words, reply) in [
            (&["SET", "waxseal:text", "new"][..], "+OK\r\n"),
            (&["GET", "waxseal:text"], "$3\r\nnew\r\n"),
            (&["EXPIRE", "waxseal:text", "100"], ":1\r\n"),
            (&["PERSIST", "waxseal:text"], ":1\r\n"),
            (&["RENAME", "waxseal:text", "waxseal:other"], "+OK\r\n"),
            (&["HSET", "waxseal:hash", "g", "x"], ":1\r\n"),
            (&["LPUSH", "waxseal:list", "x"], ":3\r\n"),
            (
                &[
                    "EVAL",
                    "return redis.call('DEL',KEYS[1])",
                    "1",
                    "waxseal:set",
                ],
                ":1\r\n",
            ),
            (&["MULTI"], "+OK\r\n"),
            (&["DEL", "waxseal:other"], "+QUEUED\r\n"),
            (&["EXEC"], "*1\r\n:1\r\n"),
        ] {
            assert_eq!(wire.ask(words), reply, "{upstream}: {words:?}");
        }
    }
}

#[test]
fn a_pattern_that_covers_every_name_does_not_cover_them() {
    for upstream in UPSTREAMS {
        let redis = RedisServer::start();
        let pair = Pair::before(redis, upstream, &["--protect", "*"]);
        let mut wire = pair.wire();
        assert_eq!(wire.ask(&["SET", "anything", "amatista"]), "+OK\r\n");
        let reply = wire.ask(&["SET", "waxseal:new", "amatista"]);
        assert!(reply.starts_with("-SEALREFUSED "), "{upstream}: {reply:?}");
        assert_eq!(wire.ask(&["EXISTS", "waxseal:new"]), ":0\r\n", "{upstream}");
        assert_eq!(wire.ask(&["GET", "anything"]), "$8\r\namatista\r\n");
    }
}
