//! Commands that compute on protected values, through a proxy before real servers: the replies are those of a server, and
//! what is stored is sealed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use waxseal_testing::RedisServer;

use super::wire::{Wire, contains, request};
use super::{Pair, UPSTREAMS, proxy_before};
use crate::proxy::Proxy;

/// Requests whose replies are compared with those of a server without a proxy, in order.
const REQUESTS: &[&str] = &[
    "INCR wa:1",
    "INCRBY wa:1 41",
    "DECR wa:1",
    "DECRBY wa:1 100",
    "GET wa:1",
    "INCRBYFLOAT wa:1 0.1",
    "INCRBYFLOAT wa:1 0.2",
    "INCR wa:1",
    "GET wa:1",
    "INCRBY wa:1 x",
    "INCR wa:1 2",
    "INCR",
    "APPEND wa:2 abc",
    "APPEND wa:2 def",
    "GET wa:2",
    "SETRANGE wa:2 8 x",
    "GETRANGE wa:2 0 -1",
    "STRLEN wa:2",
    "SETRANGE wa:2 -1 x",
    "SETRANGE wa:none 5 ",
    "EXISTS wa:none",
    "SETBIT wa:3 7 1",
    "SETBIT wa:3 100 1",
    "SETBIT wa:3 100 2",
    "GETBIT wa:3 7",
    "GETBIT wa:3 8",
    "BITCOUNT wa:3",
    "BITCOUNT wa:3 0 0",
    "BITPOS wa:3 1",
    "BITPOS wa:3 1 1",
    "BITFIELD wa:3 INCRBY u8 8 200 GET u4 0",
    "BITFIELD wa:3 OVERFLOW SAT INCRBY u8 8 200",
    "BITFIELD wa:3 OVERFLOW FAIL INCRBY u8 8 200",
    "BITFIELD wa:3 GET u8 8",
    "BITFIELD_RO wa:3 GET u8 8",
    "BITFIELD wa:3 INCRBY u99 8 200",
    "GET wa:3",
    "SET wa:4 ohmytext",
    "SET wa:5 mynewtext",
    "LCS wa:4 wa:5",
    "LCS wa:4 wa:5 LEN",
    "LCS wa:4 wa:5 IDX MINMATCHLEN 4 WITHMATCHLEN",
    "LCS wa:4 other",
    "HSET wa:h f 5",
    "HINCRBY wa:h f 2",
    "HINCRBY wa:h g -2",
    "HINCRBYFLOAT wa:h f 1.5",
    "HINCRBY wa:h f 1",
    "HGETALL wa:h",
    "HINCRBY wa:1 f 1",
    "INCR wa:h",
    "APPEND wa:h x",
    "GETBIT wa:h 0",
    "SET wa:6 5 EX 1000",
    "INCR wa:6",
    "TTL wa:6",
    "SETEX wa:7 1000 5",
    "APPEND wa:7 0",
    "TTL wa:7",
    "SET wa:8 9223372036854775807",
    "INCR wa:8",
    "SET wa:9 5 IFEQ 5",
    "EXISTS wa:8 wa:9",
];

#[test]
fn replies_are_those_of_a_server_and_what_is_stored_is_sealed() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1", "--format", "sealed"]);
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
            for name in ["wa:1", "wa:2", "wa:3", "wa:6", "wa:7"] {
                let here = stored.ask(&["GET", name]);
                assert!(
                    contains(&here.0, b"WAXSEAL") || here.0.len() > 40,
                    "{name}: {here:?}"
                );
                assert_ne!(here, direct.ask(&["GET", name]));
            }
        }
        pair.proxy.stop();
    }
}

/// Increments a counter so many times over one connection.
fn increment(port: u16, name: &str, times: usize) {
    let mut wire = Wire::tcp(port);
    for _ in 0..times {
        let reply = wire.ask(&["INCR", name]);
        assert!(reply.starts_with(":"), "{reply:?}");
    }
}

#[test]
fn many_clients_count_exactly_through_one_proxy_and_through_two() {
    const CLIENTS: usize = 25;
    const TIMES: usize = 100;
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "2"]);
        let second = proxy_before(&pair.redis.url(), upstream, &["--workers", "1"]);
        let ports = [pair.proxy.port(), second.port()];
        thread::scope(|scope| {
            for client in 0..CLIENTS * 2 {
                scope.spawn(move || increment(ports[client % 2], "wa:count", TIMES));
            }
        });
        let mut wire = pair.wire();
        let total = (CLIENTS * 2 * TIMES).to_string();
        assert_eq!(
            wire.ask(&["GET", "wa:count"]),
            *super::wire::bulk(&total).as_str(),
            "{upstream}"
        );
        second.stop();
        pair.proxy.stop();
    }
}

/// Sets a flag when it is dropped, also by a test that fails.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn clients_that_go_away_while_others_count_hold_nobody_up() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "2"]);
        let port = pair.proxy.port();
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let leaving = || {
                while !done.load(Ordering::Relaxed) {
                    let mut wire = Wire::tcp(port);
                    wire.send(&request(&["INCR", "wa:count"]).repeat(3));
                    // Not more of them than the proxy serves: it would be busy with connections alone.
                    let _ = wire.try_reply();
                }
            };
            for _ in 0..3 {
                scope.spawn(leaving);
            }
            let _end = SetAtEnd(&done);
            let mut wire = pair.wire();
            let mut last = 0_u64;
            // One that nobody answers ends the test.
            for _ in 0..100 {
                let reply = wire.ask(&["INCR", "wa:count"]);
                let number = String::from_utf8_lossy(&reply.0[1..]).trim().to_owned();
                let number: u64 = number.parse().unwrap_or_else(|_| panic!("{reply:?}"));
                assert!(number > last);
                last = number;
            }
        });
        pair.proxy.stop();
    }
}

#[test]
fn a_user_without_the_rights_is_told_which_it_needs() {
    let pair = Pair::start("own");
    let mut direct = Wire::tcp(pair.redis.port());
    for (user, rights, line) in [
        ("reader", "+get", "INCR wa:1"),
        ("scripter", "+eval", "INCR wa:1"),
        ("writer", "+set +get", "APPEND wa:1 x"),
        ("fielder", "+hset", "HINCRBY wa:2 f 1"),
    ] {
        let mut words = vec![
            "ACL", "SETUSER", user, "on", ">pw", "~*", "+incr", "+append",
        ];
        words.extend(rights.split(' '));
        assert_eq!(direct.ask(&words), "+OK\r\n");
        let mut wire = pair.wire();
        assert_eq!(wire.ask(&["AUTH", user, "pw"]), "+OK\r\n");
        let words: Vec<&str> = line.split(' ').collect();
        let reply = wire.ask(&words);
        let command = words[0];
        assert!(
            reply.starts_with(&format!(
                "-NOPERM {command}: the value is read, computed by this proxy"
            )),
            "{user}: {reply:?}"
        );
        assert_eq!(direct.ask(&["EXISTS", "wa:1", "wa:2"]), ":0\r\n");
    }
    let mut wire = pair.wire();
    let rights = [
        "ACL", "SETUSER", "all", "on", ">pw", "~*", "+get", "+set", "+eval",
    ];
    assert_eq!(direct.ask(&rights), "+OK\r\n");
    assert_eq!(wire.ask(&["AUTH", "all", "pw"]), "+OK\r\n");
    assert_eq!(wire.ask(&["INCR", "wa:1"]), ":1\r\n");
    pair.proxy.stop();
}

#[test]
fn a_server_that_goes_away_in_the_middle_leaves_no_client_waiting() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "2"]);
        let port = pair.proxy.port();
        thread::scope(|scope| {
            let clients: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(move || {
                        let mut wire = Wire::tcp(port);
                        let ask = request(&["INCR", "wa:count"]);
                        while wire.try_send(&ask).is_ok() && wire.try_reply().is_ok() {}
                    })
                })
                .collect();
            let mut direct = Wire::tcp(pair.redis.port());
            while !direct.ask(&["EXISTS", "wa:count"]).starts_with(":1") {}
            direct.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            direct.send(&request(&["SHUTDOWN", "NOSAVE"]));
            for client in clients {
                client.join().unwrap();
            }
        });
        Proxy::stop(pair.proxy);
    }
}

/// Transactions whose replies are compared with those of a server without a proxy.
const TRANSACTIONS: &[&[&str]] = &[
    &[
        "MULTI",
        "INCR wa:1",
        "EXPIRE wa:1 100",
        "EXEC",
        "TTL wa:1",
        "GET wa:1",
    ],
    &[
        "MULTI",
        "SET wa:2 5 EX 100",
        "INCR wa:2",
        "INCRBY wa:2 4",
        "APPEND wa:2 0",
        "GET wa:2",
        "EXEC",
        "TTL wa:2",
    ],
    &[
        "MULTI",
        "HSET wa:h f 5",
        "HINCRBY wa:h f 2",
        "HINCRBY wa:h g 1",
        "HGETALL wa:h",
        "EXEC",
    ],
    &[
        "MULTI",
        "INCR wa:h",
        "GETBIT wa:2 1",
        "LCS wa:2 wa:1",
        "INCRBY wa:1 x",
        "EXEC",
    ],
    &["MULTI", "INCR wa:1", "INCR wa:1 2", "EXEC", "GET wa:1"],
    &[
        "MULTI",
        "DEL wa:1",
        "INCR wa:1",
        "DEL wa:1",
        "EXEC",
        "EXISTS wa:1",
    ],
    &[
        "WATCH wa:2",
        "GET wa:2",
        "MULTI",
        "SET wa:3 x",
        "INCR wa:2",
        "EXEC",
        "GET wa:2",
        "GET wa:3",
    ],
    &[
        "WATCH wa:2",
        "SET wa:2 7",
        "MULTI",
        "INCR wa:2",
        "EXEC",
        "GET wa:2",
        "MULTI",
        "INCR wa:2",
        "EXEC",
    ],
    &[
        "WATCH wa:2",
        "MULTI",
        "INCR wa:2",
        "DISCARD",
        "GET wa:2",
        "EXEC",
    ],
    &[
        "WATCH wa:2",
        "MULTI",
        "MULTI",
        "PING",
        "EXEC",
        "UNWATCH",
        "DISCARD",
    ],
];

#[test]
fn transactions_answer_like_those_of_a_server() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1", "--format", "sealed"]);
        let plain = RedisServer::start();
        for resp3 in [false, true] {
            let (mut through, mut direct) = (pair.wire(), Wire::tcp(plain.port()));
            if resp3 {
                (through, direct) = (through.resp3(), direct.resp3());
            }
            direct.ask(&["FLUSHALL"]);
            pair.redis.cli(&["FLUSHALL"]);
            for lines in TRANSACTIONS {
                let bytes: Vec<u8> = lines
                    .iter()
                    .flat_map(|line| request(&line.split(' ').collect::<Vec<_>>()))
                    .collect();
                // In one piece, as clients write pipelines.
                through.send(&bytes);
                direct.send(&bytes);
                for line in *lines {
                    assert_eq!(
                        through.reply(),
                        direct.reply(),
                        "{upstream} {lines:?}: {line}"
                    );
                }
            }
        }
        pair.proxy.stop();
    }
}

#[test]
fn eight_clients_count_to_eight_hundred_in_transactions() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "2"]);
        let port = pair.proxy.port();
        thread::scope(|scope| {
            for client in 0..8 {
                scope.spawn(move || {
                    let mut wire = Wire::tcp(port);
                    let pipeline = [
                        request(&["MULTI"]),
                        request(&["INCR", "wa:count"]),
                        request(&["EXPIRE", "wa:count", "1000"]),
                        request(&["EXEC"]),
                    ];
                    for _ in 0..100 {
                        // One half counts in transactions, the other one without.
                        if client % 2 == 0 {
                            assert!(wire.ask(&["INCR", "wa:count"]).starts_with(":"));
                            continue;
                        }
                        wire.send(&pipeline.concat());
                        let replies: Vec<_> = (0..4).map(|_| wire.reply()).collect();
                        assert!(replies[3].starts_with("*2\r\n:"), "{replies:?}");
                    }
                });
            }
        });
        assert_eq!(
            pair.wire().ask(&["GET", "wa:count"]),
            "$3\r\n800\r\n",
            "{upstream}"
        );
        pair.proxy.stop();
    }
}
