//! Connections to the server: what an idle client costs, what remains of a server that was full for
//! a moment, and whom it concerns when the server closes a connection because of one client.

use std::fs;
use std::time::Duration;

use waxseal_testing::RedisServer;

use super::counts::{happens, metric, server_connections};
use super::wire::{Raw, Wire, request};
use super::{Pair, UPSTREAMS, proxy_before};

const SECRET: &str = "$8\r\namatista\r\n";
const REFUSAL: &str = "refuses the user, password or database";

/// CPU time that a process has used, in hundredths of a second.
#[track_caller]
fn cpu_time(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name of the program is in parentheses, and may hold blanks.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = fields.split(' ').collect();
    [11, 12]
        .map(|at: usize| fields[at].parse::<u64>().unwrap())
        .iter()
        .sum()
}

/// CPU time that an idle proxy uses in two seconds, in hundredths of a second.
fn cpu_time_when_idle(pair: &Pair) -> u64 {
    let before = cpu_time(pair.proxy.pid());
    std::thread::sleep(Duration::from_secs(2));
    cpu_time(pair.proxy.pid()) - before
}

#[test]
fn a_client_in_resp3_costs_nothing_while_it_is_idle_nor_afterwards() {
    const LIMIT: u64 = 30;
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--clients-authenticate", "--workers", "1"]);
        let mut wire = pair.wire().resp3();
        let connected = cpu_time_when_idle(&pair);
        assert!(connected < LIMIT, "{upstream}: {connected} while connected");
        assert_eq!(wire.ask(&["PING"]), "+PONG\r\n", "{upstream}");
        drop(wire);
        let gone = cpu_time_when_idle(&pair);
        assert!(gone < LIMIT, "{upstream}: {gone} afterwards");
    }
}

#[test]
fn the_place_of_a_client_in_resp3_that_has_left_is_free_again() {
    for upstream in UPSTREAMS {
        let flags = [
            "--clients-authenticate",
            "--workers",
            "1",
            "--max-connections",
            "1",
        ];
        let pair = Pair::with(upstream, &flags);
        let clients = || metric(&pair.proxy, "waxseal_client_connections");
        drop(pair.wire().resp3());
        assert!(happens(|| clients() == 0.0), "{upstream}: {}", clients());
        assert_eq!(pair.wire().ask(&["PING"]), "+PONG\r\n", "{upstream}");
    }
}

/// A request of a new client, whatever it is answered.
fn try_to(port: u16, words: &[&str]) {
    let mut wire = Wire::tcp(port);
    // It may be told and let go before it has spoken.
    if wire.try_send(&request(words)).is_ok() {
        let _ = wire.try_reply();
    }
}

#[test]
fn lanes_are_used_again_after_a_server_was_full_for_a_moment() {
    for upstream in UPSTREAMS {
        let redis = RedisServer::start();
        let pair = Pair::before(redis, upstream, &["--workers", "1"]);
        let mut operator = pair.redis.client();
        assert_eq!(pair.wire().ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
        operator.cmd(&["CONFIG", "SET", "maxclients", "1"]);
        for _ in 0..3 {
            try_to(pair.proxy.port(), &["HELLO", "3"]);
        }
        operator.cmd(&["CONFIG", "SET", "maxclients", "1000"]);
        let before = server_connections(&pair.redis);
        let mut clients: Vec<Wire> = (0..10).map(|_| pair.wire().resp3()).collect();
        let opened = server_connections(&pair.redis) - before;
        // A lane for each version of the protocol.
        assert!(upstream == "own" || opened <= 2, "{upstream}: {opened}");
        for wire in &mut clients {
            assert_eq!(wire.ask(&["GET", "wa:1"]), SECRET, "{upstream}");
        }
        let log = pair.proxy.stop().stderr;
        assert!(!log.contains(REFUSAL), "{upstream}: {log}");
    }
}

#[test]
fn a_server_that_is_full_is_not_said_to_refuse_the_password() {
    for upstream in UPSTREAMS {
        let redis = RedisServer::builder().password("main").start();
        let url = format!("redis://:main@127.0.0.1:{}/", redis.port());
        let proxy = proxy_before(&url, upstream, &["--workers", "1"]);
        let mut operator = redis.client();
        operator.cmd(&["CONFIG", "SET", "maxclients", "1"]);
        for words in [&["PING"][..], &["HELLO", "3"], &["MULTI"]] {
            let mut wire = Wire::tcp(proxy.port());
            wire.send(&request(words));
            let told = Raw(wire.until_the_end());
            assert!(!told.contains(REFUSAL), "{upstream}, {words:?}: {told:?}");
        }
        operator.cmd(&["CONFIG", "SET", "maxclients", "1000"]);
        let mut wire = Wire::tcp(proxy.port()).resp3();
        assert_eq!(
            wire.ask(&["SET", "wa:1", "amatista"]),
            "+OK\r\n",
            "{upstream}"
        );
        let log = proxy.stop().stderr;
        assert!(!log.contains(REFUSAL), "{upstream}: {log}");
    }
}

#[test]
fn a_client_that_is_closed_before_it_logged_in_takes_no_other_with_it() {
    let many = [&["MSET"][..], &["name"; 12]].concat();
    let long = "x".repeat(20_000);
    for upstream in UPSTREAMS {
        let redis = RedisServer::builder().password("main").start();
        let url = format!("redis://:main@127.0.0.1:{}/", redis.port());
        let flags = ["--clients-authenticate", "--workers", "1"];
        let proxy = proxy_before(&url, upstream, &flags);
        for words in [&many[..], &["SET", "open:1", &long]] {
            let context = format!("{upstream}, {}", words[0]);
            let mut other = Wire::tcp(proxy.port());
            let unauthenticated = "-NOAUTH Authentication required.\r\n";
            assert_eq!(other.ask(&["GET", "open:1"]), unauthenticated, "{context}");
            let mut closed = Wire::tcp(proxy.port());
            assert_eq!(closed.ask(&["GET", "open:1"]), unauthenticated, "{context}");
            closed.send(&request(words));
            let told = Raw(closed.until_the_end());
            // What the server says last may be lost where it had not read everything.
            let ended = told.0.is_empty() || told.starts_with("-ERR Protocol error: ");
            assert!(ended, "{context}: {told:?}");
            let reply = other.try_send(&request(&["AUTH", "main"]));
            let reply = reply.and_then(|()| other.try_reply());
            let is_in = reply.as_ref().is_ok_and(|reply| *reply == "+OK\r\n");
            assert!(is_in, "{context}: {reply:?}");
            assert_eq!(other.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
            assert_eq!(other.ask(&["GET", "wa:1"]), SECRET);
        }
    }
}

#[test]
fn the_place_of_a_client_that_leaves_in_the_middle_of_something_is_free_again() {
    let half_a_request: &[u8] = b"*3\r\n$3\r\nSET\r\n$6\r\nopen:1\r\n$2000000\r\nvalue";
    let behind_a_wait = [request(&["BLPOP", "open:none", "0"]), request(&["QUIT"])].concat();
    let wrong = [&request(&["BLPOP", "open:none", "0"])[..], b"*x\r\n"].concat();
    let wrong_end = [half_a_request, &[b'v'; 1_999_995], b"xx"].concat();
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        let clients = || metric(&pair.proxy, "waxseal_client_connections");
        for bytes in [half_a_request, &behind_a_wait, &wrong, &wrong_end] {
            let mut wire = pair.wire();
            assert_eq!(wire.ask(&["PING"]), "+PONG\r\n", "{upstream}");
            wire.send(bytes);
            drop(wire);
            let shown = bytes[..40].escape_ascii();
            assert!(
                happens(|| clients() == 0.0),
                "{upstream}, {shown}: {}",
                clients()
            );
        }
        // Nor does anything of it reach the server: what is pushed is there for others.
        let mut wire = pair.wire();
        assert_eq!(
            wire.ask(&["LPUSH", "open:none", "x"]),
            ":1\r\n",
            "{upstream}"
        );
        assert_eq!(wire.ask(&["LLEN", "open:none"]), ":1\r\n", "{upstream}");
        assert_eq!(wire.ask(&["EXISTS", "open:1"]), ":0\r\n", "{upstream}");
    }
}
