//! Access to the page.

use waxseal_testing::RedisServer;

use crate::metrics::{admin_as, admin_request};
use crate::program::{Output, Program};
use crate::proxy::Proxy;

const TOKEN: &str = "a token that nobody guesses";
/// `waxseal:` and the token, as browsers send them.
const BASIC: &str = "Authorization: Basic d2F4c2VhbDphIHRva2VuIHRoYXQgbm9ib2R5IGd1ZXNzZXM=\r\n";

/// The status of the answers of the page and of its events.
#[track_caller]
fn status(port: u16, headers: &str) -> u16 {
    let of = |path| {
        let (head, _) = admin_as(port, path, headers);
        head.split(' ').nth(1).unwrap().parse::<u16>().unwrap()
    };
    let page = of("/");
    if page != 200 {
        assert_eq!(of("/events"), page);
        let (head, _) = admin_request("POST", port, "/check", headers);
        assert!(head.starts_with(&format!("http/1.1 {page} ")), "{head}");
    }
    page
}

#[test]
fn this_machine_sees_the_page_and_a_request_that_names_another_host_does_not() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(&redis, &["--protect", "wa:*"]);
    let port = proxy.admin_port();
    assert_eq!(status(port, &format!("Host: 127.0.0.1:{port}\r\n")), 200);
    assert_eq!(status(port, "Host: localhost\r\n"), 200);
    assert_eq!(status(port, "Host: [::1]:1\r\n"), 200);
    for host in [
        "attacker.example",
        "localhost.evil.com",
        "127.0.0.1.nip.io",
        "127.0.0.1.nip.io:80",
        "127.0.0.2",
        "localhost.",
        "127.0.0.1.",
        "localhost:http",
        "localhost:",
    ] {
        assert_eq!(status(port, &format!("Host: {host}\r\n")), 421, "{host}");
    }
    let twice = "Host: localhost\r\nHost: attacker.example\r\n";
    assert_ne!(status(port, twice), 200);
    let (head, body) = admin_as(port, "/", "Host: localhost\r\n");
    for header in [
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "referrer-policy: same-origin",
        "content-security-policy: default-src 'none'; style-src 'nonce-",
    ] {
        assert!(head.contains(header), "no {header} in {head}");
    }
    // Each answer has a nonce of its own, and it is that of the style and the script.
    let nonce = |head: &str| head.split_once("'nonce-").unwrap().1[..32].to_owned();
    let own = nonce(&head);
    assert_eq!(body.matches(&format!("nonce=\"{own}\"")).count(), 2);
    assert_ne!(nonce(&admin_as(port, "/", "Host: localhost\r\n").0), own);
    proxy.stop();
}

#[test]
fn a_public_address_needs_the_token() {
    let redis = RedisServer::start();
    let flags = ["--protect", "wa:*", "--admin", "0.0.0.0:0"];
    let start = |program: &Program| {
        let mut words = vec!["proxy", "--listen", "127.0.0.1:0"];
        words.extend(flags);
        let mut running = program.start(&words);
        let mut port = 0;
        running.wait_until_stderr(|said| {
            let mut lines = said.lines();
            let admin = lines.find_map(|line| line.strip_prefix("waxseal: admin on 0.0.0.0:"));
            port = admin.and_then(|text| text.parse().ok()).unwrap_or_default();
            said.contains("waxseal: listening on ")
        });
        (running, port)
    };
    let program = Program::at(&redis);
    let (running, port) = start(&program);
    assert_eq!(status(port, "Host: localhost\r\n"), 403);
    // What machines ask for is there.
    assert!(
        admin_as(port, "/metrics", "Host: x\r\n")
            .0
            .starts_with("http/1.1 200")
    );
    drop(running);

    let (running, port) = start(&program.env("WAXSEAL_ADMIN_TOKEN", TOKEN));
    assert_eq!(status(port, "Host: localhost\r\n"), 401);
    let (head, _) = admin_as(port, "/", "Host: x\r\n");
    assert!(head.contains("www-authenticate: basic"), "{head}");
    assert_eq!(status(port, &format!("Host: x\r\n{BASIC}")), 200);
    assert_eq!(
        status(
            port,
            &format!("Host: x\r\nAuthorization: Bearer {TOKEN}\r\n")
        ),
        200
    );
    assert_eq!(
        status(
            port,
            &format!("Host: x\r\nAuthorization: Bearer {TOKEN}s\r\n")
        ),
        401
    );
    assert!(!running.said().contains(TOKEN));
}

#[test]
fn a_token_that_is_too_short_is_refused() {
    let redis = RedisServer::start();
    let run = |program: Program| -> Output {
        let words = [
            "proxy",
            "--protect",
            "wa:*",
            "--admin",
            "127.0.0.1:0",
            "--listen",
            "127.0.0.1:0",
        ];
        program.run(&words)
    };
    let output = run(Program::at(&redis).env("WAXSEAL_ADMIN_TOKEN", "hunter2"));
    let output = output.failed(
        64,
        "WAXSEAL_ADMIN_TOKEN: the admin token is shorter than 16 characters",
    );
    assert!(!output.stderr.contains("hunter2"));
    let flag = ["proxy", "--protect", "wa:*", "--count-every", "5"];
    Program::at(&redis).run(&flag).failed(64, "--admin");
}
