//! Paths to the server that die without a word: packets vanish, or something in between forgets a connection.
//! Clients that come are served, and those that wait are reported in time.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use waxseal_testing::{Flavor, Network, RedisServer};

use super::counts::{happens, metric};
use super::life::admin;
use super::relay::Relay;
use super::wire::{Raw, Wire, request};
use super::{UPSTREAMS, proxy_before};
use crate::metrics::exposition::Exposition;
use crate::program::{KEY, Program, Running, wait_until};
use crate::proxy::Proxy;

const LANES: [&str; 2] = ["auto", "shared"];
const CLOSED: &str = "a shared connection to the store is closed: a reply was due for ";
const TOLD: &str = "-ERR waxseal cannot reach the store: the connection is dead: a reply was late by --max-stall\r\n";

/// Connections that were closed because a reply was late.
fn stalled(proxy: &Proxy) -> f64 {
    let (_, text) = admin(proxy.admin_port(), "/metrics");
    Exposition::read(&text).sum("waxseal_upstream_errors_total", &[("kind", "stalled")])
}

/// True if a client that comes now is served. It may have come in before the path was known to be dead.
fn serves(proxy: &Proxy) -> bool {
    let mut wire = Wire::tcp(proxy.port());
    wire.send(&request(&["GET", "wa:1"]));
    wire.try_reply()
        .is_ok_and(|reply| reply == "$8\r\namatista\r\n")
}

#[test]
fn a_lane_whose_path_died_is_closed_and_a_client_that_waits_for_nothing_there_continues() {
    for upstream in LANES {
        let redis = RedisServer::start();
        let relay = Relay::before(redis.port());
        let flags = ["--workers", "1", "--max-stall", "1"];
        let proxy = proxy_before(&relay.url(), upstream, &flags);
        let mut waiting = Wire::tcp(proxy.port());
        let mut idle = Wire::tcp(proxy.port());
        assert_eq!(waiting.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
        assert_eq!(idle.ask(&["PING"]), "+PONG\r\n");
        relay.cut_paths();
        waiting.send(&request(&["GET", "wa:1"]));
        assert_eq!(waiting.until_the_end(), TOLD.as_bytes(), "{upstream}");
        assert!(serves(&proxy), "{upstream}");
        assert_eq!(idle.ask(&["GET", "wa:1"]), "$8\r\namatista\r\n");
        assert_eq!(stalled(&proxy), 1.0, "{upstream}");
        let suspect = || metric(&proxy, "waxseal_upstream_connections_suspect");
        assert!(happens(|| suspect() == 0.0), "{upstream}");
        assert_eq!(admin(proxy.admin_port(), "/readyz").0, 200);
        let log = proxy.stop().stderr;
        assert_eq!(log.matches(CLOSED).count(), 1, "{upstream}: {log}");
    }
}

#[test]
fn a_lane_whose_path_died_while_it_was_idle_is_found_before_a_client_needs_it() {
    let redis = RedisServer::start();
    let relay = Relay::before(redis.port());
    let flags = ["--workers", "1", "--max-stall", "1", "--keepalive", "1"];
    let proxy = proxy_before(&relay.url(), "auto", &flags);
    let mut idle = Wire::tcp(proxy.port());
    assert_eq!(idle.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
    relay.cut_paths();
    assert!(happens(|| stalled(&proxy) == 1.0));
    assert_eq!(idle.ask(&["GET", "wa:1"]), "$8\r\namatista\r\n");
    // So are connections that were opened ahead: this one leaves its lane.
    assert_eq!(idle.ask(&["MULTI"]), "+OK\r\n");
    assert_eq!(idle.ask(&["GET", "wa:1"]), "+QUEUED\r\n");
    assert_eq!(idle.ask(&["EXEC"]), "*1\r\n$8\r\namatista\r\n");
    proxy.stop();
}

#[test]
fn what_closes_connections_that_are_silent_does_not_close_those_of_the_proxy() {
    const IDLE_LIMIT: Duration = Duration::from_secs(4);
    let redis = RedisServer::start();
    let relay = Relay::before(redis.port());
    relay.closes_idle_after(IDLE_LIMIT);
    let proxy = proxy_before(
        &relay.url(),
        "auto",
        &["--workers", "1", "--keepalive", "1"],
    );
    let mut wire = Wire::tcp(proxy.port());
    assert_eq!(wire.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
    let mut operator = Wire::tcp(redis.port());
    assert_eq!(operator.ask(&["MONITOR"]), "+OK\r\n");
    let mut watcher = Wire::tcp(proxy.port());
    assert_eq!(watcher.ask(&["MONITOR"]), "+OK\r\n");
    std::thread::sleep(IDLE_LIMIT + Duration::from_secs(2));
    assert_eq!(wire.ask(&["GET", "wa:1"]), "$8\r\namatista\r\n");
    // The server was asked, and the proxy's own clients do not see that.
    let is_ping = |line: &Raw| line.contains("\"pING\"");
    let is_get = |line: &Raw| line.contains("\"GET\" \"wa:1\"");
    let lines_until_get = |wire: &mut Wire| {
        let mut lines = vec![wire.reply()];
        while !lines.last().is_some_and(is_get) {
            lines.push(wire.reply());
        }
        lines
    };
    assert!(lines_until_get(&mut operator).iter().any(is_ping));
    assert!(!lines_until_get(&mut watcher).iter().any(is_ping));
    // A connection that was opened ahead has lasted as well.
    let accepted = relay.accepted();
    assert_eq!(wire.ask(&["MULTI"]), "+OK\r\n");
    assert_eq!(wire.ask(&["EXEC"]), "*0\r\n");
    assert!(relay.accepted() <= accepted + 1, "{}", relay.accepted());
    proxy.stop();
}

/// A server on the far host of a network, which tests reach over its unix socket.
struct FarServer(Child);

impl FarServer {
    fn start(network: &Network, socket: &Path) -> Self {
        let far = network.far();
        let (program, words) = far.split_first().unwrap();
        let flags = format!(
            "--bind {} --port 6379 --protected-mode no --unixsocket {}",
            Network::FAR,
            socket.display()
        );
        let child = Command::new(program)
            .args(words)
            .arg(Flavor::System.program())
            .args(flags.split(' '))
            .args(["--save", "", "--dir"])
            .arg(socket.parent().unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        wait_until(|| socket.exists());
        Self(child)
    }
}

impl Drop for FarServer {
    fn drop(&mut self) {
        // It fails only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A proxy on the near host, before a server on the far one.
fn near_proxy(network: &Network, upstream: &str, program: &Program) -> (Running, Wire) {
    let socket = program.path("proxy.sock");
    let listen = format!("unix:{}", socket.display());
    let store = format!("redis://{}/", Network::FAR);
    let flags = ["--listen", &listen, "--store", &store, "--protect", "wa:*"];
    let more = ["--max-stall", "1", "--workers", "1", "--upstream", upstream];
    let words = [&["proxy"][..], &flags, &more].concat();
    let mut running = program.start_within(&network.near(), &words);
    running.wait_until_it_says("waxseal: listening on ");
    (running, Wire::unix(&socket))
}

#[test]
fn packets_that_vanish_are_noticed_on_lanes_and_on_connections_of_one_client() {
    let network = Network::new();
    let directory = Program::new();
    let _server = FarServer::start(&network, &directory.path("redis.sock"));
    for upstream in UPSTREAMS {
        let program = Program::new().env("REDIS_ENCRYPTION_KEY", KEY);
        let (running, mut wire) = near_proxy(&network, upstream, &program);
        assert_eq!(
            wire.ask(&["SET", "wa:1", "amatista"]),
            "+OK\r\n",
            "{upstream}"
        );
        let mut idle = Wire::unix(&program.path("proxy.sock"));
        assert_eq!(idle.ask(&["PING"]), "+PONG\r\n", "{upstream}");
        let mut blocked = Wire::unix(&program.path("proxy.sock"));
        assert_eq!(blocked.ask(&["MULTI"]), "+OK\r\n", "{upstream}");
        network.cut();
        wire.send(&request(&["GET", "wa:1"]));
        blocked.send(&request(&["EXEC"]));
        // No answer to the probe on a lane may be the fault of the server. The system knows better.
        for wire in [&mut wire, &mut blocked] {
            let told = wire.until_the_end();
            let is_told =
                told.is_empty() || told.starts_with(b"-ERR waxseal cannot reach the store");
            assert!(is_told, "{upstream}: {}", told.escape_ascii());
        }
        if upstream == "auto" {
            // For longer than connecting may take: a client that needs nothing is not concerned.
            std::thread::sleep(Duration::from_secs(6));
        }
        network.restore();
        // Who waited for nothing on a lane continues; a connection of one client is as dead as it would be without.
        if upstream != "own" {
            assert_eq!(idle.ask(&["PING"]), "+PONG\r\n", "{upstream}");
        }
        let mut wire = Wire::unix(&program.path("proxy.sock"));
        assert_eq!(
            wire.ask(&["GET", "wa:1"]),
            "$8\r\namatista\r\n",
            "{upstream}"
        );
        running.signal("TERM");
        running.end().done();
    }
}
