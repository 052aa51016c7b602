//! Commands that move or copy values to another record, through a proxy before real servers: the replies are those of a
//! server, what is stored is sealed for the new record, and nothing is lost when someone else writes meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use waxseal_testing::RedisServer;

use super::wire::{Wire, contains};
use super::{Pair, UPSTREAMS};

/// Requests whose replies are compared with those of a server without a proxy, in order.
const REQUESTS: &[&str] = &[
    "SET wa:s VALUE-s EX 1000",
    "RENAME wa:s wa:t",
    "GET wa:t",
    "TTL wa:t",
    "EXISTS wa:s",
    "RENAME wa:none wa:t",
    "RENAMENX wa:none wa:t",
    "COPY wa:none wa:u",
    "RENAME wa:t wa:t",
    "RENAMENX wa:t wa:t",
    "COPY wa:t wa:u",
    "COPY wa:t wa:u",
    "COPY wa:t wa:u REPLACE",
    "COPY wa:t wa:t",
    "RENAME wa:t",
    "RENAME wa:t wa:u wa:v",
    "GET wa:u",
    "TTL wa:u",
    "SET wa:free VALUE-free",
    "RENAMENX wa:t wa:free",
    "RENAMENX wa:t wa:t2",
    "GET wa:t2",
    "HSET wa:h a VALUE-a b VALUE-b c VALUE-c",
    "PEXPIRE wa:h 1000000",
    "RENAME wa:h wa:h2",
    "HMGET wa:h2 a b c d",
    "HLEN wa:h2",
    "TTL wa:h2",
    "RPUSH wa:l VALUE-1 VALUE-2 VALUE-3",
    "RENAME wa:l wa:l2",
    "LRANGE wa:l2 0 -1",
    "COPY wa:l2 wa:l",
    "LRANGE wa:l 0 -1",
    "SADD wa:m VALUE-m",
    "RENAME wa:m wa:m2",
    "SMEMBERS wa:m2",
    "SISMEMBER wa:m2 VALUE-m",
    "ZADD wa:z 1.5 VALUE-x 2 VALUE-y inf VALUE-z",
    "COPY wa:z wa:z2",
    "ZRANGE wa:z2 0 -1 WITHSCORES",
    "ZSCORE wa:z2 VALUE-y",
    "ZRANGE wa:z 0 -1 WITHSCORES",
    "LMOVE wa:l wa:q LEFT RIGHT",
    "LMOVE wa:l wa:q RIGHT LEFT",
    "RPOPLPUSH wa:l wa:q",
    "RPOPLPUSH wa:l wa:q",
    "LRANGE wa:q 0 -1",
    "LMOVE wa:q wa:q LEFT RIGHT",
    "LRANGE wa:q 0 -1",
    "LMOVE wa:q wa:h2 LEFT RIGHT",
    "LMOVE wa:h2 wa:q LEFT RIGHT",
    "LRANGE wa:q 0 -1",
    "SET other VALUE-plain",
    "RENAME other wa:sealed",
    "GET wa:sealed",
    "SET wa:v VALUE-v",
    "SET wa:w VALUE-w PX 1000000",
    "RENAME wa:v wa:w",
    "GET wa:w",
    "TTL wa:w",
];

#[test]
fn replies_are_those_of_a_server_and_values_are_sealed_for_the_new_record() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--format", "sealed"]);
        let plain = RedisServer::start();
        for resp3 in [false, true] {
            let (mut through, mut direct) = (pair.wire(), Wire::tcp(plain.port()));
            if resp3 {
                (through, direct) = (through.resp3(), direct.resp3());
            }
            direct.ask(&["FLUSHALL"]);
            pair.redis.cli(&["FLUSHALL"]);
            for line in REQUESTS {
                let words: Vec<&str> = line.split(' ').collect();
                assert_eq!(through.ask(&words), direct.ask(&words), "{upstream} {line}");
            }
            let mut stored = Wire::tcp(pair.redis.port());
            for (name, read) in [
                ("wa:t2", &["GET", "wa:t2"][..]),
                ("wa:h2", &["HGETALL", "wa:h2"]),
                ("wa:l2", &["LRANGE", "wa:l2", "0", "-1"]),
                ("wa:m2", &["SMEMBERS", "wa:m2"]),
                ("wa:z2", &["ZRANGE", "wa:z2", "0", "-1"]),
                ("wa:sealed", &["GET", "wa:sealed"]),
            ] {
                let here = stored.ask(read);
                assert!(here.0.len() > 30, "{name}: {here:?}");
                assert!(!contains(&here.0, b"VALUE"), "{name}: {here:?}");
            }
        }
        pair.proxy.stop();
    }
}

#[test]
fn protected_values_do_not_move_to_a_record_that_is_not_protected() {
    let pair = Pair::start("auto");
    let mut wire = pair.wire();
    wire.ask(&["SET", "wa:1", "secret"]);
    wire.ask(&["RPUSH", "wa:l", "secret"]);
    for refused in [
        &["RENAME", "wa:1", "other"][..],
        &["RENAMENX", "wa:1", "other"],
        &["COPY", "wa:1", "other"],
        &["COPY", "wa:1", "other", "REPLACE"],
        &["COPY", "wa:1", "wa:2", "DB", "1"],
        &["LMOVE", "wa:l", "other", "LEFT", "LEFT"],
        &["RPOPLPUSH", "wa:l", "other"],
        &["BLMOVE", "wa:l", "wa:m", "LEFT", "LEFT", "0.01"],
        &["BRPOPLPUSH", "wa:l", "wa:m", "0.01"],
    ] {
        let reply = wire.ask(refused);
        assert!(reply.starts_with("-SEALREFUSED"), "{refused:?}: {reply:?}");
    }
    assert_eq!(wire.ask(&["GET", "wa:1"]), "$6\r\nsecret\r\n");
    assert_eq!(wire.ask(&["EXISTS", "other"]), ":0\r\n");
    assert_eq!(wire.ask(&["LLEN", "wa:l"]), ":1\r\n");
}

#[test]
fn what_cannot_be_moved_is_refused_and_stays() {
    let pair = Pair::with("auto", &["--max-value", "1MiB", "--format", "sealed"]);
    let mut wire = pair.wire();
    // A value that does not open here: moved by someone at the server.
    wire.ask(&["SET", "wa:1", "secret"]);
    pair.redis.cli(&["COPY", "wa:1", "wa:2"]);
    let stored = pair.redis.cli(&["DUMP", "wa:2"]);
    let reply = wire.ask(&["RENAME", "wa:2", "wa:3"]);
    assert!(reply.starts_with("-SEALBROKEN"), "{reply:?}");
    assert_eq!(pair.redis.cli(&["DUMP", "wa:2"]), stored);
    // A stream.
    pair.redis.cli(&["XADD", "wa:x", "*", "f", "v"]);
    let reply = wire.ask(&["RENAME", "wa:x", "wa:y"]);
    assert!(reply.starts_with("-SEALREFUSED"), "{reply:?}");
    assert!(reply.contains("another type"), "{reply:?}");
    // Larger than a reply may be.
    let value = "v".repeat(600_000);
    for field in ["a", "b", "c"] {
        wire.ask(&["HSET", "wa:large", field, &value]);
    }
    let reply = wire.ask(&["RENAME", "wa:large", "wa:y"]);
    assert!(reply.contains("nothing has moved"), "{reply:?}");
    assert_eq!(wire.ask(&["EXISTS", "wa:large", "wa:x", "wa:y"]), ":2\r\n");
    // Of so many values that moving them would hold up the server.
    for (number, kind) in ["RPUSH", "SADD", "ZADD", "HSET"].into_iter().enumerate() {
        let name = format!("wa:many{number}");
        let value = |at: usize| match kind {
            "ZADD" | "HSET" => vec![at.to_string(), at.to_string()],
            _ => vec![at.to_string()],
        };
        let words = [kind.to_owned(), name.clone()].into_iter();
        let words: Vec<String> = words.chain((0..5300).flat_map(value)).collect();
        Wire::tcp(pair.redis.port()).ask(&words);
        let reply = wire.ask(&["COPY", &name, "wa:y"]);
        assert!(reply.contains("more than 5242 values"), "{kind}: {reply:?}");
    }
    assert_eq!(wire.ask(&["EXISTS", "wa:y"]), ":0\r\n");
    // In a transaction what can be moved is.
    wire.ask(&["MULTI"]);
    for request in [
        &["RENAME", "wa:2", "wa:3"][..],
        &["RENAME", "wa:x", "wa:y"],
        &["RENAME", "wa:1", "wa:4"],
    ] {
        assert_eq!(wire.ask(request), "+QUEUED\r\n");
    }
    let reply = wire.ask(&["EXEC"]);
    for told in ["-SEALBROKEN RENAME: ", "of another type: ", "+OK\r\n"] {
        assert!(reply.contains(told), "{reply:?}");
    }
    assert_eq!(wire.ask(&["GET", "wa:4"]), "$6\r\nsecret\r\n");
    assert_eq!(wire.ask(&["EXISTS", "wa:2", "wa:x"]), ":2\r\n");
    wire.ask(&["MULTI"]);
    wire.ask(&["RENAME", "wa:large", "wa:y"]);
    let reply = wire.ask(&["EXEC"]);
    assert!(reply.contains("--max-value"), "{reply:?}");
    assert_eq!(wire.ask(&["EXISTS", "wa:large", "wa:y"]), ":1\r\n");
}

#[test]
fn a_long_list_keeps_its_order_and_lifetime() {
    let pair = Pair::with("auto", &["--format", "sealed"]);
    let mut wire = pair.wire();
    let numbers = (0..2500).map(|number| number.to_string());
    let words = ["RPUSH".to_owned(), "wa:l".to_owned()].into_iter();
    wire.ask(&words.chain(numbers).collect::<Vec<_>>());
    wire.ask(&["EXPIRE", "wa:l", "1000"]);
    let before = wire.ask(&["LRANGE", "wa:l", "0", "-1"]);
    assert_eq!(wire.ask(&["RENAME", "wa:l", "wa:m"]), "+OK\r\n");
    assert_eq!(wire.ask(&["COPY", "wa:m", "wa:n"]), ":1\r\n");
    for name in ["wa:m", "wa:n"] {
        assert_eq!(wire.ask(&["LRANGE", name, "0", "-1"]), before, "{name}");
        assert!(!wire.ask(&["TTL", name]).starts_with(":-"), "{name}");
    }
}

#[test]
fn a_user_without_the_rights_is_told_which_and_loses_nothing() {
    let pair = Pair::start("auto");
    let mut wire = pair.wire();
    wire.ask(&["SADD", "wa:m", "one", "two"]);
    wire.ask(&["SET", "wa:1", "secret"]);
    wire.ask(&["RPUSH", "wa:l", "one", "two"]);
    let before = pair.redis.cli(&["DEBUG", "DIGEST"]);
    for (name, lacking) in [
        ("wa:m", "-eval"),
        ("wa:m", "-srem"),
        ("wa:m", "-sadd"),
        ("wa:m", "-smembers"),
        ("wa:m", "-scard"),
        ("wa:l", "-lset"),
        ("wa:l", "-rpush"),
        ("wa:l", "-ltrim"),
    ] {
        let user = [
            "ACL", "SETUSER", "app", "on", ">pass", "~*", "+@all", lacking,
        ];
        pair.redis.cli(&user);
        let mut app = pair.wire();
        assert_eq!(app.ask(&["AUTH", "app", "pass"]), "+OK\r\n");
        let reply = app.ask(&["RENAME", name, "wa:n"]);
        assert!(reply.starts_with("-NOPERM RENAME"), "{lacking}: {reply:?}");
        assert_eq!(pair.redis.cli(&["DEBUG", "DIGEST"]), before, "{lacking}");
    }
}

#[test]
fn nothing_is_lost_while_another_client_writes() {
    for upstream in ["shared", "own"] {
        let pair = Pair::with(upstream, &["--format", "sealed"]);
        let stop = AtomicBool::new(false);
        let pushed = thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut wire = pair.wire();
                let mut pushed = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    pushed += 1;
                    let value = format!("job {pushed}");
                    assert!(wire.ask(&["LPUSH", "wa:queue", &value]).starts_with(":"));
                }
                pushed
            });
            let movers: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let mut wire = pair.wire();
                        for _ in 0..200 {
                            let reply = wire.ask(&["RPOPLPUSH", "wa:queue", "wa:working"]);
                            assert!(reply.starts_with("$"), "{reply:?}");
                        }
                    })
                })
                .collect();
            for mover in movers {
                mover.join().unwrap();
            }
            stop.store(true, Ordering::Relaxed);
            writer.join().unwrap()
        });
        let mut wire = pair.wire();
        let mut found = Vec::new();
        for list in ["wa:queue", "wa:working"] {
            loop {
                let reply = wire.ask(&["RPOP", list]);
                if reply == "$-1\r\n" {
                    break;
                }
                let text = String::from_utf8(reply.0).unwrap();
                let (_, number) = text.trim_end().rsplit_once(' ').unwrap();
                found.push(number.parse::<u32>().unwrap());
            }
        }
        found.sort_unstable();
        assert!(found.iter().copied().eq(1..=pushed), "{upstream}: {pushed}");
        pair.proxy.stop();
    }
}
