//! `SORT` and `SORT_RO` through a proxy before real servers: the replies are those of a server, what is stored is sealed,
//! and nothing of another moment is stored while someone else writes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use waxseal_testing::RedisServer;

use super::wire::{Raw, Wire, contains, request};
use super::{Pair, UPSTREAMS};

/// Records that are sorted, and those that they are sorted by.
const RECORDS: &[&str] = &[
    "DEL wa:l wa:s wa:z wa:t wa:h wa:d open wa:bad wa:tie",
    "RPUSH wa:l 10 9 -1 1.5 9",
    "RPUSH wa:t VALUE-b VALUE-a VALUE-aa 7",
    "SADD wa:s 3 1 2 10",
    "ZADD wa:z 1 3 2 1 3 2 4 10",
    "RPUSH open 3 1 2 10",
    "RPUSH wa:bad 1 2 x",
    "RPUSH wa:tie 1 1.0 01 +1",
    "HSET wa:h f v",
    "MSET wa:w:1 30 wa:w:2 10 wa:w:3 20 wa:w:9 5 open:w:1 1 open:w:2 2 open:w:3 3 open:w:10 0",
    "MSET wa:text:1 z wa:text:2 y wa:text:3 x wa:text:10 VALUE-text",
    "HSET wa:o:1 name VALUE-one weight 3",
    "HSET wa:o:2 name VALUE-two weight 1",
    "HSET wa:o:3 name VALUE-three weight 2 -> arrow",
    "SET wa:o:10-> VALUE-ten",
];

/// Requests whose replies are compared with those of a server without a proxy.
const REQUESTS: &[&str] = &[
    "SORT wa:l",
    "SORT wa:l DESC",
    "SORT wa:l ALPHA",
    "SORT wa:l ALPHA DESC",
    "sort wa:l desc asc limit 1 3",
    "SORT wa:l LIMIT -3 2",
    "SORT wa:l LIMIT 2 -9",
    "SORT wa:l LIMIT 99 1",
    "SORT wa:l LIMIT 1 0",
    "SORT wa:l LIMIT 0 1 LIMIT 1 9223372036854775807",
    "SORT wa:l BY nosort",
    "SORT wa:l BY nosort DESC LIMIT 1 2",
    "SORT wa:l GET #",
    "SORT wa:l GET # GET constant GET #",
    "SORT wa:t ALPHA",
    "SORT wa:t",
    "SORT wa:bad LIMIT 0 1",
    "SORT wa:tie",
    "SORT wa:tie DESC",
    "SORT wa:s",
    "SORT wa:s DESC LIMIT 1 2",
    "SORT wa:s ALPHA",
    "SORT wa:z",
    "SORT wa:z DESC ALPHA",
    "SORT wa:z BY nosort",
    "SORT wa:z BY nosort DESC",
    "SORT wa:z BY nosort LIMIT 1 2",
    "SORT wa:z BY nosort DESC LIMIT 1 9",
    "SORT wa:none",
    "SORT wa:none BY wa:w:* GET wa:w:*",
    "SORT wa:h",
    "SORT wa:h BY wa:w:*",
    "SORT wa:s BY wa:w:*",
    "SORT wa:s BY wa:w:* DESC",
    "SORT wa:z BY wa:w:* LIMIT 1 2",
    "SORT wa:s BY open:w:*",
    "SORT open BY wa:w:*",
    "SORT wa:s BY wa:text:* ALPHA",
    "SORT wa:s BY wa:text:* ALPHA DESC LIMIT 0 2",
    "SORT wa:s BY wa:text:*",
    "SORT wa:s BY wa:o:*->weight",
    "SORT wa:s BY wa:o:*->weight GET # GET wa:o:*->name GET wa:w:* GET open:w:*",
    "SORT wa:s BY nosort GET wa:o:*->-> LIMIT 0 0",
    "SORT wa:z BY nosort GET wa:o:*->-> GET wa:o:*-> GET wa:l* GET wa:h*->f",
    "SORT open GET wa:o:*->name GET #",
    "SORT wa:s GET wa:w:* LIMIT 1 2",
    "SORT wa:l BY wa:l* GET wa:h",
    // Stored.
    "SORT wa:l STORE wa:d",
    "LRANGE wa:d 0 -1",
    "SORT wa:s BY nosort STORE wa:d",
    "LRANGE wa:d 0 -1",
    "SORT wa:s BY nosort DESC STORE wa:d",
    "LRANGE wa:d 0 -1",
    "SORT wa:s BY wa:w:* GET # GET wa:o:*->name STORE wa:d",
    "LRANGE wa:d 0 -1",
    "EXPIRE wa:d 1000",
    "SORT open GET # STORE wa:d",
    "LRANGE wa:d 0 -1",
    "TTL wa:d",
    "SORT wa:t ALPHA STORE wa:t",
    "LRANGE wa:t 0 -1",
    "SORT wa:l LIMIT 9 9 STORE wa:d",
    "EXISTS wa:d",
    "SORT wa:none STORE wa:d",
    "SET wa:string v",
    "SORT wa:l ALPHA STORE wa:string",
    "LRANGE wa:string 0 -1",
    "SORT wa:none STORE wa:string",
    "EXISTS wa:string",
    "SORT wa:bad STORE wa:d",
    "EXISTS wa:d",
    "SORT wa:h STORE wa:d",
    "SORT open STORE wa:d",
    "LRANGE wa:d 0 -1",
    "SORT wa:s BY nosort GET open:w:* STORE opened",
    "LLEN opened",
    "SORT wa:s STORE wa:none STORE wa:d",
    "LRANGE wa:d 0 -1",
    // Refused by servers.
    "SORT",
    "SORT wa:l LIMIT 1",
    "SORT wa:l LIMIT 0 x",
    "SORT wa:l LIMIT x 1 BY",
    "SORT wa:l STORE",
    "SORT wa:l GET",
    "SORT_RO wa:l STORE",
    // In a transaction.
    "MULTI",
    "SORT wa:l DESC LIMIT 0 2",
    "INCR wa:count",
    "SORT wa:z BY nosort GET #",
    "SORT wa:h",
    "EXEC",
    "GET wa:count",
];

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

#[test]
fn replies_are_those_of_a_server() {
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
            for line in RECORDS.iter().chain(REQUESTS) {
                let words = words(line);
                let (here, there) = (through.ask(&words), direct.ask(&words));
                assert_eq!(here, there, "{upstream} {line}");
                if line.starts_with("SORT wa:") && !line.contains("STORE") {
                    let read: Vec<&str> = [&["SORT_RO"], &words[1..]].concat();
                    assert_eq!(through.ask(&read), direct.ask(&read), "{upstream} {line}");
                }
            }
        }
        let mut stored = Wire::tcp(pair.redis.port());
        let list = stored.ask(&["LRANGE", "wa:d", "0", "-1"]);
        assert!(list.starts_with("*4\r\n") && list.0.len() > 200, "{list:?}");
        assert!(!contains(&list.0, b"\r\n10\r\n"), "{list:?}");
        pair.proxy.stop();
    }
}

#[test]
fn what_is_protected_does_not_become_plain() {
    let pair = Pair::with("auto", &["--format", "sealed"]);
    let mut wire = pair.wire();
    for line in RECORDS {
        wire.ask(&words(line));
    }
    for refused in [
        "SORT wa:l STORE opened",
        "SORT wa:l GET # STORE opened",
        "SORT open GET wa:w:* STORE opened",
        "SORT wa:l NEW",
    ] {
        let reply = wire.ask(&words(refused));
        assert!(
            reply.starts_with("-SEALREFUSED SORT "),
            "{refused}: {reply:?}"
        );
    }
    assert_eq!(wire.ask(&["EXISTS", "opened"]), ":0\r\n");
    wire.ask(&["MULTI"]);
    for refused in [
        "SORT wa:l STORE wa:d",
        "SORT wa:l BY wa:w:*",
        "SORT open GET wa:w:*",
    ] {
        let reply = wire.ask(&words(refused));
        assert!(
            reply.contains("outside MULTI and EXEC"),
            "{refused}: {reply:?}"
        );
    }
    assert!(wire.ask(&["EXEC"]).starts_with("-EXECABORT"));
    // An element that does not open.
    pair.redis.cli(&["COPY", "wa:l", "wa:moved"]);
    for line in [
        "SORT wa:moved",
        "SORT wa:moved STORE wa:d",
        "SORT open BY nosort GET wa:mo*",
    ] {
        let reply = wire.ask(&words(line));
        let is_error = reply.starts_with("-SEALBROKEN SORT") || line.contains("GET");
        assert!(is_error, "{line}: {reply:?}");
    }
    pair.redis.cli(&["COPY", "wa:w:1", "wa:w:10"]);
    let reply = wire.ask(&words("SORT wa:s BY wa:w:*"));
    assert!(reply.starts_with("-SEALBROKEN SORT"), "{reply:?}");
}

#[test]
fn replies_that_are_not_wanted_are_not_sent() {
    let pair = Pair::with("auto", &["--format", "sealed"]);
    let mut wire = pair.wire();
    for line in RECORDS {
        wire.ask(&words(line));
    }
    for line in [
        "CLIENT REPLY OFF",
        "SORT wa:s BY wa:w:* STORE wa:d",
        "SORT wa:s",
        "CLIENT REPLY ON",
    ] {
        wire.send(&request(&words(line)));
    }
    assert_eq!(wire.reply(), "+OK\r\n");
    assert_eq!(wire.ask(&["LLEN", "wa:d"]), ":4\r\n");
}

#[test]
fn large_records_are_sorted_and_too_large_ones_are_refused() {
    let pair = Pair::with("shared", &["--max-value", "1MiB", "--format", "sealed"]);
    let plain = RedisServer::start();
    let (mut through, mut direct) = (pair.wire(), Wire::tcp(plain.port()));
    let ask = |wire: &mut Wire, line: &str| wire.ask(&words(line));
    let numbers: Vec<String> = (0..3000)
        .map(|number| (number * 7919 % 3001).to_string())
        .collect();
    let elements: Vec<&str> = numbers.iter().map(String::as_str).collect();
    for wire in [&mut through, &mut direct] {
        wire.ask(&[&["RPUSH", "wa:l"], &elements[..]].concat());
        for number in (0..3000).step_by(3) {
            ask(wire, &format!("SET wa:w:{number} {}", number % 50));
        }
    }
    for line in [
        "SORT wa:l",
        "SORT wa:l BY wa:w:*",
        "SORT wa:l BY wa:w:* LIMIT 0 10 GET # GET wa:w:*",
        "SORT wa:l BY wa:w:* DESC STORE wa:d",
        "LRANGE wa:d 0 -1",
    ] {
        assert_eq!(ask(&mut through, line), ask(&mut direct, line), "{line}");
    }
    let more = ["GET #"; 40].join(" ");
    let value = "9".repeat(200_000);
    for (line, word) in [
        (format!("SORT wa:l {more}"), "--max-value"),
        (format!("SORT wa:l BY wa:{value}*"), "--max-value"),
    ] {
        let reply = ask(&mut through, &line);
        assert!(
            reply.starts_with("-SEALREFUSED SORT"),
            "{:.40}: {reply:?}",
            line
        );
        assert!(reply.contains(word), "{:.40}: {reply:?}", line);
    }
    for _ in 0..8 {
        through.ask(&["RPUSH", "wa:large", &value]);
    }
    let reply = ask(&mut through, "SORT wa:large STORE wa:d");
    assert!(reply.contains("--max-value"), "{reply:?}");
    assert_eq!(ask(&mut through, "LLEN wa:d"), ":3000\r\n");
}

#[test]
fn a_user_without_the_rights_is_told_which_and_loses_nothing() {
    let pair = Pair::with("auto", &["--format", "sealed"]);
    let mut wire = pair.wire();
    for line in RECORDS {
        wire.ask(&words(line));
    }
    wire.ask(&["RPUSH", "wa:d", "before"]);
    let before = pair.redis.cli(&["DEBUG", "DIGEST"]);
    for lacking in ["-eval", "-type", "-get", "-rpush", "-sort"] {
        let user = [
            "ACL", "SETUSER", "app", "on", ">pass", "~*", "+@all", lacking,
        ];
        pair.redis.cli(&user);
        let mut app = pair.wire();
        assert_eq!(app.ask(&["AUTH", "app", "pass"]), "+OK\r\n");
        let reply = app.ask(&words("SORT wa:s BY wa:w:* STORE wa:d"));
        assert!(reply.starts_with("-NOPERM SORT"), "{lacking}: {reply:?}");
        assert_eq!(pair.redis.cli(&["DEBUG", "DIGEST"]), before, "{lacking}");
    }
    // Another user's records.
    let user = [
        "ACL", "SETUSER", "near", "on", ">pass", "~wa:s", "~wa:d", "+@all",
    ];
    pair.redis.cli(&user);
    let mut near = pair.wire();
    assert_eq!(near.ask(&["AUTH", "near", "pass"]), "+OK\r\n");
    let reply = near.ask(&words("SORT wa:s GET wa:w:*"));
    assert!(reply.starts_with("-NOPERM SORT"), "{reply:?}");
    assert_eq!(near.ask(&words("SORT wa:s STORE wa:d")), ":4\r\n");
}

/// The elements of a reply that is an array of strings.
fn elements(reply: &Raw) -> Vec<i64> {
    let text = String::from_utf8(reply.0.clone()).unwrap();
    let mut lines = text.split("\r\n");
    assert!(lines.next().unwrap().starts_with('*'), "{text}");
    let mut numbers = Vec::new();
    while let (Some(_), Some(number)) = (lines.next(), lines.next()) {
        numbers.push(number.parse().unwrap());
    }
    numbers
}

#[test]
fn what_is_stored_was_there_at_one_moment() {
    for upstream in ["shared", "own"] {
        let pair = Pair::with(upstream, &["--format", "sealed"]);
        let mut wire = pair.wire();
        wire.ask(&["MSET", "wa:w:1", "0", "wa:w:2", "0"]);
        wire.ask(&["RPUSH", "wa:l", "1", "2"]);
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            // Both weights are always equal, and so is every element to its neighbour.
            scope.spawn(|| {
                let mut wire = pair.wire();
                let mut number = 0_u32;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    let weight = number.to_string();
                    let reply = wire.ask(&["MSET", "wa:w:1", &weight, "wa:w:2", &weight]);
                    assert_eq!(reply, "+OK\r\n");
                    thread::yield_now();
                }
            });
            let sorters: Vec<_> = (0..2)
                .map(|sorter| {
                    let pair = &pair;
                    scope.spawn(move || {
                        let mut wire = pair.wire();
                        let list = format!("wa:d{sorter}");
                        let mut stored = 0;
                        for _ in 0..150 {
                            let line = format!("SORT wa:l BY nosort GET wa:w:* STORE {list}");
                            let reply = wire.ask(&words(&line));
                            if reply.contains("was changed each time") {
                                continue;
                            }
                            assert_eq!(reply, ":2\r\n");
                            stored += 1;
                            let weights = elements(&wire.ask(&["LRANGE", &list, "0", "-1"]));
                            assert_eq!(weights.len(), 2);
                            assert_eq!(weights[0], weights[1], "{upstream}");
                        }
                        stored
                    })
                })
                .collect();
            for sorter in sorters {
                assert!(sorter.join().unwrap() > 0, "{upstream}");
            }
            stop.store(true, Ordering::Relaxed);
        });
        pair.proxy.stop();
    }
}
