//! Certificates that are renewed while the proxy runs, on either side; and those that are not renewed.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use waxseal_testing::{Certificates, RedisServer};

use super::sockets::{over_tls, tls_port};
use crate::metrics::admin;
use crate::program::{Program, wait_until};
use crate::proxy::Proxy;
use crate::status_page::Page;

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap();
}

#[test]
fn renewed_certificates_are_used_after_a_signal_and_bad_ones_never() {
    let redis = RedisServer::builder().tls().start();
    let directories = [(); 2].map(|()| TempDir::new().unwrap());
    let [first, second] = [0, 1].map(|at| Certificates::create_in(directories[at].path()));
    let used = TempDir::new().unwrap();
    let [cert, key, ca] = ["cert.pem", "key.pem", "ca.pem"].map(|name| used.path().join(name));
    copy(&first.server_certificate(), &cert);
    copy(&first.server_key(), &key);
    copy(&redis.ca_path(), &ca);
    let url = format!("{}?ca={}", redis.tls_url(), ca.display());
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
    let proxy = Proxy::start_at(&Program::at(&redis), &url, &flags);
    let port = tls_port(&proxy);
    let trusting =
        |created: &Certificates| over_tls(port, &[("--cacert", &created.ca())], &["PING"]);
    assert_eq!(trusting(&first), "PONG");
    let mut open = proxy.client();
    assert_eq!(open.cmd(&["WATCH", "open"]).to_text(), "OK");

    copy(&second.server_certificate(), &cert);
    copy(&second.server_key(), &key);
    proxy.signal("HUP");
    wait_until(|| trusting(&second) == "PONG");
    assert_ne!(trusting(&first), "PONG");

    // Half a renewal: the key is still that of the other certificate.
    copy(&first.server_certificate(), &cert);
    proxy.signal("HUP");
    wait_until(|| {
        proxy
            .said()
            .contains("the certificates of listeners were not replaced")
    });
    assert_eq!(trusting(&second), "PONG");

    // An authority that is not the server's: what is open stays so.
    copy(&second.ca(), &ca);
    proxy.signal("HUP");
    let is_ready = || {
        admin(proxy.admin_port(), "/readyz")
            .0
            .starts_with("http/1.1 200")
    };
    wait_until(|| !is_ready());
    assert_eq!(open.cmd(&["GET", "open"]).bytes(), None);
    copy(&redis.ca_path(), &ca);
    proxy.signal("HUP");
    wait_until(is_ready);
    assert_eq!(proxy.client().cmd(&["PING"]).to_text(), "PONG");
    proxy.stop();
}

#[test]
fn a_certificate_that_has_expired_is_reported_in_the_log_on_the_page_and_by_doctor() {
    let redis = RedisServer::start();
    let directory = TempDir::new().unwrap();
    let created = Certificates::create_in(directory.path());
    let (cert, key) = created.self_signed(&["localhost"], false, 2020);
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
    wait_until(|| {
        proxy
            .said()
            .contains(" has expired: put a new one in its place")
    });
    wait_until(|| Page::of(proxy.admin_port()).warns("WaxsealCertificateExpires"));
    assert_eq!(Page::of(proxy.admin_port()).level(), "critical");
    proxy.stop();

    let url = format!("rediss://127.0.0.1:1?ca={}", cert.display());
    let output = Program::at(&redis).run(&["doctor", "--store", &url]);
    let text = output.with_status(1).text();
    let found = text.lines().find(|line| line.contains(" certificates "));
    let found = found.unwrap_or_else(|| panic!("{text}"));
    assert!(
        found.starts_with("problem ") && found.contains(" has expired"),
        "{text}"
    );
}
