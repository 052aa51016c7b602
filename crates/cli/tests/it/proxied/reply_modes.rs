//! `CLIENT REPLY` where the server refuses it: then replies come as before, and each belongs to its
//! request.

use std::time::Duration;

use waxseal_testing::RedisServer;

use super::wire::{Wire, request};
use super::{UPSTREAMS, proxy_before};

const SECRET: &str = "$8\r\namatista\r\n";
/// After which no more replies come.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A server with a user of the proxy and one that may not switch replies.
fn server() -> RedisServer {
    RedisServer::builder()
        .password("main")
        .user_acl("user proxy on >open-sesame ~* &* +@all")
        .user_acl("user few on >few ~* &* +@all -client|reply")
        .start()
}

/// Sends requests in one go, of which the first switches replies. Either an error says that it is not
/// allowed, and the expected replies come in this order; or the proxy does it on its own, and the first
/// of them is left out. The connection may end before the last of them.
#[track_caller]
fn are_answered_in_order(wire: &mut Wire, requests: &[&[&str]], expected: &[&str], context: &str) {
    let bytes: Vec<u8> = requests.iter().flat_map(|words| request(words)).collect();
    wire.set_timeout(TIMEOUT);
    // It may be closed before all is sent.
    let _ = wire.try_send(&bytes);
    let mut received = Vec::new();
    while received.len() <= expected.len() {
        let Ok(reply) = wire.try_reply() else {
            break;
        };
        received.push(reply);
    }
    let refused = received.first().is_some_and(|first| first.starts_with("-"));
    let (replies, expected) = match refused {
        true => (&received[1..], expected),
        false => (&received[..], &expected[1..]),
    };
    assert!(replies.len() <= expected.len(), "{context}: {received:?}");
    for (reply, expected) in replies.iter().zip(expected) {
        assert_eq!(reply, *expected, "{context}: {received:?}");
    }
}

#[test]
fn replies_belong_to_their_requests_where_a_user_may_not_switch_them() {
    for mode in ["SKIP", "OFF"] {
        for upstream in UPSTREAMS {
            let context = format!("{upstream}, {mode}");
            let redis = server();
            let url = format!("redis://proxy:open-sesame@127.0.0.1:{}/", redis.port());
            let proxy = proxy_before(&url, upstream, &["--workers", "1"]);
            let mut usual = Wire::tcp(proxy.port());
            assert_eq!(usual.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
            let mut wire = Wire::tcp(proxy.port());
            assert_eq!(wire.ask(&["AUTH", "few", "few"]), "+OK\r\n");
            let requests = [
                &["CLIENT", "REPLY", mode][..],
                &["GET", "wa:1"],
                &["ECHO", "one"],
                &["GET", "wa:1"],
                &["ECHO", "two"],
                &["PING"],
            ];
            let expected = [
                SECRET,
                "$3\r\none\r\n",
                SECRET,
                "$3\r\ntwo\r\n",
                "+PONG\r\n",
            ];
            are_answered_in_order(&mut wire, &requests, &expected, &context);
            assert_eq!(usual.ask(&["GET", "wa:1"]), SECRET, "{context}");
        }
    }
}

#[test]
fn replies_belong_to_their_requests_where_a_subscriber_may_not_switch_them() {
    for mode in ["SKIP", "OFF"] {
        for upstream in UPSTREAMS {
            let context = format!("{upstream}, {mode}");
            let redis = RedisServer::start();
            let proxy = proxy_before(&redis.url(), upstream, &["--workers", "1"]);
            let mut wire = Wire::tcp(proxy.port());
            assert_eq!(wire.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
            assert!(wire.ask(&["SUBSCRIBE", "news"]).contains("subscribe"));
            let requests = [
                &["CLIENT", "REPLY", mode][..],
                &["PING", "one"],
                &["PING", "two"],
            ];
            let pong = |word| format!("*2\r\n$4\r\npong\r\n$3\r\n{word}\r\n");
            let expected = [pong("one"), pong("two")];
            let expected = expected.each_ref().map(String::as_str);
            are_answered_in_order(&mut wire, &requests, &expected, &context);
        }
    }
}

#[test]
fn replies_belong_to_their_requests_where_no_client_has_logged_in() {
    let unauthenticated = "-NOAUTH Authentication required.\r\n";
    for mode in ["SKIP", "OFF"] {
        for upstream in UPSTREAMS {
            let context = format!("{upstream}, {mode}");
            let redis = server();
            let url = format!("redis://proxy:open-sesame@127.0.0.1:{}/", redis.port());
            let flags = ["--clients-authenticate", "--workers", "1"];
            let proxy = proxy_before(&url, upstream, &flags);
            let mut usual = Wire::tcp(proxy.port());
            assert_eq!(usual.ask(&["AUTH", "main"]), "+OK\r\n");
            assert_eq!(usual.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
            let mut wire = Wire::tcp(proxy.port());
            let requests = [
                &["CLIENT", "REPLY", mode][..],
                &["GET", "wa:1"],
                &["AUTH", "main"],
                &["GET", "wa:1"],
                &["ECHO", "one"],
            ];
            let expected = [unauthenticated, "+OK\r\n", SECRET, "$3\r\none\r\n"];
            are_answered_in_order(&mut wire, &requests, &expected, &context);
            assert_eq!(usual.ask(&["GET", "wa:1"]), SECRET, "{context}");
        }
    }
}
