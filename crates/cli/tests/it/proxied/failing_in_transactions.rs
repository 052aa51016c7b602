//! Commands of a transaction that fail when it is executed, through a proxy before real servers: what is computed behind them
//! is what a server computes, and the records hold what they would.

use waxseal_testing::{Flavor, RedisServer};

use super::wire::Wire;
use super::{Pair, UPSTREAMS};

/// What is there before each transaction.
const RECORDS: &[&[&str]] = &[
    &["DEL", "wa:1"],
    &["SET", "wa:1", "10"],
    &["SET", "wa:1", "10", "EX", "1000"],
    &["SET", "wa:1", "x"],
    &["HSET", "wa:1", "name", "maria", "f", "3"],
    &["RPUSH", "wa:1", "a", "b"],
    &["SADD", "wa:1", "a"],
];

/// The commands of transactions.
const QUEUES: &[&[&str]] = &[
    &["GETSET wa:1 0", "INCR wa:1"],
    &["SET wa:1 5 GET", "INCR wa:1"],
    &["SET wa:1 5 XX GET", "INCR wa:1", "INCR wa:1"],
    &["GETDEL wa:1", "INCR wa:1"],
    &["GETDEL wa:1", "APPEND wa:1 q"],
    &["GETDEL wa:1", "HINCRBY wa:1 f 1"],
    &["GETSET wa:1 0", "HINCRBY wa:1 f 1"],
    &["SETEX wa:1 0 5", "INCR wa:1"],
    &["PSETEX wa:1 -5 5", "INCR wa:1"],
    &["SET wa:1 5 EX 0", "INCR wa:1"],
    &["SET wa:1 5 EX -1", "INCR wa:1"],
    &["SET wa:1 5 EX 9223372036854775807", "INCR wa:1"],
    &["SET wa:1 5 PX 9223372036854775807", "INCR wa:1"],
    &["SET wa:1 5 EX 10 PX 10", "INCR wa:1"],
    &["SET wa:1 5 NX XX", "INCR wa:1"],
    &["SET wa:1 5 KEEPTTL EX 10", "INCR wa:1"],
    &["SET wa:1 5 NX", "INCR wa:1", "EXPIRE wa:1 500", "INCR wa:1"],
    &["SET wa:1 5 XX", "INCR wa:1"],
    &["SETNX wa:1 5", "HINCRBY wa:1 f 1"],
    &["HSET wa:1 f 1", "HINCRBY wa:1 f 1", "INCR wa:1"],
    &["HSET wa:1 f 1", "INCR wa:1"],
    &["HINCRBY wa:1 f 3", "INCR wa:1"],
    &["DEL wa:1", "HINCRBY wa:1 f 3", "INCR wa:1"],
    &["INCR wa:1", "HINCRBY wa:1 f 3", "INCR wa:1"],
    &["LPUSH wa:1 x", "INCR wa:1"],
    &["RPUSH wa:1 x", "HINCRBY wa:1 f 1"],
    &["SADD wa:1 1", "INCR wa:1"],
    &["GETEX wa:1 EX 100", "DEL wa:1", "APPEND wa:1 q"],
    &["HSET wa:1 a 1", "DEL wa:1", "APPEND wa:1 q"],
    &["LPUSH wa:1 x", "SET wa:1 1", "INCR wa:1", "INCR wa:1"],
    &["EXPIRE wa:1 100", "INCR wa:1", "PERSIST wa:1", "INCR wa:1"],
    &["INCR wa:1", "INCRBY wa:1 x", "DECR wa:1", "GET wa:1"],
    &["SETBIT wa:1 3 1", "SETBIT wa:1 3 1", "GETBIT wa:1 3"],
    &["GETSET wa:1 @", "SETBIT wa:1 1 1", "INCR wa:1"],
];

/// What is in the record after a transaction, and for how long.
fn content(wire: &mut Wire) -> Vec<String> {
    let reads: &[&[&str]] = &[
        &["TYPE", "wa:1"],
        &["GET", "wa:1"],
        &["HGETALL", "wa:1"],
        &["LRANGE", "wa:1", "0", "-1"],
        &["SCARD", "wa:1"],
        &["SISMEMBER", "wa:1", "a"],
        &["SISMEMBER", "wa:1", "1"],
    ];
    let mut content: Vec<String> = reads
        .iter()
        .map(|read| format!("{:?}", wire.ask(read)))
        .collect();
    let ttl = format!("{:?}", wire.ask(&["TTL", "wa:1"]));
    let expires = !ttl.contains(":-1") && !ttl.contains(":-2");
    content.push(format!("expires: {expires}"));
    content
}

#[test]
fn what_is_computed_behind_a_command_that_fails_is_what_a_server_computes() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--format", "sealed"]);
        let plain = RedisServer::start();
        let (mut through, mut direct) = (pair.wire(), Wire::tcp(plain.port()));
        for watches in [false, true] {
            for queue in QUEUES {
                for record in RECORDS {
                    let mut sides = Vec::new();
                    for wire in [&mut through, &mut direct] {
                        wire.ask(&["DEL", "wa:1", "wa:2"]);
                        wire.ask(record);
                        if watches {
                            wire.ask(&["WATCH", "wa:1"]);
                        }
                        wire.ask(&["MULTI"]);
                        for line in *queue {
                            let words: Vec<&str> = line.split(' ').collect();
                            wire.ask(&words);
                        }
                        let replies = format!("{:?}", wire.ask(&["EXEC"]));
                        sides.push((replies, content(wire)));
                    }
                    let what = format!("{upstream} {watches} {record:?} {queue:?}");
                    assert_eq!(sides[0], sides[1], "{what}");
                }
            }
        }
        pair.proxy.stop();
    }
}

#[test]
fn steps_that_cannot_be_queued_are_answered_as_by_each_server() {
    for flavor in Flavor::ALL {
        let redis = || RedisServer::builder().flavor(flavor).start();
        let pair = Pair::before(redis(), "auto", &[]);
        let plain = redis();
        for watched in [&["WATCH wa:x"][..], &[]] {
            for step in ["WATCH wa:2", "MULTI", "WATCH", "MULTI x", "wAtCh other"] {
                let (mut through, mut direct) = (pair.wire(), Wire::tcp(plain.port()));
                let queue = ["MULTI", "SET wa:1 5", step, "INCR wa:1", "EXEC"];
                let lines = watched.iter().chain(&queue);
                for line in lines.chain(&["GET wa:1", "DEL wa:1"]) {
                    let words: Vec<&str> = line.split(' ').collect();
                    let (through, direct) = (through.ask(&words), direct.ask(&words));
                    assert_eq!(through, direct, "{flavor:?} {watched:?} {step} {line}");
                }
            }
        }
        pair.proxy.stop();
    }
}
