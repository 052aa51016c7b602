//! Errors of the server, failed TLS handshakes, replies that are too large, and the last use of keys, counted by a running
//! proxy in front of a real server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use waxseal_core::SecretKey;
use waxseal_testing::RedisServer;
use waxseal_testing::tls::Certificates;

use super::metrics;
use crate::program::{KEY, OLD_KEY, Program, wait_until};
use crate::proxy::Proxy;

const ERRORS: &str = "waxseal_server_errors_total";

#[test]
fn a_full_store_shows_as_errors_of_the_server() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(&redis, &["--protect", "wa:*"]);
    let mut client = proxy.client();
    let mut direct = redis.client();
    direct.cmd(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    direct.cmd(&["CONFIG", "SET", "maxmemory", "1mb"]);
    let value = "x".repeat(64 * 1024);
    let mut refused = 0;
    for number in 0..40 {
        let reply = client.cmd(&["SET", &format!("wa:{number}"), &value]);
        if reply.error().is_some_and(|it| it.starts_with("OOM ")) {
            refused += 1;
        }
    }
    assert!(refused > 0, "the store never was full");
    let counted = metrics(proxy.admin_port());
    assert_eq!(counted.sum(ERRORS, &[("kind", "oom")]), f64::from(refused));
    assert_eq!(counted.sum(ERRORS, &[]), f64::from(refused));
    direct.cmd(&["CONFIG", "SET", "maxmemory", "0"]);
    // Others, each under its word, and what has none of its own together.
    direct.cmd(&["SADD", "open:set", "x"]);
    client.cmd(&["GET", "open:set"]);
    client.cmd(&["PING", "too", "many"]);
    client.cmd(&["MULTI"]);
    client.cmd(&["MULTI"]);
    client.cmd(&["GET", "open:set"]);
    client.cmd(&["EXEC"]);
    let counted = metrics(proxy.admin_port());
    // Inside the reply to EXEC is another, which is not.
    assert_eq!(counted.sum(ERRORS, &[("kind", "wrongtype")]), 1.0);
    assert!(counted.sum(ERRORS, &[("kind", "other")]) >= 1.0);
    // An error of the proxy's own is none of the server.
    let before = counted.sum(ERRORS, &[]);
    assert!(client.cmd(&["INCREX", "wa:1"]).error().is_some());
    assert_eq!(metrics(proxy.admin_port()).sum(ERRORS, &[]), before);
    proxy.stop();
}

#[test]
fn only_failed_handshakes_are_counted() {
    let redis = RedisServer::start();
    let directory = TempDir::new().unwrap();
    let ours = Certificates::create_in(directory.path());
    let (cert, key) = (ours.server_certificate(), ours.server_key());
    let flags = [
        "--protect",
        "wa:*",
        "--listen",
        "tls://127.0.0.1:0",
        "--tls-cert",
        cert.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
    ];
    let proxy = Proxy::start(&redis, &flags);
    let listener = proxy.listeners().iter().find(|it| it.starts_with("tls://"));
    let address = listener.unwrap().strip_prefix("tls://").unwrap();
    let failures = || {
        let counted = metrics(proxy.admin_port());
        counted.sum("waxseal_client_tls_failures_total", &[])
    };
    proxy.client().cmd(&["PING"]);
    assert_eq!(failures(), 0.0);
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"*1\r\n$4\r\nPING\r\n").unwrap();
    let _ = client.read_to_end(&mut Vec::new());
    wait_until(|| failures() == 1.0);
    proxy.stop();
}

#[test]
fn a_reply_that_is_too_large_is_counted() {
    let redis = RedisServer::start();
    let flags = ["--protect", "wa:*", "--max-value", "64KiB"];
    let proxy = Proxy::start(&redis, &flags);
    let mut client = proxy.client();
    let value = "x".repeat(40 * 1024);
    let mut words = vec!["MGET".to_owned()];
    for number in 0..8 {
        let name = format!("wa:{number}");
        client.cmd(&["SET", &name, &value]);
        words.push(name);
    }
    let too_large = || {
        let counted = metrics(proxy.admin_port());
        counted.sum("waxseal_replies_too_large_total", &[])
    };
    assert_eq!(client.cmd(&words[..2]).array().len(), 1);
    assert_eq!(too_large(), 0.0);
    let refused = client.cmd(&words).to_text();
    assert!(refused.starts_with("SEALREFUSED"), "{refused}");
    assert_eq!(too_large(), 1.0);
    proxy.stop();
}

#[test]
fn the_last_use_of_a_key_is_published_and_stays_without_further_use() {
    let redis = RedisServer::start();
    let keys = Program::at(&redis).keys(OLD_KEY, "");
    let old = Proxy::start_as(&keys, &redis, &["--protect", "wa:*", "--format", "sealed"]);
    old.client().cmd(&["SET", "wa:old", "{}"]);
    old.stop();
    let keys = Program::at(&redis).keys(KEY, OLD_KEY);
    let proxy = Proxy::start_as(&keys, &redis, &["--protect", "wa:*", "--format", "sealed"]);
    let mut client = proxy.client();
    let name = |key: &str| {
        let id = SecretKey::from_hex(key).unwrap().id().to_u32();
        waxseal_keys::instrumented::key_name(id)
    };
    let (new, old) = (name(KEY), name(OLD_KEY));
    let last = |key: &str| {
        let counted = metrics(proxy.admin_port());
        counted.sum("waxseal_key_last_use_timestamp_seconds", &[("key", key)])
    };
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        since.as_secs_f64()
    };
    let before = now();
    assert_eq!(client.cmd(&["SET", "wa:new", "{}"]).to_text(), "OK");
    let first = last(&new);
    assert!((before..=now()).contains(&first), "{first}");
    assert_eq!(last(&old), 0.0);
    assert_eq!(client.cmd(&["GET", "wa:old"]).to_text(), "{}");
    let opened = last(&old);
    assert!(opened >= first, "{opened} {first}");
    // Nothing has used either since.
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!((last(&new), last(&old)), (first, opened));
    client.cmd(&["GET", "wa:new"]);
    assert!(last(&new) > opened);
    proxy.stop();
}
