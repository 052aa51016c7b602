//! Servers that die, that answer what no request explains, and errors of the server that clients must
//! get word for word.

use std::time::Duration;

use waxseal_testing::RedisServer;

use super::relay::{Manner, Relay};
use super::wire::{Wire, contains, request};
use super::{Pair, UPSTREAMS, memory, proxy_before};
use crate::program::wait_until;
use crate::proxy::PROTECTED_MARKER;

#[test]
fn a_server_that_breaks_off_in_a_reply_breaks_off_the_client() {
    let value = "obsidiana ".repeat(100_000);
    for upstream in UPSTREAMS {
        let redis = RedisServer::start();
        let relay = Relay::before(redis.port());
        let proxy = proxy_before(&relay.url(), upstream, &["--workers", "1"]);
        let mut wire = Wire::tcp(proxy.port());
        assert_eq!(wire.ask(&["SET", "open:1", &value]), "+OK\r\n");
        assert_eq!(wire.ask(&["SET", "wa:1", &value]), "+OK\r\n");
        let whole = format!("${}\r\n{value}\r\n", value.len());
        for (name, left) in [
            ("open:1", 500_000),
            ("wa:1", 500_000),
            ("open:1", 3),
            ("wa:1", 3),
        ] {
            let mut wire = Wire::tcp(proxy.port());
            assert_eq!(wire.ask(&["PING"]), "+PONG\r\n");
            relay.behaves(Manner::BreaksAfter(left));
            wire.send(&request(&["GET", name]));
            let received = wire.until_the_end();
            // The beginning of the reply, or an error of the proxy's own; never a mixture.
            let error = received.starts_with(b"-ERR waxseal cannot reach the store");
            assert!(
                error || whole.as_bytes().starts_with(&received),
                "{upstream}"
            );
            assert!(received.len() < whole.len(), "{upstream}");
            relay.behaves(Manner::Passes);
        }
        let mut wire = Wire::tcp(proxy.port());
        assert!(wire.ask(&["GET", "wa:1"]) == *whole, "{upstream}");
        proxy.stop();
    }
}

#[test]
fn a_server_that_is_killed_and_comes_again_is_used_again() {
    for upstream in UPSTREAMS {
        let redis = RedisServer::builder().append_only().start();
        let mut pair = Pair::before(redis, upstream, &[]);
        let mut wires: Vec<Wire> = (0..20).map(|_| pair.wire()).collect();
        for (number, wire) in wires.iter_mut().enumerate() {
            let name = format!("wa:{number}");
            assert_eq!(wire.ask(&["SET", &name, "amatista"]), "+OK\r\n");
        }
        let mut blocked = pair.wire();
        blocked.send(&request(&["BLPOP", "open:queue", "0"]));
        pair.redis.kill();
        for wire in wires.iter_mut().chain([&mut blocked]) {
            let remaining = wire.until_the_end();
            let said = remaining.is_empty()
                || remaining.starts_with(b"-ERR waxseal cannot reach the store: ");
            assert!(said, "{upstream}: {}", remaining.escape_ascii());
        }
        // Who comes now is told, and let go.
        let mut wire = pair.wire();
        let told = wire.ask(&["GET", "wa:1"]);
        assert_eq!(
            told,
            "-ERR waxseal cannot reach the store: connection refused\r\n"
        );
        assert_eq!(wire.until_the_end(), b"");
        pair.redis.restart();
        let mut wire = pair.wire();
        assert_eq!(wire.ask(&["GET", "wa:1"]), "$8\r\namatista\r\n");
    }
}

#[test]
fn bytes_of_the_server_that_are_no_reply_end_the_connections_and_nothing_else() {
    let nested = b"*1\r\n".repeat(200_000);
    let deep_map = b"%1\r\n+a\r\n".repeat(200_000);
    let answers: [&[u8]; 14] = [
        b"hello there\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\x01\x02\x03\xff\xfe\r\n",
        b"\r\n",
        &nested,
        &deep_map,
        b"*99999999999999999999\r\n",
        b"$99999999999999999999\r\n",
        b"$9223372036854775807\r\n",
        b"*-7\r\n",
        b"$5\r\nabcdefgh\r\n",
        b"$abc\r\n",
        b"%9999999999999999\r\n",
        b":x\r\n-ERR a\rb\r\n\r\n\r\n",
    ];
    for upstream in UPSTREAMS {
        let redis = RedisServer::start();
        let relay = Relay::before(redis.port());
        let proxy = proxy_before(&relay.url(), upstream, &[]);
        assert_eq!(
            Wire::tcp(proxy.port()).ask(&["SET", "wa:1", "amatista"]),
            "+OK\r\n"
        );
        for answer in answers {
            for words in [
                &["GET", "open:1"][..],
                &["GET", "wa:1"],
                &["HGETALL", "wa:1"],
            ] {
                let mut wire = Wire::tcp(proxy.port());
                assert_eq!(wire.ask(&["PING"]), "+PONG\r\n");
                relay.behaves(Manner::Answers(answer.to_vec()));
                wire.send(&request(words));
                wire.until_the_end();
                relay.behaves(Manner::Passes);
            }
            let mut wire = Wire::tcp(proxy.port());
            assert_eq!(wire.ask(&["GET", "wa:1"]), "$8\r\namatista\r\n");
        }
        let peak = memory(proxy.pid(), "VmHWM:");
        assert!(peak < 64 * 1024, "{upstream}: {peak} KiB");
        proxy.stop();
    }
}

#[test]
fn a_reply_that_no_request_explains_ends_the_connection() {
    for upstream in UPSTREAMS {
        let redis = RedisServer::start();
        let relay = Relay::before(redis.port());
        let proxy = proxy_before(&relay.url(), upstream, &[]);
        // One too many; and kinds that are not what the request asked for.
        for (answer, words) in [
            ("$1\r\na\r\n$1\r\nb\r\n", &["GET", "open:1"][..]),
            ("*1\r\n$1\r\na\r\n", &["GET", "wa:1"]),
            ("*1\r\n$1\r\na\r\n", &["MGET", "wa:1", "wa:2"]),
            ("$1\r\na\r\n", &["HGETALL", "wa:1"]),
            ("*3\r\n+a\r\n+b\r\n+c\r\n", &["HGETALL", "wa:1"]),
        ] {
            let mut wire = Wire::tcp(proxy.port());
            assert_eq!(wire.ask(&["PING"]), "+PONG\r\n");
            relay.behaves(Manner::Answers(answer.into()));
            wire.send(&request(words));
            let received = wire.until_the_end();
            assert!(!contains(&received, b"b\r\n"), "{upstream}: {words:?}");
            relay.behaves(Manner::Passes);
        }
        proxy.stop();
    }
}

#[test]
fn no_protected_value_goes_towards_the_server_in_clear() {
    for upstream in UPSTREAMS {
        let redis = RedisServer::start();
        let relay = Relay::before(redis.port());
        let proxy = proxy_before(&relay.url(), upstream, &[]);
        let value = format!("{PROTECTED_MARKER} {upstream}");
        let long = value.repeat(5000);
        let mut wire = Wire::tcp(proxy.port());
        for words in [
            &["SET", "wa:1", &value][..],
            &[
                "MSET",
                "wa:1",
                &value,
                "open:1",
                "obsidiana",
                "wa:2",
                &value,
            ],
            &["HSET", "wa:h", "f", &value, "g", &value],
            &["RPUSH", "wa:l", &value, &value, &long],
            &["SETEX", "wa:3", "100", &long],
            &["MULTI"],
            &["SET", "wa:4", &value],
            &["EXEC"],
            &[
                "EVAL",
                "return redis.call('SET',KEYS[1],ARGV[1])",
                "1",
                "wa:5",
                &value,
            ],
            &["APPEND", "wa:1", &value],
            // Members may be stored plain in this mode, so that they are sent (see `members`).
            &["PFADD", "wa:6", &value],
            &["NOSUCHCOMMAND", "wa:1", &value],
            &["SET", "wa:7", &value, "NOSUCHOPTION"],
            &["SET", "wa:7", &value, "EX"],
            &["HSET", "wa:h", "f", &value, "g"],
        ] {
            wire.ask(words);
        }
        wire.send(format!("SET wa:8 \"{value}\"\r\n").as_bytes());
        assert_eq!(wire.reply(), "+OK\r\n");
        assert_eq!(
            wire.ask(&["GET", "wa:8"]),
            *super::wire::bulk(&value).as_str()
        );
        let seen = relay.seen();
        assert!(contains(&seen, b"obsidiana"));
        assert!(!contains(&seen, PROTECTED_MARKER.as_bytes()), "{upstream}");
        proxy.stop();
    }
}

#[test]
fn a_server_without_memory_is_heard_in_its_own_words() {
    for upstream in UPSTREAMS {
        let pair = Pair::start(upstream);
        let mut wire = pair.wire();
        assert_eq!(wire.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
        pair.redis.cli(&["CONFIG", "SET", "maxmemory", "1"]);
        let full = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
        assert_eq!(wire.ask(&["SET", "open:1", "x"]), full);
        assert_eq!(wire.ask(&["SET", "wa:2", "x"]), full);
        assert_eq!(wire.ask(&["MSET", "wa:2", "x", "open:1", "y"]), full);
        assert_eq!(wire.ask(&["GET", "wa:1"]), "$8\r\namatista\r\n");
    }
}

#[test]
fn a_server_that_loads_its_data_is_heard_in_its_own_words() {
    for upstream in UPSTREAMS {
        let redis = RedisServer::builder()
            .arg("key-load-delay", "2000")
            .arg("loading-process-events-interval-bytes", "1024")
            .start();
        let mut pair = Pair::before(redis, upstream, &[]);
        let mut wire = pair.wire();
        for number in 0..1000 {
            let name = format!("wa:{number}");
            assert_eq!(wire.ask(&["SET", &name, "amatista"]), "+OK\r\n");
        }
        assert_eq!(pair.redis.cli(&["SAVE"]), "OK");
        let port = pair.proxy.port();
        std::thread::scope(|scope| {
            let redis = &mut pair.redis;
            let restarted = scope.spawn(move || redis.restart());
            let mut heard = 0;
            while !restarted.is_finished() {
                let mut wire = Wire::tcp(port);
                for name in ["open:1", "wa:1"] {
                    wire.send(&request(&["GET", name]));
                    let Ok(reply) = wire.try_reply() else {
                        break;
                    };
                    if reply == "-LOADING Redis is loading the dataset in memory\r\n" {
                        heard += 1;
                    }
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(heard > 2, "{upstream}: {heard}");
        });
        let mut wire = pair.wire();
        assert_eq!(wire.ask(&["GET", "wa:1"]), "$8\r\namatista\r\n");
    }
}

#[test]
fn a_node_of_a_cluster_may_point_elsewhere() {
    for upstream in UPSTREAMS {
        let node = || {
            RedisServer::builder()
                .arg("cluster-enabled", "yes")
                .arg("cluster-node-timeout", "5000")
                .start()
        };
        let (first, second) = (node(), node());
        let most = ["CLUSTER", "ADDSLOTSRANGE", "0", "15494", "15496", "16383"];
        assert_eq!(first.cli(&most), "OK");
        assert_eq!(second.cli(&["CLUSTER", "ADDSLOTS", "15495"]), "OK");
        let port = second.port().to_string();
        assert_eq!(first.cli(&["CLUSTER", "MEET", "127.0.0.1", &port]), "OK");
        wait_until(|| first.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok"));
        let pair = Pair::before(first, upstream, &[]);
        let mut wire = pair.wire();
        let moved = format!("-MOVED 15495 127.0.0.1:{port}\r\n");
        assert_eq!(wire.ask(&["GET", "a"]), *moved.as_str());
        assert_eq!(wire.ask(&["SET", "wa:{a}", "amatista"]), *moved.as_str());
        assert_eq!(wire.ask(&["GET", "wa:{a}"]), *moved.as_str());
        assert_eq!(wire.ask(&["SET", "wa:{b}", "amatista"]), "+OK\r\n");
        assert_eq!(wire.ask(&["GET", "wa:{b}"]), "$8\r\namatista\r\n");
        let crossed = "-CROSSSLOT Keys in request don't hash to the same slot\r\n";
        assert_eq!(wire.ask(&["MGET", "wa:{b}", "wa:{c}"]), crossed);
    }
}
