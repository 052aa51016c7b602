//! TLS failures: whose certificate is not accepted, and the error that the operator reads.

use std::fs;
use std::path::PathBuf;

use waxseal_stores::{ConnectionFault, RecordStore, StoreError};
use waxseal_testing::{Certificates, RedisServer};

use super::{generous_limits, refusal, retry_until_ok, try_connect};

/// The error that the operator reads, in lower case. Anything but an unreachable store fails the
/// test.
async fn cause(url: &str) -> String {
    fault(url).await.to_string().to_lowercase()
}

async fn fault(url: &str) -> ConnectionFault {
    match refusal(url).await {
        StoreError::Connection { fault, .. } => fault,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn refuses_a_certificate_of_an_unknown_authority() {
    let server = RedisServer::builder().tls().start();
    let directory = tempfile::tempdir().unwrap();
    let stranger = Certificates::create_in(directory.path());
    let cause_with_another = cause(&format!(
        "{}?ca={}",
        server.tls_url(),
        stranger.ca().display()
    ))
    .await;
    // Without a CA the system's roots are used, and none of them knows this one.
    let cause_with_none = cause(&server.tls_url()).await;
    for cause in [cause_with_another, cause_with_none] {
        assert!(cause.contains("certificate"), "{cause}");
        assert!(
            cause.contains("unknownissuer") || cause.contains("badsignature"),
            "{cause}"
        );
    }
}

#[tokio::test]
async fn refuses_a_certificate_for_another_host() {
    let builder = RedisServer::builder()
        .tls()
        .arg("bind", "127.0.0.1 127.0.0.2");
    let server = builder.start();
    let query = format!("{}?ca={}", server.tls_port(), server.ca_path().display());
    let cause = cause(&format!("rediss://127.0.0.2:{query}")).await;
    assert!(
        cause.contains("certificate") && cause.contains("not valid for"),
        "{cause}"
    );
}

#[tokio::test]
async fn reports_that_the_server_requires_a_client_certificate() {
    let server = RedisServer::builder().tls_with_client_certificate().start();
    let url = format!("{}?ca={}", server.tls_url(), server.ca_path().display());
    let without = cause(&url).await;
    assert!(without.contains("certificate"), "{without}");

    let directory = tempfile::tempdir().unwrap();
    let stranger = Certificates::create_in(directory.path());
    let (certificate, key) = (stranger.client_certificate(), stranger.client_key());
    let foreign = format!("{url}&cert={}&key={}", certificate.display(), key.display());
    let foreign = cause(&foreign).await;
    assert!(
        foreign.contains("unknownca") || foreign.contains("certificate"),
        "{foreign}"
    );
}

#[tokio::test]
async fn a_tls_mismatch_is_reported() {
    let server = RedisServer::builder().tls().start();
    let ca = server.ca_path();
    let plain = format!("redis://127.0.0.1:{}", server.tls_port());
    assert_eq!(fault(&plain).await, ConnectionFault::OnlyTls);
    let tls = format!("rediss://127.0.0.1:{}?ca={}", server.port(), ca.display());
    assert_eq!(fault(&tls).await, ConnectionFault::NotTls);
}

#[tokio::test]
async fn names_a_certificate_file_that_is_missing() {
    let cause = cause("rediss://127.0.0.1:1?ca=/nowhere/ca.pem").await;
    assert!(cause.contains("/nowhere/ca.pem"), "{cause}");
}

#[tokio::test]
async fn renewed_certificates_are_used_for_the_next_connection() {
    let server = RedisServer::builder().tls_with_client_certificate().start();
    let directory = tempfile::tempdir().unwrap();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| directory.path().join(name));
    let others = Certificates::create_in(directory.path());
    let url = format!(
        "{}?ca={}&cert={}&key={}",
        server.tls_url(),
        server.ca_path().display(),
        cert.display(),
        key.display()
    );
    let renew = |certificate: PathBuf, its_key: PathBuf| {
        fs::copy(certificate, &cert).unwrap();
        fs::copy(its_key, &key).unwrap();
        server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    };
    renew(server.client_certificate_path(), server.client_key_path());
    let store = try_connect(&url, generous_limits()).await.unwrap();
    renew(others.client_certificate(), others.client_key());
    while store.status().await.is_ok() {}
    renew(server.client_certificate_path(), server.client_key_path());
    assert!(store.status().await.is_ok());
    // If the files cannot be parsed, those read at start are used.
    fs::write(&cert, "nothing of the kind").unwrap();
    server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    retry_until_ok(|| store.status()).await;
}
