//! Checks and counts are repeated when a reader asks for it and when the store has changed. Rotations are tested with
//! keyrings.

use waxseal_testing::RedisServer;

use super::Page;
use crate::metrics::admin_request;
use crate::program::{Program, wait_until};
use crate::proxy::Proxy;
use crate::records::{STATE, put};

/// No count starts on its own while a test runs.
const RARELY: [&str; 4] = ["--protect", "wa:*", "--count-every", "86400"];

/// Asks for everything to be checked, as a page or a program on this machine does.
#[track_caller]
pub(super) fn ask(port: u16, headers: &str) -> (String, String) {
    let headers = format!("Host: localhost:{port}\r\nContent-Length: 0\r\n{headers}");
    admin_request("POST", port, "/check", &headers)
}

#[track_caller]
fn status(port: u16, headers: &str) -> u16 {
    let (head, _) = ask(port, headers);
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

/// The same until it is not too soon.
#[track_caller]
fn check(port: u16) {
    wait_until(|| status(port, "") == 303);
}

#[track_caller]
fn wait_for_first_checks(port: u16) {
    wait_until(|| {
        let page = Page::of(port);
        page.is_counted() && page.has("data-check=")
    });
}

/// The verdict is that of the list: other checks, such as of memory, depend on the machine.
#[track_caller]
fn assert_says_how_many(page: &Page) {
    let (level, headline) = match page.issues("warning") {
        0 => ("ok", "no problems found".to_owned()),
        1 => ("warning", "1 warning".to_owned()),
        count => ("warning", format!("{count} warnings")),
    };
    assert_eq!(
        (page.level(), page.issues("critical")),
        (level, 0),
        "{}",
        page.0
    );
    assert!(page.has(&format!("<title>{headline} –")), "{}", page.0);
}

#[test]
fn the_headline_has_what_the_doctor_finds() {
    let redis = RedisServer::start();
    put(&redis, "wa:1", b"");
    let proxy = Proxy::start(&redis, &RARELY);
    let port = proxy.admin_port();
    // Not checked yet, which must not look green.
    let first = Page::of(port);
    assert!(
        first.has("data-check=") || first.level() != "ok",
        "{}",
        first.0
    );
    wait_for_first_checks(port);
    let page = Page::of(port);
    assert!(page.finds("persistence", "warning"), "{}", page.0);
    assert_says_how_many(&page);

    redis.client().cmd(&["CONFIG", "SET", "appendonly", "yes"]);
    check(port);
    wait_until(|| Page::of(port).finds("persistence", "ok"));
    assert_says_how_many(&Page::of(port));
    proxy.stop();
}

#[test]
fn a_reader_has_records_counted_again_once_at_a_time_and_no_other_site_does() {
    let redis = RedisServer::start();
    put(&redis, "wa:1", b"");
    let program = Program::at(&redis);
    let proxy = Proxy::start_as(&program, &redis, &RARELY);
    let port = proxy.admin_port();
    wait_for_first_checks(port);
    put(&redis, "wa:2", STATE.as_bytes());
    for elsewhere in [
        "Origin: https://attacker.example\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\n",
    ] {
        assert_eq!(status(port, elsewhere), 403, "{elsewhere}");
    }
    let (head, _) = admin_request("GET", port, "/check", "Host: localhost\r\n");
    assert!(head.starts_with("http/1.1 405"), "{head}");
    assert_eq!(Page::of(port).coverage("wa:*", "plain"), 0.0);

    let own = format!("Origin: http://localhost:{port}\r\nSec-Fetch-Site: same-origin\r\n");
    assert_eq!(status(port, &own), 303);
    // Another one so soon is told when to come back.
    let (head, body) = ask(port, &own);
    assert!(
        head.starts_with("http/1.1 429") && head.contains("\r\nretry-after: "),
        "{head}"
    );
    assert!(body.contains("try again in "), "{body}");
    wait_until(|| Page::of(port).coverage("wa:*", "plain") == 1.0);
    let page = Page::of(port);
    assert!(
        page.warns("WaxsealPlainInStore") && page.has(": 1, counted "),
        "{}",
        page.0
    );

    program.run(&["migrate", "--protect", "wa:*"]).done();
    check(port);
    wait_until(|| !Page::of(port).warns("WaxsealPlainInStore"));
    assert_eq!(Page::of(port).coverage("wa:*", "plain"), 0.0);
    proxy.stop();
}

#[test]
fn a_process_that_does_not_count_regularly_counts_when_it_is_asked() {
    let redis = RedisServer::start();
    put(&redis, "wa:1", STATE.as_bytes());
    let proxy = Proxy::start(&redis, &["--protect", "wa:*", "--count-every", "0"]);
    let port = proxy.admin_port();
    assert!(!Page::of(port).is_counted());
    check(port);
    wait_until(|| Page::of(port).is_counted());
    assert_eq!(Page::of(port).coverage("wa:*", "plain"), 1.0);
    assert!(Page::of(port).has("This process does not count"));
    proxy.stop();
}

#[test]
fn records_are_counted_again_when_the_server_was_restarted() {
    let mut redis = RedisServer::start();
    for number in 0..3 {
        put(&redis, &format!("wa:{number}"), STATE.as_bytes());
    }
    let proxy = Proxy::start(&redis, &RARELY);
    let port = proxy.admin_port();
    wait_for_first_checks(port);
    assert_eq!(Page::of(port).coverage("wa:*", "plain"), 3.0);
    // It keeps nothing on disk.
    redis.restart();
    put(&redis, "wa:1", STATE.as_bytes());
    wait_until(|| Page::of(port).coverage("wa:*", "plain") == 1.0);
    proxy.stop();
}

#[test]
fn stored_values_that_do_not_open_and_patterns_that_match_nothing_are_not_green() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(&redis, &RARELY);
    let port = proxy.admin_port();
    wait_for_first_checks(port);
    let page = Page::of(port);
    assert!(
        page.has("No record matches a protected pattern"),
        "{}",
        page.0
    );
    assert_eq!(page.level(), "warning");
    // No client reads them through the proxy.
    super::mixed(&redis);
    check(port);
    wait_until(|| Page::of(port).warns("WaxsealUnreadableInStore"));
    let page = Page::of(port);
    assert!(
        !page.has("No record matches a protected pattern") && !page.warns("WaxsealValuesDoNotOpen")
    );
    assert_eq!(page.level(), "critical");
    proxy.stop();
}

#[test]
fn the_doctors_own_seals_are_not_counted_as_values() {
    let redis = RedisServer::start();
    put(&redis, "wa:1", b"");
    let proxy = Proxy::start(&redis, &RARELY);
    let port = proxy.admin_port();
    wait_until(|| Page::of(port).finds("speed", "ok") || Page::of(port).finds("speed", "warning"));
    // Keys are read every few seconds: after the server was asked again, they were.
    let mut client = proxy.client();
    assert_eq!(client.cmd(&["SET", "wa:2", STATE]).to_text(), "OK");
    let seals = || {
        let page = Page::of(port);
        let key = format!("data-key=\"{}\"", super::own_id());
        page.text(&key, "data-is=\"seals\"")
            .replace(',', "")
            .parse::<u64>()
            .unwrap()
    };
    // The proxy's canary, and the value.
    wait_until(|| seals() >= 2);
    assert_eq!(seals(), 2);
    proxy.stop();
}
