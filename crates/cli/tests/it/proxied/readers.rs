//! Clients that do not read, or that go away while something is under way.

use std::time::{Duration, Instant};

use super::wire::{Wire, request};
use super::{Pair, UPSTREAMS, memory};
use crate::program::wait_until;

/// Replies of a mebibyte that are asked for at once.
const REPLIES: usize = 300;

#[test]
fn a_client_that_does_not_read_neither_fills_the_memory_nor_stops_the_others() {
    const LIMIT_KIB: u64 = 64 * 1024;
    let value = vec![b'x'; 1 << 20];
    for upstream in UPSTREAMS {
        let flags = ["--workers", "1", "--max-stall", "1"];
        let pair = Pair::with(upstream, &flags);
        let mut other = pair.wire();
        other.ask(&[&b"SET"[..], b"open:big", &value]);
        assert_eq!(other.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
        let mut unread = pair.wire();
        unread.send(&request(&["GET", "open:big"]).repeat(REPLIES));
        for _ in 0..100 {
            assert_eq!(other.ask(&["GET", "wa:1"]), "$8\r\namatista\r\n");
        }
        std::thread::sleep(Duration::from_secs(3));
        for _ in 0..100 {
            assert_eq!(other.ask(&["GET", "wa:1"]), "$8\r\namatista\r\n");
        }
        let peak = memory(pair.proxy.pid(), "VmHWM:");
        assert!(peak < LIMIT_KIB, "{upstream}: {peak} KiB");
        let mut whole = 0;
        while let Ok(reply) = unread.try_reply() {
            assert_eq!(reply.0.len(), "$1048576\r\n\r\n".len() + value.len());
            whole += 1;
            if whole == REPLIES {
                break;
            }
        }
        // Alone it held up nobody; on a lane it was cut off.
        assert_eq!(whole == REPLIES, upstream == "own", "{upstream}: {whole}");
    }
}

#[test]
fn a_client_that_sends_and_does_not_read_is_not_taken_from_without_end() {
    const LIMIT_KIB: u64 = 64 * 1024;
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        let mut other = pair.wire();
        let mut flood = Wire::tcp(pair.proxy.port());
        // Echoes, and answers that the proxy makes itself.
        let echo = request(&["ECHO", &"x".repeat(1000)]);
        let refused = request(&["APPEND", "wa:1", &"y".repeat(1000)]);
        let piece = [echo, refused].concat().repeat(50);
        let sending = std::thread::spawn(move || {
            let mut sent = 0;
            while sent < 100 << 20 && flood.try_send(&piece).is_ok() {
                sent += piece.len();
            }
        });
        for _ in 0..200 {
            assert_eq!(other.ask(&["PING"]), "+PONG\r\n");
            std::thread::sleep(Duration::from_millis(5));
        }
        let peak = memory(pair.proxy.pid(), "VmHWM:");
        assert!(peak < LIMIT_KIB, "{upstream}: {peak} KiB");
        drop(pair);
        sending.join().unwrap();
    }
}

#[test]
fn an_element_pushed_after_a_blocked_client_left_is_not_lost() {
    for upstream in UPSTREAMS {
        let pair = Pair::start(upstream);
        for name in ["wa:queue", "open:queue"] {
            for request_of in [
                request(&["BLPOP", name, "0"]),
                request(&["BRPOP", "open:other", name, "0"]),
                request(&["BLMPOP", "0", "1", name, "LEFT"]),
                // With requests behind it.
                [
                    request(&["BLPOP", name, "0"]),
                    request(&["PING"]),
                    request(&["BLPOP", name, "0"]),
                ]
                .concat(),
                // Among them one that does not wait, and has a value to open.
                [request(&["BLPOP", name, "0"]), request(&["GET", "wa:1"])].concat(),
                // Behind one that must be answered before more is taken.
                [request(&["BLPOP", name, "0"]), request(&["HELLO", "3"])].concat(),
            ] {
                let mut blocked = pair.wire();
                blocked.send(&request_of);
                wait_until(|| blocked_clients(&pair) == "1");
                drop(blocked);
                let left = Instant::now() + Duration::from_secs(20);
                while blocked_clients(&pair) != "0" {
                    let request_of = request_of.escape_ascii();
                    assert!(Instant::now() < left, "{upstream}: {request_of}");
                    std::thread::sleep(Duration::from_millis(5));
                }
                let mut wire = pair.wire();
                assert_eq!(wire.ask(&["RPUSH", name, "amatista"]), ":1\r\n");
                std::thread::sleep(Duration::from_millis(30));
                assert_eq!(wire.ask(&["LPOP", name]), "$8\r\namatista\r\n");
            }
        }
    }
}

fn blocked_clients(pair: &Pair) -> String {
    let info = pair.redis.cli(&["INFO", "clients"]);
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("blocked_clients:"));
    line.unwrap().trim().to_owned()
}

#[test]
fn clients_that_leave_before_their_replies_come_harm_nobody() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        let mut other = pair.wire();
        assert_eq!(other.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
        assert_eq!(other.ask(&["SET", "open:1", "obsidiana"]), "+OK\r\n");
        for round in 0..200 {
            let mut leaving = pair.wire();
            leaving.send(&request(&["GET", "wa:1"]).repeat(1 + round % 50));
            other.send(&request(&["GET", "open:1"]));
            drop(leaving);
            assert_eq!(other.reply(), "$9\r\nobsidiana\r\n");
            assert_eq!(other.ask(&["GET", "wa:1"]), "$8\r\namatista\r\n");
        }
    }
}
