//! Clients that do not read, or that go away while something is under way.

use std::time::{Duration, Instant};

use waxseal_testing::RedisServer;

use super::counts::metric;
use super::wire::request;
use super::{Pair, UPSTREAMS, memory};
use crate::metrics::admin;
use crate::metrics::exposition::Exposition;
use crate::program::{Program, wait_until};

/// Replies of a mebibyte that are asked for at once.
const REPLIES: usize = 300;
const LIMIT_KIB: u64 = 64 * 1024;
/// Flags of a proxy whose memory is checked.
const BOUNDED: [&str; 4] = ["--workers", "1", "--max-value", "1MiB"];

#[test]
fn replies_that_a_client_does_not_read_are_bounded_and_block_no_one() {
    let value = vec![b'x'; 1 << 20];
    for upstream in UPSTREAMS {
        let pair = Pair::with(
            upstream,
            &[&BOUNDED[..], &["--max-client-buffer", "8MiB"]].concat(),
        );
        let mut other = pair.wire();
        other.ask(&[&b"SET"[..], b"open:big", &value]);
        assert_eq!(other.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
        let mut unread = pair.wire();
        unread.send(&request(&["GET", "open:big"]).repeat(REPLIES));
        let is_cut = || cut(&pair, "not_reading") == 1.0;
        if upstream == "own" {
            // Alone on its connection, it leaves its replies with the server.
            for _ in 0..100 {
                assert_eq!(other.ask(&["GET", "wa:1"]), "$8\r\namatista\r\n");
            }
            for _ in 0..REPLIES {
                assert_eq!(
                    unread.reply().0.len(),
                    "$1048576\r\n\r\n".len() + value.len()
                );
            }
            assert!(!is_cut());
        } else {
            wait_until(|| {
                assert_eq!(other.ask(&["GET", "wa:1"]), "$8\r\namatista\r\n");
                is_cut()
            });
            let said = pair.proxy.said();
            let line =
                "disconnected a client that does not read its replies: 8 MiB waited for 127.0.0.1:";
            assert!(said.contains(line), "{said}");
            assert!(
                said.contains("more than --max-client-buffer allows"),
                "{said}"
            );
            wait_until(|| metric(&pair.proxy, "waxseal_client_buffer_bytes") == 0.0);
        }
        let peak = memory(pair.proxy.pid(), "VmHWM:");
        assert!(peak < LIMIT_KIB, "{upstream}: {peak} KiB");
        assert_eq!(other.ask(&["GET", "wa:1"]), "$8\r\namatista\r\n");
    }
}

#[test]
fn answers_of_the_proxys_own_that_no_one_reads_are_bounded_and_their_memory_is_given_back() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(
            upstream,
            &[&BOUNDED[..], &["--max-client-buffer", "16MiB"]].concat(),
        );
        let mut other = pair.wire();
        assert_eq!(other.ask(&["PING"]), "+PONG\r\n");
        let before = memory(pair.proxy.pid(), "VmRSS:");
        let mut flood = pair.wire();
        // Answers that are longer than the requests.
        let piece = request(&["PFADD", "wa:1", "y"]).repeat(1000);
        let is_cut = || cut(&pair, "not_reading") == 1.0;
        while flood.try_send(&piece).is_ok() {
            assert_eq!(other.ask(&["PING"]), "+PONG\r\n");
        }
        wait_until(is_cut);
        let peak = memory(pair.proxy.pid(), "VmHWM:");
        assert!(peak < before + LIMIT_KIB, "{upstream}: {peak} KiB");
        wait_until(|| memory(pair.proxy.pid(), "VmRSS:") < before + LIMIT_KIB / 8);
        assert_eq!(other.ask(&["PING"]), "+PONG\r\n");
    }
}

#[test]
fn where_all_clients_together_read_too_little_the_one_with_the_most_is_disconnected() {
    let value = vec![b'x'; 24 << 20];
    let flags = [
        "--workers",
        "2",
        "--max-value",
        "1MiB",
        "--max-total-buffer",
        "48MiB",
    ];
    let pair = Pair::with("shared", &flags);
    let mut other = pair.wire();
    other.ask(&[&b"SET"[..], b"open:big", &value]);
    let waiting = || metric(&pair.proxy, "waxseal_client_buffer_bytes");
    let mut most = pair.wire();
    most.send(&request(&["GET", "open:big"]).repeat(2));
    // The kernel holds some of it.
    wait_until(|| waiting() > f64::from(30 << 20));
    let mut little = pair.wire();
    little.send(&request(&["GET", "open:big"]));
    wait_until(|| cut(&pair, "buffers_full") == 1.0);
    assert_eq!(
        little.reply().0.len(),
        "$25165824\r\n\r\n".len() + value.len()
    );
    most.until_the_end();
    let said = pair.proxy.said();
    let line = "disconnected the client with the most unread replies: ";
    assert!(said.contains(line), "{said}");
    assert!(
        said.contains("more than --max-total-buffer allows"),
        "{said}"
    );
    wait_until(|| waiting() == 0.0);
}

#[test]
fn requests_that_the_server_does_not_take_stay_with_the_client() {
    const COUNT: usize = 100;
    let piece = request(&[&b"SET"[..], b"open:big", &vec![b'x'; 1 << 20]]);
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &BOUNDED);
        let mut wire = pair.wire();
        assert_eq!(wire.ask(&["WATCH", "open:other"]), "+OK\r\n");
        pair.redis.stop_process();
        let received = || metric(&pair.proxy, "waxseal_received_bytes_total");
        let all = piece.repeat(COUNT);
        std::thread::scope(|scope| {
            let sending = scope.spawn(|| {
                let mut wire = wire;
                wire.send(&all);
                wire
            });
            wait_until(|| received() > f64::from(1 << 20));
            std::thread::sleep(Duration::from_millis(500));
            let peak = memory(pair.proxy.pid(), "VmHWM:");
            pair.redis.continue_process();
            assert!(peak < LIMIT_KIB, "{upstream}: {peak} KiB");
            let mut wire = sending.join().unwrap();
            for _ in 0..COUNT {
                assert_eq!(wire.reply(), "+OK\r\n", "{upstream}");
            }
        });
    }
}

#[test]
fn a_buffer_that_a_reply_would_not_fit_into_is_refused_at_the_start() {
    let redis = RedisServer::start();
    for flag in ["--max-client-buffer", "--max-total-buffer"] {
        let words = ["proxy", "--protect", "wa:*", flag, "128MiB"];
        let text = format!("{flag} must be larger than twice --max-value");
        Program::at(&redis).run(&words).failed(64, &text);
    }
    // Buffers that were not chosen grow with the values.
    let pair = Pair::with("auto", &["--max-value", "512MiB"]);
    assert_eq!(pair.wire().ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
}

/// The number of clients that were disconnected for this cause.
#[track_caller]
fn cut(pair: &Pair, cause: &str) -> f64 {
    let (_, text) = admin(pair.proxy.admin_port(), "/metrics");
    let name = "waxseal_client_connections_cut_total";
    Exposition::read(&text).sum(name, &[("cause", cause)])
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
fn clients_that_leave_before_their_replies_come_harm_no_one() {
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
