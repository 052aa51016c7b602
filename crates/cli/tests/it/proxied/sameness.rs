//! Tests of what the proxy must not change by one byte: everything that has nothing to do with protected
//! records. Two equal servers get the same requests, one of them through the proxy.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use waxseal_testing::RedisServer;

use super::corpus::{Chance, Words, mix, names};
use super::wire::{Raw, Wire, request};
use super::{Pair, UPSTREAMS, memory};

/// Times that each kind of request is sent, each time with other arguments.
const ROUNDS: usize = 3;
/// Names of commands and subcommands that a mix must hold.
const NAMES: usize = 250;

/// A pair, and a server of the same kind without a proxy; both empty.
fn twins(upstream: &str) -> (Pair, RedisServer) {
    let pair = Pair::start(upstream);
    let direct = RedisServer::start();
    for server in [&pair.redis, &direct] {
        server.cli(&["CONFIG", "SET", "slowlog-log-slower-than", "-1"]);
    }
    // The proxy has left its mark, by which it knows the key again.
    assert_eq!(pair.redis.cli(&["FLUSHALL"]), "OK");
    (pair, direct)
}

#[track_caller]
fn same(through: &Raw, directly: &Raw, words: &Words, context: &str) {
    if through != directly {
        let request = String::from_utf8_lossy(&request(words)).into_owned();
        panic!("{context}, {request:?}:\nthrough {through:?}\ndirect  {directly:?}");
    }
}

/// The content of a server in the end, without what depends on the time: expiries, and the consumers of streams.
fn stored(server: &RedisServer) -> BTreeMap<Vec<u8>, Vec<u8>> {
    const STREAMS: [u8; 3] = [15, 19, 21];
    let mut stored = BTreeMap::new();
    for (name, record) in server.snapshot().records() {
        let is_stream = STREAMS.contains(&record.dump[0]);
        let content = if is_stream {
            &[]
        } else {
            record.dump.as_slice()
        };
        stored.insert(name.clone(), content.to_vec());
    }
    stored
}

#[track_caller]
fn compare(upstream: &str, resp3: bool, pipelined: bool, seed: u64) {
    let context = format!("{upstream}, RESP3: {resp3}, pipelined: {pipelined}, seed {seed}");
    let (pair, server) = twins(upstream);
    let (mut through, mut directly) = (pair.wire(), Wire::tcp(server.port()));
    if resp3 {
        (through, directly) = (through.resp3(), directly.resp3());
    }
    let mix = mix(seed, ROUNDS);
    let names = names(&mix);
    assert!(names.len() >= NAMES, "only {}", names.len());
    let mut chance = Chance::seeded(seed);
    let mut remaining = mix.as_slice();
    while !remaining.is_empty() {
        let groups = if pipelined { 1 + chance.below(40) } else { 1 };
        let (now, later) = remaining.split_at(groups.min(remaining.len()));
        remaining = later;
        let requests: Vec<&Words> = now.iter().flatten().collect();
        if pipelined {
            let bytes: Vec<u8> = requests.iter().flat_map(|words| request(words)).collect();
            through.send(&bytes);
            directly.send(&bytes);
        }
        for words in requests {
            if !pipelined {
                through.send(&request(words));
                directly.send(&request(words));
            }
            same(&through.reply(), &directly.reply(), words, &context);
        }
    }
    // Nothing has come too much, and the two servers hold the same.
    assert_eq!(through.ask(&["PING", "end"]), "$3\r\nend\r\n", "{context}");
    assert_eq!(directly.ask(&["PING", "end"]), "$3\r\nend\r\n", "{context}");
    assert_eq!(stored(&pair.redis), stored(&server), "{context}");
    pair.proxy.stop();
}

#[test]
fn single_requests_are_answered_as_the_server_answers_them() {
    for (seed, upstream) in (1..).zip(UPSTREAMS) {
        compare(upstream, false, false, seed);
        compare(upstream, true, false, seed + 10);
    }
}

#[test]
fn pipelined_requests_are_answered_as_the_server_answers_them() {
    for (seed, upstream) in (21..).zip(UPSTREAMS) {
        compare(upstream, false, true, seed);
        compare(upstream, true, true, seed + 10);
    }
}

#[test]
fn lines_of_words_are_answered_as_the_server_answers_them() {
    let lines = "PING\r\nSET a 'one two'\r\nGET a\nget \"a\"\r\nSET b \"\\x41\\n\\\"\"\r\nGET b\r\n\r\n\
                 LPUSH l 1 2 3\r\nLRANGE l 0 -1\r\nINCR l\r\nNOSUCH thing\r\n*1\r\n$4\r\nPING\r\nECHO x\r\n";
    let broken = "SET a \"open\r\n";
    for upstream in UPSTREAMS {
        let (pair, direct) = twins(upstream);
        let (mut through, mut directly) = (pair.wire(), Wire::tcp(direct.port()));
        for wire in [&mut through, &mut directly] {
            wire.send(lines.as_bytes());
        }
        for _ in 0..12 {
            assert_eq!(through.reply(), directly.reply(), "{upstream}");
        }
        for wire in [&mut through, &mut directly] {
            wire.send(broken.as_bytes());
        }
        let last = through.until_the_end();
        assert_eq!(Raw(last), Raw(directly.until_the_end()), "{upstream}");
    }
}

#[test]
fn replies_of_five_megabytes_come_whole() {
    let value: Vec<u8> = (0..5 << 20).map(|at| (at % 251) as u8).collect();
    for upstream in UPSTREAMS {
        let (pair, direct) = twins(upstream);
        let (mut through, mut directly) = (pair.wire(), Wire::tcp(direct.port()));
        let item = &value[..50_000];
        for wire in [&mut through, &mut directly] {
            assert_eq!(wire.ask(&[&b"SET"[..], b"big", &value]), "+OK\r\n");
            for _ in 0..100 {
                wire.send(&request(&[&b"RPUSH"[..], b"many", item]));
            }
            for _ in 0..100 {
                assert!(wire.reply().starts_with(":"));
            }
            // Several at once, and a small one behind them.
            let get = request(&["GET", "big"]);
            let range = request(&["LRANGE", "many", "0", "-1"]);
            let end = request(&["ECHO", "end"]);
            wire.send(&[get.clone(), range, get, end].concat());
        }
        for _ in 0..4 {
            assert!(through.reply() == directly.reply(), "{upstream}");
        }
    }
}

#[test]
fn an_unprotected_value_of_300_megabytes_streams_through_in_little_memory() {
    const PIECE: usize = 1 << 20;
    const PIECES: usize = 300;
    const LIMIT_KIB: u64 = 100 * 1024;
    let piece: Vec<u8> = (0..PIECE).map(|at| (at % 253) as u8).collect();
    for upstream in UPSTREAMS {
        let pair = Pair::start(upstream);
        let mut wire = pair.wire();
        let head = format!("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n${}\r\n", PIECE * PIECES);
        wire.send(head.as_bytes());
        for _ in 0..PIECES {
            wire.send(&piece);
        }
        wire.send(b"\r\n");
        assert_eq!(wire.reply(), "+OK\r\n");
        wire.send(&request(&["GET", "big"]));
        // A slow reader does not make the proxy buffer the remainder.
        std::thread::sleep(Duration::from_millis(500));
        let mut received = vec![0; PIECE];
        let head = format!("${}\r\n", PIECE * PIECES);
        read_exact(&mut wire, &mut received[..head.len()]);
        assert_eq!(received[..head.len()], *head.as_bytes());
        for _ in 0..PIECES {
            read_exact(&mut wire, &mut received);
            assert!(received == piece, "{upstream}");
        }
        read_exact(&mut wire, &mut received[..2]);
        assert_eq!(wire.ask(&["STRLEN", "big"]), ":314572800\r\n");
        let peak = memory(pair.proxy.pid(), "VmHWM:");
        assert!(peak < LIMIT_KIB, "{upstream}: {peak} KiB at its peak");
    }
}

fn read_exact(wire: &mut Wire, buffer: &mut [u8]) {
    struct Reading<'a>(&'a mut Wire);
    impl Read for Reading<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.read(buffer)
        }
    }
    Reading(wire).read_exact(buffer).unwrap();
}
