//! Certificates, verified by a client independent of Rust: Node's TLS.

use std::path::Path;

use waxseal_testing::{Certificates, RedisServer, node};

/// Sends PING over TLS, prints the reply or the code of the error.
const PING: &str = r"
const fs = require('node:fs');
const [port, ca, cert, key] = process.argv.slice(2);
const options = { host: '127.0.0.1', port: Number(port), ca: fs.readFileSync(ca) };
if (cert) Object.assign(options, { cert: fs.readFileSync(cert), key: fs.readFileSync(key) });
const done = (text) => { console.log(text); process.exit(0); };
const socket = require('node:tls').connect(options, () => socket.write('PING\r\n'));
socket.on('data', (data) => done(data.toString().trim()));
socket.on('error', (error) => done('error ' + error.code));
socket.on('end', () => done('error closed'));
";

fn ping(server: &RedisServer, ca: &Path, client: Option<(&Path, &Path)>) -> String {
    let port = server.tls_port().to_string();
    let mut arguments = vec![port.as_str(), ca.to_str().unwrap()];
    if let Some((certificate, key)) = client {
        arguments.extend([certificate.to_str().unwrap(), key.to_str().unwrap()]);
    }
    String::from_utf8(node::run(PING, &arguments, b""))
        .unwrap()
        .trim()
        .to_owned()
}

#[test]
fn a_client_that_trusts_the_authority_is_answered_over_tls() {
    let server = RedisServer::builder().tls().start();
    assert_eq!(ping(&server, &server.ca_path(), None), "+PONG");
    assert!(server.tls_url().starts_with("rediss://127.0.0.1:"));
}

#[test]
fn a_client_that_trusts_another_authority_refuses_the_server() {
    let server = RedisServer::builder().tls().start();
    let directory = tempfile::tempdir().unwrap();
    let stranger = Certificates::create_in(directory.path());
    let answer = ping(&server, &stranger.ca(), None);
    assert!(
        answer.starts_with("error ") && answer != "error closed",
        "{answer}"
    );
}

#[test]
fn a_server_that_requires_a_client_certificate_refuses_clients_without_one() {
    let server = RedisServer::builder().tls_with_client_certificate().start();
    let ca = server.ca_path();
    let (certificate, key) = (server.client_certificate_path(), server.client_key_path());
    assert_eq!(ping(&server, &ca, Some((&certificate, &key))), "+PONG");
    let refused = ping(&server, &ca, None);
    assert!(refused.starts_with("error "), "{refused}");
}
