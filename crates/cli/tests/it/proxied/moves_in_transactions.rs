//! Commands that move values to another record, between MULTI and EXEC, through a proxy before real servers: the replies are
//! those of a server, what is stored is sealed for the new record, and nothing is lost when someone else writes meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use waxseal_testing::RedisServer;

use super::wire::{Wire, contains};
use super::{Pair, UPSTREAMS};

/// Requests whose replies are compared with those of a server without a proxy, in order.
const REQUESTS: &[&str] = &[
    // A job is taken from a queue.
    "RPUSH wa:jobs VALUE-1 VALUE-2 VALUE-3 VALUE-4 VALUE-5",
    "MULTI",
    "RPOPLPUSH wa:jobs wa:working",
    "LMOVE wa:jobs wa:working RIGHT LEFT",
    "SET wa:last VALUE-last",
    "LMOVE wa:jobs wa:done LEFT RIGHT",
    "EXEC",
    "LRANGE wa:jobs 0 -1",
    "LRANGE wa:working 0 -1",
    "LRANGE wa:done 0 -1",
    // More than there are, and back.
    "MULTI",
    "RPOPLPUSH wa:jobs wa:working",
    "RPOPLPUSH wa:jobs wa:working",
    "LMOVE wa:jobs wa:working LEFT LEFT",
    "LMOVE wa:working wa:jobs RIGHT LEFT",
    "RPUSH wa:jobs VALUE-6",
    "LMOVE wa:jobs wa:working RIGHT RIGHT",
    "LPOP wa:working",
    "LTRIM wa:working 0 2",
    "LMOVE wa:working wa:jobs LEFT LEFT",
    "EXEC",
    "LRANGE wa:jobs 0 -1",
    "LRANGE wa:working 0 -1",
    // A record is built and put in the place of another one.
    "SADD wa:tmp VALUE-a VALUE-b",
    "SADD wa:real VALUE-old",
    "MULTI",
    "DEL wa:real",
    "SADD wa:tmp VALUE-c VALUE-a",
    "SREM wa:tmp VALUE-b",
    "RENAME wa:tmp wa:real",
    "EXPIRE wa:real 1000",
    "EXEC",
    "SMEMBERS wa:tmp",
    "SCARD wa:real",
    "SISMEMBER wa:real VALUE-c",
    "SISMEMBER wa:real VALUE-b",
    "TTL wa:real",
    "ZADD wa:z 1 VALUE-x 2 VALUE-y",
    "HSET wa:h a VALUE-a b VALUE-b",
    "MULTI",
    "ZADD wa:z GT 3 VALUE-x 4 VALUE-z",
    "ZPOPMIN wa:z",
    "COPY wa:z wa:z2",
    "HSET wa:h a VALUE-new c VALUE-c",
    "HDEL wa:h b",
    "RENAME wa:h wa:h2",
    "RENAMENX wa:h2 wa:z2",
    "RENAMENX wa:h2 wa:h3",
    "COPY wa:h3 wa:z2 REPLACE",
    "HGETALL wa:z2",
    "EXEC",
    "ZRANGE wa:z 0 -1 WITHSCORES",
    "HGETALL wa:z2",
    "EXISTS wa:h wa:h2 wa:h3",
    // Computed before and behind.
    "SET wa:count 41 EX 1000",
    "MULTI",
    "INCR wa:count",
    "RENAME wa:count wa:counted",
    "INCR wa:count",
    "INCRBY wa:counted 8",
    "SETRANGE wa:counted 4 VALUE",
    "APPEND wa:counted -x",
    "COPY wa:counted wa:copied REPLACE",
    "APPEND wa:copied -y",
    "GETRANGE wa:copied 0 -1",
    "EXEC",
    "GET wa:count",
    "GET wa:counted",
    "GET wa:copied",
    "TTL wa:counted",
    // Errors are where they were.
    "MULTI",
    "RENAME wa:none wa:real",
    "LMOVE wa:h3 wa:jobs LEFT LEFT",
    "LMOVE wa:jobs wa:h3 LEFT LEFT",
    "RPOPLPUSH wa:none wa:jobs",
    "RENAMENX wa:none wa:real",
    "COPY wa:none wa:real REPLACE",
    "RENAME wa:count wa:counted",
    "EXEC",
    "GET wa:counted",
    "LRANGE wa:jobs 0 -1",
    "MULTI",
    "RENAME wa:counted",
    "RENAME wa:counted wa:x",
    "EXEC",
    "EXISTS wa:counted",
    "MULTI",
    "RENAME wa:counted wa:x",
    "DISCARD",
    "EXISTS wa:counted",
    // Under the client's own watch.
    "WATCH wa:counted",
    "MULTI",
    "RENAME wa:counted wa:x",
    "EXEC",
    "GET wa:x",
    "WATCH wa:x",
    "SET wa:x VALUE-changed",
    "MULTI",
    "RENAME wa:x wa:y",
    "EXEC",
    "EXISTS wa:x wa:y",
    // From a record that is not protected.
    "SET other VALUE-other",
    "MULTI",
    "DEL wa:y",
    "EXPIRE other 1000",
    "RENAME other wa:y",
    "EXEC",
    "GET wa:y",
    "TTL wa:y",
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
            for (number, line) in REQUESTS.iter().enumerate() {
                let words: Vec<&str> = line.split(' ').collect();
                let (one, other) = (through.ask(&words), direct.ask(&words));
                assert_eq!(one, other, "{upstream}, request {number}: {line}");
            }
            let mut stored = Wire::tcp(pair.redis.port());
            for (name, read) in [
                ("wa:working", &["LRANGE", "wa:working", "0", "-1"][..]),
                ("wa:real", &["SMEMBERS", "wa:real"]),
                ("wa:z2", &["HGETALL", "wa:z2"]),
                ("wa:y", &["GET", "wa:y"]),
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
fn a_pipeline_is_answered_in_order() {
    let pair = Pair::start("auto");
    let mut wire = pair.wire();
    wire.ask(&["SET", "wa:1", "secret"]);
    wire.send(b"MULTI\r\nRENAME wa:1 wa:2\r\nGET wa:2\r\nEXEC\r\nGET wa:2\r\nEXISTS wa:1\r\n");
    let replies: Vec<_> = (0..6).map(|_| wire.reply()).collect();
    let expected = [
        "+OK\r\n",
        "+QUEUED\r\n",
        "+QUEUED\r\n",
        "*2\r\n+OK\r\n$6\r\nsecret\r\n",
        "$6\r\nsecret\r\n",
        ":0\r\n",
    ];
    for (reply, expected) in replies.iter().zip(expected) {
        assert_eq!(*reply, expected);
    }
}

#[test]
fn a_user_without_the_rights_is_told_which_and_loses_nothing() {
    let pair = Pair::start("auto");
    let mut wire = pair.wire();
    wire.ask(&["SADD", "wa:m", "one", "two"]);
    let before = pair.redis.cli(&["DEBUG", "DIGEST"]);
    for lacking in ["-eval", "-srem", "-sadd", "-smembers", "-watch"] {
        let user = [
            "ACL", "SETUSER", "app", "on", ">pass", "~*", "+@all", lacking,
        ];
        pair.redis.cli(&user);
        let mut app = pair.wire();
        assert_eq!(app.ask(&["AUTH", "app", "pass"]), "+OK\r\n");
        assert_eq!(app.ask(&["MULTI"]), "+OK\r\n");
        assert_eq!(app.ask(&["RENAME", "wa:m", "wa:n"]), "+QUEUED\r\n");
        let reply = app.ask(&["EXEC"]);
        assert!(reply.contains("-NOPERM "), "{lacking}: {reply:?}");
        assert_eq!(pair.redis.cli(&["DEBUG", "DIGEST"]), before, "{lacking}");
        assert_eq!(app.ask(&["PING"]), "+PONG\r\n");
    }
}

#[test]
fn nothing_is_lost_while_another_client_writes() {
    let pair = Pair::with("auto", &["--format", "sealed"]);
    let stop = AtomicBool::new(false);
    let pushed = thread::scope(|scope| {
        // At the end that is moved from, so that each push changes what was read.
        let writer = scope.spawn(|| {
            let mut wire = pair.wire();
            let mut pushed = 0_u32;
            while !stop.load(Ordering::Relaxed) {
                pushed += 1;
                let value = format!("job {pushed}");
                assert!(wire.ask(&["RPUSH", "wa:queue", &value]).starts_with(":"));
                // A list that is written all the time cannot be watched.
                thread::sleep(Duration::from_millis(2));
            }
            pushed
        });
        let movers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut wire = pair.wire();
                    let mut moved = 0;
                    while moved < 100 {
                        wire.ask(&["MULTI"]);
                        wire.ask(&["RPOPLPUSH", "wa:queue", "wa:working"]);
                        wire.ask(&["INCR", "wa:moved"]);
                        let reply = wire.ask(&["EXEC"]);
                        moved += usize::from(reply.starts_with("*2\r\n$"));
                        let gave_up = reply.starts_with("-SEALREFUSED EXEC: ");
                        assert!(gave_up || reply.starts_with("*2\r\n$"), "{reply:?}");
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
    assert_eq!(wire.ask(&["GET", "wa:moved"]), "$3\r\n200\r\n");
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
    assert!(found.iter().copied().eq(1..=pushed), "{pushed}");
    pair.proxy.stop();
}
