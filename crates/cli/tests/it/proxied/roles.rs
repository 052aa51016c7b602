//! A server whose role changes: its address leads to another one after a failover, and the old one takes no more
//! writes. Clients continue over new connections, and a replica on purpose is not stormed.

use waxseal_testing::RedisServer;

use super::counts::{happens, metric};
use super::proxy_before;
use super::relay::Relay;
use super::wire::Wire;

const READONLY: &str = "-READONLY You can't write against a read only replica.\r\n";
const SWITCHED: &str = "the store answers READONLY: its connections are reopened";

/// A server that is a replica of another.
fn replicate(replica: &RedisServer, primary: &RedisServer) {
    let port = primary.port().to_string();
    assert_eq!(replica.cli(&["REPLICAOF", "127.0.0.1", &port]), "OK");
    replica.wait_for_replica_link(primary);
}

#[test]
fn an_address_that_leads_to_a_new_primary_is_followed() {
    for upstream in ["auto", "shared"] {
        let (old, new) = (RedisServer::start(), RedisServer::start());
        replicate(&new, &old);
        let relay = Relay::before(old.port());
        let proxy = proxy_before(&relay.url(), upstream, &["--workers", "1"]);
        let mut wires: Vec<Wire> = (0..3).map(|_| Wire::tcp(proxy.port())).collect();
        for wire in &mut wires {
            assert_eq!(wire.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
        }
        // In `auto` it has a connection of its own from here on.
        let mut transacting = Wire::tcp(proxy.port());
        for (words, reply) in [("MULTI", "+OK\r\n"), ("EXEC", "*0\r\n")] {
            assert_eq!(transacting.ask(&[words]), reply, "{upstream}");
        }
        new.cli(&["REPLICAOF", "NO", "ONE"]);
        relay.leads_to(new.port());
        replicate(&old, &new);
        assert_eq!(wires[0].ask(&["SET", "wa:1", "amatista"]), READONLY);
        // Each on the connection that it has, and a new client.
        wires.push(Wire::tcp(proxy.port()));
        wires.push(transacting);
        for wire in &mut wires {
            assert_eq!(wire.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
        }
        // Nor does one that leaves its lane get a connection that was opened before.
        for words in [&["MULTI"][..], &["SET", "wa:2", "amatista"]] {
            wires[1].ask(words);
        }
        assert_eq!(wires[1].ask(&["EXEC"]), "*1\r\n+OK\r\n", "{upstream}");
        // Lanes speak RESP2 here, and so does the one that asks; the proxy's own checks do not.
        let to_old = || {
            let clients = old.cli(&["CLIENT", "LIST", "TYPE", "NORMAL"]);
            clients.matches(" resp=2").count()
        };
        assert!(happens(|| to_old() == 1), "{upstream}: {}", to_old());
        let log = proxy.stop().stderr;
        assert_eq!(log.matches(SWITCHED).count(), 1, "{upstream}: {log}");
    }
}

#[test]
fn a_replica_is_not_connected_to_for_each_write_that_it_refuses() {
    let (primary, replica) = (RedisServer::start(), RedisServer::start());
    replicate(&replica, &primary);
    let proxy = proxy_before(&replica.url(), "auto", &["--workers", "1"]);
    let mut wires: Vec<Wire> = (0..3).map(|_| Wire::tcp(proxy.port())).collect();
    for _ in 0..500 {
        for wire in &mut wires {
            assert_eq!(wire.ask(&["SET", "open:1", "x"]), READONLY);
            assert_eq!(wire.ask(&["GET", "open:1"]), "$-1\r\n");
        }
    }
    let opened = metric(&proxy, "waxseal_upstream_connections_opened_total");
    assert!(opened <= 20.0, "{opened}");
    proxy.stop();
}

#[test]
fn a_switch_disconnects_no_client_whose_next_request_finds_the_server_again() {
    for upstream in ["auto", "shared"] {
        for how in ["maxclients", "port"] {
            let redis = RedisServer::start();
            let proxy = proxy_before(&redis.url(), upstream, &["--workers", "1"]);
            let mut idle: Vec<Wire> = (0..2).map(|_| Wire::tcp(proxy.port())).collect();
            idle.push(Wire::tcp(proxy.port()).resp3());
            let mut asking = Wire::tcp(proxy.port());
            // In `auto` it has a connection of its own from here on.
            let mut transacting = Wire::tcp(proxy.port());
            for (words, reply) in [("MULTI", "+OK\r\n"), ("EXEC", "*0\r\n")] {
                assert_eq!(transacting.ask(&[words]), reply, "{upstream}");
            }
            for wire in idle.iter_mut().chain([&mut asking]) {
                assert_eq!(wire.ask(&["PING"]), "+PONG\r\n");
            }
            // It outlives what is set here.
            let mut operator = Wire::tcp(redis.port());
            let usual = operator.ask(&["CONFIG", "GET", how]);
            let usual = String::from_utf8(usual.0).unwrap();
            let usual = usual.split("\r\n").nth(4).unwrap().to_owned();
            assert_eq!(operator.ask(&["REPLICAOF", "127.0.0.1", "1"]), "+OK\r\n");
            let none = if how == "port" { "0" } else { "1" };
            assert_eq!(operator.ask(&["CONFIG", "SET", how, none]), "+OK\r\n");
            assert_eq!(transacting.ask(&["SET", "open:1", "x"]), READONLY);
            assert!(happens(|| proxy.said().contains(SWITCHED)));
            idle.push(transacting);
            // A request that comes now does not find the server, and says so.
            let answer = asking.ask(&["GET", "open:1"]);
            assert!(answer.starts_with("-ERR "), "{upstream}, {how}");
            assert!(asking.until_the_end().is_empty());
            assert_eq!(operator.ask(&["CONFIG", "SET", how, &usual]), "+OK\r\n");
            for wire in &mut idle {
                // The first reply is that to the request, and to no other.
                assert_eq!(
                    wire.ask(&["ECHO", "again"]),
                    "$5\r\nagain\r\n",
                    "{upstream}, {how}"
                );
            }
        }
    }
}
