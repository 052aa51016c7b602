//! Errors name their remedy, in every command alike: what cannot be reached, what is refused, and what is
//! written the wrong way.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use waxseal_testing::RedisServer;

use crate::program::{KEY, Program};
use crate::records::{NAME, STATE, put, server_with_states};

/// Commands that open the store, each in its own way. A proxy waits for its store, and is told apart.
const COMMANDS: [&[&str]; 6] = [
    &["doctor"],
    &["get", NAME],
    &["inspect", NAME],
    &["audit"],
    &["migrate"],
    &["quarantine", "list"],
];

/// Every command says what happened and what to do about it.
#[track_caller]
fn assert_told(program: &Program, happened: &str, remedy: &str) {
    for command in COMMANDS {
        let output = program.run(command);
        let text = output.text() + &output.stderr;
        assert!(
            text.contains(happened) && text.contains(remedy),
            "{command:?}: no «{happened}» and «{remedy}» in: {text}"
        );
        assert_ne!(output.status, 0, "{command:?}");
    }
}

fn with_url(url: &str) -> Program {
    Program::new()
        .env("REDIS_URL", url)
        .env("REDIS_ENCRYPTION_KEY", KEY)
}

#[test]
fn a_password_that_is_missing_wrong_or_not_asked_for() {
    let server = RedisServer::builder().password("s3cret").start();
    let url = |login: &str| with_url(&format!("redis://{login}127.0.0.1:{}", server.port()));
    let remedy = "put the password into the URL: redis://:PASSWORD@HOST:PORT";
    assert_told(&url(""), "(NOAUTH): it requires a password", remedy);
    // It stands where the user does.
    assert_told(&url("s3cret@"), "(NOAUTH): it requires a password", remedy);
    for login in [":wr0ng@", "nobody:s3cret@"] {
        let remedy = "check user and password in the URL";
        assert_told(
            &url(login),
            "(WRONGPASS): user or password is wrong",
            remedy,
        );
    }
    assert!(url(":s3cret@").run(&["audit"]).status == 0);
}

/// The one connection that a server with `maxclients 1` accepts. The one that set the limit may still
/// be counted for a moment.
fn only_connection(server: &RedisServer) -> TcpStream {
    for _ in 0..600 {
        let mut connection = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        // A refused connection may be reset before the request is written.
        let _ = connection.write_all(b"PING\r\n");
        let mut reply = [0; 7];
        if connection.read_exact(&mut reply).is_ok() && &reply == b"-NOAUTH" {
            return connection;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("the server accepted no connection");
}

#[test]
fn a_server_with_too_many_clients_is_not_one_that_refuses_the_password() {
    let server = RedisServer::builder().password("s3cret").start();
    server.client().cmd(&["CONFIG", "SET", "maxclients", "1"]);
    let held = only_connection(&server);
    for login in ["", ":s3cret@"] {
        let program = with_url(&format!("redis://{login}127.0.0.1:{}", server.port()));
        let happened = "the store is not ready (max number of clients reached)";
        assert_told(&program, happened, "or raise its maxclients");
    }
    drop(held);
}

/// A server whose certificate signed itself.
fn with_certificate(name: &str, is_ca: bool, until: i32) -> (RedisServer, String) {
    let server = RedisServer::builder().tls().start();
    let (certificate, key) = server.certificates().self_signed(&[name], is_ca, until);
    let (pem, key) = (path(&certificate), path(&key));
    let set = ["CONFIG", "SET", "tls-cert-file", &pem, "tls-key-file", &key];
    assert_eq!(server.cli(&set), "OK");
    (server, pem)
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn certificates_that_are_not_trusted_are_reported_with_what_to_write() {
    let server = RedisServer::builder().tls().start();
    let url = server.tls_url();
    let remedy = "name the authority that signed the server's certificate: rediss://HOST:PORT?ca=";
    assert_told(
        &with_url(&url),
        "invalid peer certificate: UnknownIssuer",
        remedy,
    );
    let trusted = format!("{url}?ca={}", path(&server.ca_path()));
    with_url(&trusted).run(&["audit"]).done();
    let file = format!("{url}?ca=/nonexistent/ca.pem");
    let remedy = "check the paths behind ca, cert and key in the URL";
    assert_told(&with_url(&file), "cannot read /nonexistent/ca.pem", remedy);

    let (server, own) = with_certificate("127.0.0.1", true, 4000);
    let url = server.tls_url();
    let remedy = "-addext basicConstraints=critical,CA:FALSE";
    for url in [url.clone(), format!("{url}?ca={own}")] {
        assert_told(&with_url(&url), "CaUsedAsEndEntity", remedy);
    }
    // What the remedy says works.
    let (server, own) = with_certificate("127.0.0.1", false, 4000);
    let trusted = format!("{}?ca={own}", server.tls_url());
    with_url(&trusted).run(&["audit"]).done();
    let (server, own) = with_certificate("redis.example.org", false, 4000);
    let other = format!("{}?ca={own}", server.tls_url());
    let remedy = "write a host into the URL that the certificate is for";
    assert_told(&with_url(&other), "not valid for name", remedy);
    let (server, own) = with_certificate("127.0.0.1", false, 2001);
    let expired = format!("{}?ca={own}", server.tls_url());
    assert_told(
        &with_url(&expired),
        "invalid peer certificate",
        "renew the server's certificate",
    );

    let strict = RedisServer::builder().tls_with_client_certificate().start();
    let url = format!("{}?ca={}", strict.tls_url(), path(&strict.ca_path()));
    let remedy = "?cert=/PATH/client.pem&key=/PATH/client.key";
    assert_told(&with_url(&url), "CertificateRequired", remedy);
}

#[test]
fn tls_at_a_plain_port_and_the_reverse_are_reported_as_such() {
    let server = RedisServer::builder().tls().start();
    let url = format!("rediss://127.0.0.1:{}", server.port());
    let told = "the server does not speak TLS there\n";
    assert_told(&with_url(&url), told, "write redis:// instead of rediss://");
    let url = format!("redis://127.0.0.1:{}", server.tls_port());
    let told = "the server speaks TLS there\n";
    assert_told(&with_url(&url), told, "write rediss:// instead of redis://");
}

#[test]
fn urls_that_lead_elsewhere_are_reported_with_what_to_check() {
    let server = RedisServer::start();
    let database = format!("{}99", server.url());
    let remedy =
        "the number behind the last / of the URL (or db=) names the database: a server has 0 to 15";
    assert_told(&with_url(&database), "no such database", remedy);
    let tls = format!("{}?ca=/ca.pem", server.url());
    assert_told(
        &with_url(&tls),
        "ca, cert and key are for TLS",
        "write rediss:// for TLS",
    );
    let none = "unix:/nonexistent/redis.sock";
    assert_told(&with_url(none), "there is no such socket", "check the path");
    let host = "redis://nonexistent.invalid:6379";
    assert_told(
        &with_url(host),
        "failed to lookup address",
        "check the host of the URL",
    );
    // Anything else that listens.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let told = "something other than a Redis server answers there";
    assert_told(&with_url(&url), told, "something else listens there");
}

#[test]
fn a_missing_right_is_named() {
    let server = RedisServer::builder()
        .user_acl("user noscan on >s3cret ~* +@all -scan")
        .user_acl("user norecord on >s3cret ~waxseal:* +@all")
        .user_acl("user noown on >s3cret ~wa:* +@all")
        .start();
    put(&server, NAME, STATE.as_bytes());
    let url = |user: &str| {
        with_url(&format!(
            "redis://{user}:s3cret@127.0.0.1:{}",
            server.port()
        ))
    };
    for (user, command, right) in [
        ("noscan", "audit", "+scan"),
        ("noscan", "doctor", "+scan"),
        ("norecord", "get", "~wa:*"),
        ("norecord", "inspect", "~wa:*"),
        ("noown", "get", "~waxseal:*"),
        ("noown", "doctor", "~waxseal:*"),
    ] {
        let arguments: &[&str] = match command {
            "get" | "inspect" => &[command, NAME],
            _ => &[command],
        };
        let output = url(user).run(arguments);
        let text = output.text() + &output.stderr;
        assert!(
            text.contains("the store refuses access (NOPERM)")
                && text.contains(&format!("ACL SETUSER USER {right};")),
            "{user} {command}: {text}"
        );
    }
}

#[test]
fn a_missing_right_to_records_of_a_user_is_reported_by_the_pattern_alone() {
    let server = RedisServer::builder()
        .user_acl("user norecord on >s3cret ~waxseal:* +@all")
        .start();
    let name = "5215512345678:state";
    put(&server, name, STATE.as_bytes());
    let url = format!("redis://norecord:s3cret@127.0.0.1:{}", server.port());
    for (patterns, right) in [
        (&["{user}:state"][..], "~*:state ~wa:*"),
        (&["{user}:state", name], "~PATTERN"),
    ] {
        let mut arguments = vec!["inspect", name];
        for pattern in patterns {
            arguments.extend(["--protect", pattern]);
        }
        let output = with_url(&url).run(&arguments);
        let text = output.text() + &output.stderr;
        assert!(
            text.contains(&format!("ACL SETUSER USER {right};")) && !text.contains("5215512345678"),
            "{text}"
        );
    }
}

#[test]
fn what_surrounds_a_key_is_reported() {
    let server = RedisServer::start();
    let program = Program::at(&server);
    for (key, told) in [
        (format!("\"{KEY}\""), "it is in quotes"),
        (format!("\u{feff}{KEY}"), "it begins with a byte order mark"),
        (
            format!("{}\r{}", &KEY[..32], &KEY[32..]),
            "it has a line break in it",
        ),
        (
            format!("{} {}", &KEY[..32], &KEY[32..]),
            "it has a space in it",
        ),
    ] {
        let program = program.clone().env("REDIS_ENCRYPTION_KEY", &key);
        assert_told(&program, "Invalid encryption key length (got ", told);
        let program = program.keys(KEY, &format!("{},{key}", "ab01".repeat(16)));
        assert_told(
            &program,
            "previous key 2: Invalid encryption key length",
            told,
        );
    }
    // Files of Windows end their lines otherwise, and that is nothing to say a word about.
    let program = program.env("REDIS_ENCRYPTION_KEY", &format!("{KEY}\r"));
    program.run(&["audit"]).done();
}

#[test]
fn a_key_of_the_configuration_at_the_wrong_place_is_told_where_it_belongs() {
    let server = RedisServer::start();
    let program = Program::at(&server).file("waxseal.toml", "recrods = \"wa:*\"\n");
    let told = "unknown key recrods; did you mean records?";
    assert_told(&program, told, "It belongs under [[protect]]");
}

#[test]
fn a_port_alone_is_reported_with_an_address() {
    let server = RedisServer::start();
    let program = Program::at(&server);
    let listen = ["proxy", "--protect", "wa:*", "--listen", "127.0.0.1:0"];
    let output = program.run(&[&listen[..], &["--admin", "23999"]].concat());
    output.failed(
        64,
        "--admin takes HOST:PORT\nhint: for example --admin 127.0.0.1:23999\n",
    );
    let output = program.run(&["proxy", "--protect", "wa:*", "--listen", "6380"]);
    output.failed(64, "hint: for example --listen 127.0.0.1:6380\n");
}

#[test]
fn a_name_without_its_prefix_is_reported_where_the_record_is_there() {
    let server = server_with_states(1);
    put(&server, NAME, STATE.as_bytes());
    let program = Program::at(&server);
    let bare = NAME.strip_prefix("wa:").unwrap();
    for command in ["get", "inspect", "put"] {
        let output = program.run_with(&[command, bare], b"{}");
        output.failed(
            64,
            "matches no protected pattern\nhint: did you mean wa:521…?\n",
        );
        let output = program.run_with(&[command, "5219999999999"], b"{}");
        let output = output.with_status(64);
        assert!(!output.stderr.contains("did you mean"), "{}", output.stderr);
    }
    let several = ["--protect", "sess:*", "--protect", "wa:{user}"];
    let output = program.run(&[&["get", bare][..], &several].concat());
    output.failed(64, "did you mean wa:521…?");
}

#[test]
fn get_ends_otherwise_for_a_record_that_is_not_there_than_for_a_store_that_is_not() {
    let server = RedisServer::start();
    let program = Program::at(&server);
    for command in ["get", "inspect"] {
        let output = program.run(&[command, NAME]);
        assert!(output.stdout.is_empty());
        output.failed(1, "there is no such record");
        let dead = with_url("redis://127.0.0.1:1");
        dead.run(&[command, NAME]).failed(2, "cannot be reached");
    }
    let help = program.run(&["--help"]).done().text();
    assert!(
        help.contains("1 findings or no such record, 2 failed"),
        "{help}"
    );
    let documented = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/operate/operations.md"
    );
    let documented = fs::read_to_string(documented).unwrap();
    assert!(documented.contains("`get` or `inspect` found no such record"));
}
