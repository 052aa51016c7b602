//! Requests that would lead clients past the proxy: requests with which they ask to be told of other
//! addresses, and pushed messages that tell them. Neither reaches the other side, and no client leaves
//! its lane for having asked.

use waxseal_testing::{Flavor, RedisServer};

use super::counts::server_connections;
use super::relay::{Manner, Relay};
use super::wire::{Wire, bulk, contains, request};
use super::{Pair, UPSTREAMS, proxy_before};
use crate::proxy::Proxy;

const SECRET: &str = "$8\r\namatista\r\n";
/// The requests of published clients when they connect, unless configured otherwise.
const NOTIFICATIONS: [&str; 5] = [
    "CLIENT",
    "MAINT_NOTIFICATIONS",
    "ON",
    "moving-endpoint-type",
    "external-ip",
];
/// The first words of pushed messages about other addresses.
const REDIRECTIONS: [&str; 7] = [
    "MOVING",
    "MIGRATING",
    "MIGRATED",
    "SMIGRATING",
    "SMIGRATED",
    "FAILING_OVER",
    "FAILED_OVER",
];

/// A server of this kind, what records everything that goes to it, and the proxy before that.
fn recorded(flavor: Flavor, upstream: &str) -> (RedisServer, Relay, Proxy) {
    let redis = RedisServer::builder().flavor(flavor).start();
    let relay = Relay::before(redis.port());
    let proxy = proxy_before(&relay.url(), upstream, &["--workers", "1"]);
    (redis, relay, proxy)
}

#[track_caller]
fn was_not_sent(relay: &Relay, word: &str, context: &str) {
    let seen = relay.seen().to_ascii_uppercase();
    assert!(contains(&seen, b"PING"), "{context}");
    assert!(!contains(&seen, word.as_bytes()), "{context}: {word}");
}

#[test]
fn unknown_client_subcommands_are_answered_as_by_redis_and_not_sent() {
    let long = "NoSuchWord".repeat(20);
    let very_long = "NoSuchWord".repeat(200_000);
    for upstream in UPSTREAMS {
        for flavor in [Flavor::System, Flavor::Valkey] {
            let context = format!("{flavor:?}, {upstream}");
            let (redis, relay, proxy) = recorded(flavor, upstream);
            let mut direct = Wire::tcp(redis.port());
            for words in [
                &NOTIFICATIONS[..],
                &["client", "Maint_Notifications", "on"],
                &["CLIENT", "NOSUCHWORD"],
                &["CLIENT", "NOSUCHWORD 'quoted' \"twice\""],
                &["CLIENT", "NOSUCHWORD\r\n-ERR other"],
                &["CLIENT", "nosuchwordé"],
                &["CLIENT", &long],
                &["CLIENT", &very_long, "x"],
            ] {
                let mut wire = Wire::tcp(proxy.port());
                let shown = &words[1][..words[1].len().min(40)];
                assert_eq!(wire.ask(words), direct.ask(words), "{context}: {shown}");
                assert_eq!(wire.ask(&["PING"]), "+PONG\r\n", "{context}: {shown}");
            }
            let mut wire = Wire::tcp(proxy.port());
            wire.send(b"CLIENT NoSuchWord x\r\nPING\r\n");
            let unknown = "-ERR unknown subcommand 'NoSuchWord'. Try CLIENT HELP.\r\n";
            assert_eq!(wire.reply(), unknown, "{context}");
            assert_eq!(wire.reply(), "+PONG\r\n", "{context}");
            was_not_sent(&relay, "MAINT_NOTIFICATIONS", &context);
            was_not_sent(&relay, "NOSUCHWORD", &context);
        }
    }
}

#[test]
fn an_unknown_client_subcommand_aborts_a_transaction() {
    for upstream in UPSTREAMS {
        let (redis, relay, proxy) = recorded(Flavor::System, upstream);
        let mut direct = Wire::tcp(redis.port());
        let mut wire = Wire::tcp(proxy.port());
        for words in [
            &["MULTI"][..],
            &["SET", "open:1", "x"],
            &NOTIFICATIONS,
            &["GET", "open:1"],
            &["EXEC"],
            &["EXISTS", "open:1"],
            &["MULTI"],
            &NOTIFICATIONS,
            &["DISCARD"],
            &["PING"],
        ] {
            let (reply, expected) = (wire.ask(words), direct.ask(words));
            if words == ["EXEC"] {
                // It names the cause, which a server leaves out.
                let abort = "-EXECABORT Transaction discarded because of";
                assert!(expected.starts_with(abort), "{expected:?}");
                let named = format!("{abort}: ERR unknown subcommand");
                assert!(reply.starts_with(&named), "{upstream}: {reply:?}");
                continue;
            }
            assert_eq!(reply, expected, "{upstream}: {words:?}");
        }
        was_not_sent(&relay, "MAINT_NOTIFICATIONS", upstream);
    }
}

/// Connections at the server when ten clients have sent these requests, each in RESP3.
fn connections_with(upstream: &str, requests: &[&[&str]]) -> usize {
    let pair = Pair::with(upstream, &["--workers", "1"]);
    let clients: Vec<Wire> = (0..10)
        .map(|_| {
            let mut wire = pair.wire().resp3();
            for words in requests {
                wire.ask(words);
            }
            assert_eq!(wire.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
            assert_eq!(wire.ask(&["GET", "wa:1"]), SECRET);
            wire
        })
        .collect();
    let connections = server_connections(&pair.redis);
    drop(clients);
    connections
}

#[test]
fn clients_that_ask_for_notifications_stay_on_their_lane() {
    for upstream in UPSTREAMS {
        let without = connections_with(upstream, &[]);
        let with = connections_with(upstream, &[&NOTIFICATIONS]);
        assert_eq!(with, without, "{upstream}");
    }
}

#[test]
fn valkey_is_not_told_that_a_client_follows_redirections() {
    for upstream in UPSTREAMS {
        let (valkey, _relay, proxy) = recorded(Flavor::Valkey, upstream);
        for words in [
            &["CLIENT", "CAPA", "redirect"][..],
            &["client", "capa", "REDIRECT"],
            &["CLIENT", "CAPA", "other", "redirect"],
            &["CLIENT", "CAPA", "ReDirect\0x"],
            &["CLIENT", "CAPA", "redirect\0"],
        ] {
            let context = format!("{upstream}, {words:?}");
            let mut wire = Wire::tcp(proxy.port());
            let reply = wire.ask(words);
            let fine = reply == "+OK\r\n"
                || (words.last().unwrap().contains('\0') && reply.starts_with("-SEALREFUSED "));
            assert!(fine, "{context}: {reply:?}");
            assert_eq!(wire.ask(&["PING"]), "+PONG\r\n", "{context}");
            for list in [wire.ask(&["CLIENT", "INFO"]), wire.ask(&["CLIENT", "LIST"])] {
                assert!(list.contains("capa="), "{context}: {list:?}");
                assert!(!list.contains("capa=r"), "{context}: {list:?}");
            }
            let mut wire = Wire::tcp(proxy.port());
            assert_eq!(wire.ask(&["MULTI"]), "+OK\r\n");
            wire.ask(words);
            wire.ask(&["EXEC"]);
            let list = valkey.cli(&["CLIENT", "LIST"]);
            assert!(!list.contains("capa=r"), "{context}: {list}");
        }
    }
}

#[test]
fn redis_s_own_error_comes_where_it_does_not_know_what_redirections_are() {
    for upstream in UPSTREAMS {
        let pair = Pair::start(upstream);
        let (mut wire, mut direct) = (pair.wire(), Wire::tcp(pair.redis.port()));
        for words in [&["CLIENT", "CAPA", "redirect"][..], &["client", "Capa"]] {
            assert_eq!(wire.ask(words), direct.ask(words), "{upstream}");
        }
        assert_eq!(wire.ask(&["PING"]), "+PONG\r\n");
    }
}

#[test]
fn pushed_messages_about_other_addresses_do_not_reach_clients_and_others_do() {
    let invalidated = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$6\r\nopen:1\r\n";
    let redirections: String = REDIRECTIONS
        .iter()
        .flat_map(|word| {
            let address = bulk("203.0.113.7:6379");
            let long = format!(">4\r\n{}:1\r\n:15\r\n{address}", bulk(word));
            let short = format!(">2\r\n+{word}\r\n*2\r\n:1\r\n{address}");
            [long, short]
        })
        .collect();
    for upstream in UPSTREAMS {
        let (redis, relay, proxy) = recorded(Flavor::System, upstream);
        let mut usual = Wire::tcp(proxy.port()).resp3();
        assert_eq!(usual.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
        let mut tracking = Wire::tcp(proxy.port()).resp3();
        assert_eq!(tracking.ask(&["CLIENT", "TRACKING", "ON"]), "+OK\r\n");
        // Between replies.
        relay.behaves(Manner::Prepends(redirections.clone().into()));
        for wire in [&mut usual, &mut tracking] {
            assert_eq!(wire.ask(&["GET", "wa:1"]), SECRET, "{upstream}");
            assert_eq!(wire.ask(&["GET", "open:1"]), "_\r\n", "{upstream}");
            wire.send(&[request(&["PING"]), request(&["GET", "wa:1"])].concat());
            assert_eq!(wire.reply(), "+PONG\r\n", "{upstream}");
            assert_eq!(wire.reply(), SECRET, "{upstream}");
        }
        // Unasked.
        relay.behaves(Manner::Passes);
        relay.push(redirections.as_bytes());
        redis.cli(&["SET", "open:1", "obsidiana"]);
        assert_eq!(tracking.reply(), invalidated, "{upstream}");
        for wire in [&mut usual, &mut tracking] {
            assert_eq!(wire.ask(&["GET", "wa:1"]), SECRET, "{upstream}");
            assert_eq!(wire.ask(&["ECHO", "end"]), "$3\r\nend\r\n", "{upstream}");
        }
    }
}
