//! Servers that answer late, as a whole or to some: clients wait for them as they would without the proxy, and no
//! connection is taken for dead.

use std::time::Duration;

use waxseal_testing::RedisServer;

use super::counts::{happens, metric};
use super::life::admin;
use super::wire::{Wire, request};
use super::{Pair, UPSTREAMS};

const FLAGS: [&str; 4] = ["--workers", "1", "--max-stall", "1"];
/// Longer than a reply may be late, and than the connection may be silent after that.
const STALL: Duration = Duration::from_secs(3);
/// Runs until it is killed.
const ENDLESS_SCRIPT: &str = "while true do end";

fn errors(pair: &Pair) -> f64 {
    metric(&pair.proxy, "waxseal_upstream_errors_total")
}

#[test]
fn a_server_that_is_frozen_for_longer_than_replies_may_be_late_loses_nothing() {
    const REQUESTS: usize = 300;
    let value = "x".repeat(10_000);
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &FLAGS);
        let mut wires: Vec<Wire> = (0..5).map(|_| pair.wire()).collect();
        for wire in &mut wires {
            assert_eq!(wire.ask(&["PING"]), "+PONG\r\n");
        }
        pair.redis.stop_process();
        // More than the receive window of the server's system: it cannot take them all.
        let mut many = wires.pop().unwrap();
        let requests = request(&["SET", "open:large", &value]).repeat(REQUESTS);
        let sender = std::thread::spawn(move || {
            many.send(&requests);
            let replies = (0..REQUESTS).map(|_| many.reply());
            replies.filter(|reply| *reply == "+OK\r\n").count()
        });
        for (number, wire) in wires.iter_mut().enumerate() {
            wire.send(&request(&["SET", &format!("wa:{number}"), "amatista"]));
        }
        std::thread::sleep(STALL);
        let is_late = || admin(pair.proxy.admin_port(), "/readyz").0 == 503;
        assert!(happens(is_late), "{upstream}");
        pair.redis.continue_process();
        for (number, wire) in wires.iter_mut().enumerate() {
            assert_eq!(wire.reply(), "+OK\r\n", "{upstream}, {number}");
        }
        assert_eq!(sender.join().unwrap(), REQUESTS, "{upstream}");
        assert_eq!(errors(&pair), 0.0, "{upstream}");
        let is_ready = || admin(pair.proxy.admin_port(), "/readyz").0 == 200;
        assert!(happens(is_ready), "{upstream}");
        pair.proxy.stop();
    }
}

#[test]
fn a_slow_script_is_answered_and_a_client_that_comes_meanwhile_is_served_as_by_the_server() {
    let redis = RedisServer::start();
    redis.cli(&["CONFIG", "SET", "lua-time-limit", "500"]);
    let pair = Pair::before(redis, "auto", &FLAGS);
    let mut slow = pair.wire();
    slow.send(&request(&["EVAL", ENDLESS_SCRIPT, "0"]));
    let suspect = || metric(&pair.proxy, "waxseal_upstream_connections_suspect");
    assert!(happens(|| suspect() == 1.0));
    // Its lane is not a place for new clients: they are told what a direct one is.
    let busy = pair.wire().ask(&["GET", "wa:1"]);
    assert!(busy.starts_with("-BUSY "), "{busy:?}");
    let told = "a new connection to it gets none either (it runs a script)";
    assert!(happens(|| pair.proxy.said().contains(told)));
    assert_eq!(pair.redis.cli(&["SCRIPT", "KILL"]), "OK");
    // The server's own words, late as they are.
    let killed = slow.reply();
    assert!(killed.contains("Script killed by user"), "{killed:?}");
    let done = slow.ask(&["EVAL", "return 'done'", "0"]);
    assert_eq!(done, "$4\r\ndone\r\n");
    assert_eq!(errors(&pair), 0.0);
    let log = pair.proxy.stop().stderr;
    assert_eq!(log.matches(told).count(), 1, "{log}");
    assert!(
        log.contains("replies of the store are no longer late"),
        "{log}"
    );
}

#[test]
fn writes_that_the_server_holds_back_are_waited_for() {
    let pair = Pair::with("auto", &FLAGS);
    let mut writer = pair.wire();
    assert_eq!(writer.ask(&["PING"]), "+PONG\r\n");
    let pause = pair.redis.cli(&["CLIENT", "PAUSE", "120000", "WRITE"]);
    assert_eq!(pause, "OK");
    writer.send(&request(&["SET", "wa:1", "amatista"]));
    let late = "the store answers, but a reply on a connection that clients share is late by --max-stall\n";
    let is_late = || admin(pair.proxy.admin_port(), "/readyz") == (503, late.to_owned());
    assert!(happens(is_late));
    assert_eq!(pair.wire().ask(&["GET", "open:1"]), "$-1\r\n");
    assert_eq!(pair.redis.cli(&["CLIENT", "UNPAUSE"]), "OK");
    assert_eq!(writer.reply(), "+OK\r\n");
    assert_eq!(errors(&pair), 0.0);
    let is_ready = || admin(pair.proxy.admin_port(), "/readyz").0 == 200;
    assert!(happens(is_ready));
    pair.proxy.stop();
}
