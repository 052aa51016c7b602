//! The kinds of sockets on either side: TLS with and without client certificates, unix sockets.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use waxseal_testing::tools::on_path;
use waxseal_testing::{Certificates, RedisServer};

use super::wire::{Wire, contains};
use super::{UPSTREAMS, proxy_before};
use crate::program::{KEY, Program};
use crate::proxy::Proxy;

/// The answer of `redis-cli` to this, over TLS.
pub(super) fn over_tls(port: &str, certificates: &[(&str, &Path)], words: &[&str]) -> String {
    let mut command = Command::new(on_path("redis-cli"));
    command.args(["-h", "127.0.0.1", "-p", port, "--tls"]);
    for (flag, path) in certificates {
        command.arg(flag).arg(path);
    }
    let output = command.args(words).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    String::from_utf8(said).unwrap().trim_end().to_owned()
}

pub(super) fn tls_port(proxy: &Proxy) -> &str {
    let listener = proxy.listeners().iter().find(|it| it.starts_with("tls://"));
    listener.unwrap().rsplit_once(':').unwrap().1
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn tls_on_both_sides_carries_everything() {
    for upstream in UPSTREAMS {
        let redis = RedisServer::builder().tls_with_client_certificate().start();
        let (ca, cert, key) = (
            redis.ca_path(),
            redis.client_certificate_path(),
            redis.client_key_path(),
        );
        let url = format!(
            "{}?ca={}&cert={}&key={}",
            redis.tls_url(),
            ca.display(),
            cert.display(),
            key.display()
        );
        let directory = TempDir::new().unwrap();
        let ours = Certificates::create_in(directory.path());
        let (server_cert, server_key) =
            (text(&ours.server_certificate()), text(&ours.server_key()));
        let client_ca = text(&ours.ca());
        let flags = [
            "--listen",
            "tls://127.0.0.1:0",
            "--tls-cert",
            &server_cert,
            "--tls-key",
            &server_key,
            "--tls-client-ca",
            &client_ca,
        ];
        let proxy = proxy_before(&url, upstream, &flags);
        let (ca, cert, key) = (ours.ca(), ours.client_certificate(), ours.client_key());
        let known = [
            ("--cacert", ca.as_path()),
            ("--cert", &cert),
            ("--key", &key),
        ];
        let port = tls_port(&proxy);
        assert_eq!(over_tls(port, &known, &["SET", "wa:1", "amatista"]), "OK");
        assert_eq!(over_tls(port, &known, &["GET", "wa:1"]), "amatista");
        assert_eq!(
            over_tls(port, &known, &["-3", "HSET", "wa:h", "f", "amatista"]),
            "1"
        );
        assert_eq!(over_tls(port, &known, &["BLPOP", "open:none", "0.01"]), "");
        let long = "x".repeat(100_000);
        assert_eq!(over_tls(port, &known, &["SET", "wa:long", &long]), "OK");
        assert_eq!(over_tls(port, &known, &["GET", "wa:long"]), long);
        let stored = redis.cli(&["GET", "wa:1"]);
        assert!(!stored.is_empty() && !stored.contains("amatista"));
        // Who shows no certificate, or one of another authority, does not come in.
        let said = over_tls(port, &known[..1], &["GET", "wa:1"]);
        assert!(!said.contains("amatista") && said != "OK", "{said}");
        let (cert, key) = (redis.client_certificate_path(), redis.client_key_path());
        let others = [
            ("--cacert", ca.as_path()),
            ("--cert", &cert),
            ("--key", &key),
        ];
        let said = over_tls(port, &others, &["GET", "wa:1"]);
        assert!(!said.contains("amatista") && said != "OK", "{said}");
        // Plain words to a TLS listener are no conversation.
        let mut wire = Wire::tcp(port.parse().unwrap());
        wire.send(b"*1\r\n$4\r\nPING\r\n");
        assert!(!contains(&wire.until_the_end(), b"PONG"));
        assert_eq!(over_tls(port, &known, &["GET", "wa:1"]), "amatista");
        proxy.stop();
    }
}

#[test]
fn a_server_with_a_certificate_of_an_unknown_authority_is_not_used() {
    let redis = RedisServer::builder().tls().start();
    let directory = TempDir::new().unwrap();
    let foreign = Certificates::create_in(directory.path());
    let url = format!("{}?ca={}", redis.tls_url(), foreign.ca().display());
    let program = Program::new().env("REDIS_ENCRYPTION_KEY", KEY);
    let words = [
        "proxy",
        "--listen",
        "127.0.0.1:0",
        "--store",
        &url,
        "--protect",
        "wa:*",
    ];
    let mut running = program.start(&words);
    let mut said = String::new();
    crate::program::wait_until(|| {
        // It ends, or waits for a server that can be trusted.
        running.has_ended() || {
            running.wait_until_stderr(|text| {
                said = text.to_owned();
                !text.is_empty()
            });
            said.contains("waiting for the store")
        }
    });
    assert!(!said.contains("listening on"), "{said}");
    assert_eq!(redis.cli(&["DBSIZE"]), "0");
}

#[test]
fn unix_sockets_on_both_sides_carry_everything() {
    for upstream in UPSTREAMS {
        let redis = RedisServer::builder().unix_socket().start();
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("proxy.sock");
        let listen = format!("unix:{}", path.display());
        let url = format!("unix:{}", redis.unix_path().display());
        let proxy = proxy_before(&url, upstream, &["--listen", &listen]);
        assert!(
            proxy.listeners().contains(&listen),
            "{:?}",
            proxy.listeners()
        );
        let mut wire = Wire::unix(&path);
        assert_eq!(wire.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
        assert_eq!(wire.ask(&["GET", "wa:1"]), "$8\r\namatista\r\n");
        assert!(!redis.cli(&["GET", "wa:1"]).contains("amatista"));
        let mut over_tcp = Wire::tcp(proxy.port());
        assert_eq!(over_tcp.ask(&["GET", "wa:1"]), "$8\r\namatista\r\n");
        // A second proxy does not take the socket of one that lives.
        let program = Program::new().env("REDIS_ENCRYPTION_KEY", KEY);
        let words = [
            "proxy",
            "--listen",
            &listen,
            "--store",
            &url,
            "--protect",
            "wa:*",
        ];
        let output = program.run(&words).with_status(2);
        assert!(
            output.stderr.contains("cannot listen on"),
            "{}",
            output.stderr
        );
        assert_eq!(wire.ask(&["GET", "wa:1"]), "$8\r\namatista\r\n");
        proxy.stop();
        assert!(!path.exists());
        // The socket of a killed process is replaced.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let proxy = proxy_before(&url, upstream, &["--listen", &listen]);
        let mut wire = Wire::unix(&path);
        assert_eq!(wire.ask(&["GET", "wa:1"]), "$8\r\namatista\r\n");
        proxy.stop();
    }
}
