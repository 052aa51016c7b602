//! An application behind the proxy that still encrypts on its own, under the same key: the values that it writes are
//! envelopes already. That is reported and counted, and nothing is lost.

use waxseal_testing::RedisServer;

use super::counts::{happens, metric};
use super::wire::{Wire, request};
use super::{Pair, UPSTREAMS, bulk_of, proxy_before};

const SEALED_TWICE: &str = "waxseal_sealed_twice_total";

/// The stored value of this name.
fn stored(redis: &RedisServer, name: &str) -> Vec<u8> {
    redis
        .client()
        .cmd(&["GET", name])
        .bytes()
        .expect("it is there")
}

#[test]
fn envelopes_that_a_client_writes_are_counted_and_logged_with_the_pattern() {
    for upstream in UPSTREAMS {
        for format in ["classic", "sealed"] {
            let context = format!("{upstream}, {format}");
            let redis = RedisServer::start();
            let flags = ["--workers", "1", "--format", format];
            let proxy = proxy_before(&redis.url(), upstream, &flags);
            let mut wire = Wire::tcp(proxy.port());
            assert_eq!(
                wire.ask(&["SET", "wa:1", "{\"secret\":\"amatista\"}"]),
                "+OK\r\n"
            );
            let envelope = stored(&redis, "wa:1");
            for plain in [
                "{}",
                "c2VjcmV0LCBidXQgbm8gZW52ZWxvcGUgYXQgYWxsLCBqdXN0IHRleHQ=",
                "",
            ] {
                assert_eq!(wire.ask(&["SET", "wa:2", plain]), "+OK\r\n");
            }
            assert_eq!(metric(&proxy, SEALED_TWICE), 0.0, "{context}");
            // After a text that could have been one and was none, others are not tried for a moment.
            let counted = happens(|| {
                assert_eq!(wire.ask(&[&b"SET"[..], b"wa:1", &envelope]), "+OK\r\n");
                metric(&proxy, SEALED_TWICE) > 0.0
            });
            assert!(counted, "{context}");
            let before = metric(&proxy, SEALED_TWICE);
            wire.send(&request(&[&b"SET"[..], b"wa:1", &envelope]).repeat(10));
            for _ in 0..10 {
                assert_eq!(wire.reply(), "+OK\r\n");
            }
            assert_eq!(metric(&proxy, SEALED_TWICE), before + 10.0, "{context}");
            // The client gets back what it wrote.
            assert_eq!(
                wire.ask(&["GET", "wa:1"]).0,
                bulk_of(Some(&envelope)),
                "{context}"
            );
            let is_warning =
                |line: &&str| line.contains("WARN") && line.contains("encrypted already");
            let told = happens(|| proxy.said().lines().any(|line| is_warning(&line)));
            let log = proxy.stop().stderr;
            assert!(told, "{context}: {log}");
            assert_eq!(
                log.lines().filter(is_warning).count(),
                1,
                "{context}: {log}"
            );
            let warning = log.lines().find(is_warning).unwrap();
            assert!(
                warning.contains("wa:*") && warning.contains("sealed again"),
                "{warning}"
            );
            assert!(!log.contains("amatista") && !log.contains("wa:1"), "{log}");
        }
    }
}

#[test]
fn envelopes_are_noticed_where_the_proxy_seals_nothing() {
    let redis = RedisServer::start();
    let sealing = Pair::before(redis, "auto", &["--format", "sealed"]);
    assert_eq!(sealing.wire().ask(&["SET", "wa:1", "{\"v\":1}"]), "+OK\r\n");
    let envelope = stored(&sealing.redis, "wa:1");
    let program = crate::program::Program::new()
        .env("REDIS_ENCRYPTION_KEY", crate::program::KEY)
        .env("ENABLE_REDIS_ENCRYPTION", "false");
    let flags = ["--protect", "wa:*", "--workers", "1"];
    let off = crate::proxy::Proxy::start_at(&program, &sealing.redis.url(), &flags);
    let mut wire = Wire::tcp(off.port());
    assert_eq!(wire.ask(&[&b"SET"[..], b"wa:1", &envelope]), "+OK\r\n");
    assert_eq!(metric(&off, SEALED_TWICE), 1.0);
    // The application gets the value in the place of its envelope.
    assert_eq!(wire.ask(&["GET", "wa:1"]), "$7\r\n{\"v\":1}\r\n");
    assert!(
        happens(|| off.said().contains("is opened when it is read")),
        "{}",
        off.said()
    );
}
