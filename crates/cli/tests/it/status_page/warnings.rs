//! The page warns of problems and names a remedy. Warnings about keyrings are tested with keyrings.

use waxseal_core::Format;
use waxseal_testing::RedisServer;

use super::Page;
use crate::program::{OTHER_KEY, Program, wait_until};
use crate::proxy::Proxy;
use crate::records::{STATE, put, sealed};

#[test]
fn a_server_that_dies_and_comes_back() {
    let mut redis = RedisServer::start();
    let proxy = Proxy::start(&redis, &["--protect", "wa:*"]);
    let port = proxy.admin_port();
    wait_until(|| Page::of(port).text("<main", "data-figure=\"ready\"") == "yes");
    assert!(!Page::of(port).warns("WaxsealNotReady"));
    redis.kill();
    wait_until(|| Page::of(port).warns("WaxsealNotReady"));
    let page = Page::of(port);
    assert!(
        page.level() == "critical"
            && page.has("critical problem")
            && page.has("connection refused"),
        "{}",
        page.0
    );
    // Clients that try again and again.
    for _ in 0..8 {
        let _ = proxy.client().cmd(&["GET", "wa:1"]);
    }
    wait_until(|| Page::of(port).warns("WaxsealServerUnreachable"));
    // The doctor sees it as well, and that it is over, without being asked.
    wait_until(|| Page::of(port).finds("store", "problem"));
    redis.restart();
    wait_until(|| {
        let page = Page::of(port);
        !page.warns("WaxsealNotReady") && page.finds("store", "ok")
    });
    proxy.stop();
}

#[test]
fn a_proxy_that_waits_for_its_server_shows_so() {
    let mut redis = RedisServer::start();
    let url = redis.url();
    redis.kill();
    let words = [
        "proxy",
        "--protect",
        "wa:*",
        "--admin",
        "127.0.0.1:0",
        "--listen",
        "127.0.0.1:0",
        "--store",
        &url,
    ];
    let mut running = Program::at(&redis).start(&words);
    running.wait_until_it_says("waiting for the store before taking clients");
    let said = running.said();
    let (_, port) = said.split_once("waxseal: admin on 127.0.0.1:").unwrap();
    let port = port.lines().next().unwrap().parse().unwrap();
    wait_until(|| Page::of(port).warns("WaxsealNotReady"));
    assert_eq!(Page::of(port).text("<main", "data-figure=\"ready\""), "no");
}

#[test]
fn a_process_that_waits_shows_the_reason() {
    let redis = RedisServer::start();
    let mut other = RedisServer::start();
    let config = format!("keyring = \"{}\"\n", other.url());
    other.kill();
    let program = Program::at(&redis).file("waxseal.toml", &config);
    let words = [
        "proxy",
        "--protect",
        "wa:*",
        "--admin",
        "127.0.0.1:0",
        "--listen",
        "127.0.0.1:0",
    ];
    let mut running = program.start(&words);
    running.wait_until_it_says("waiting for the store before taking clients");
    let said = running.said();
    let (_, port) = said.split_once("waxseal: admin on 127.0.0.1:").unwrap();
    let port = port.lines().next().unwrap().parse().unwrap();
    wait_until(|| Page::of(port).warns("WaxsealNotReady"));
    let page = Page::of(port);
    // The server that it stands in front of is well.
    let place = format!("127.0.0.1:{}", other.port());
    assert!(
        page.has("No client is served yet") && page.has(&place),
        "{}",
        page.0
    );
    assert_eq!(page.level(), "critical");
    let (head, body) = super::checks::ask(port, "");
    assert!(head.starts_with("http/1.1 503"), "{head}");
    assert!(body.contains("nothing can be checked yet"), "{body}");
}

#[test]
fn a_value_that_was_tampered_with() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(&redis, &["--protect", "wa:*", "--format", "sealed"]);
    let mut client = proxy.client();
    assert_eq!(client.cmd(&["SET", "wa:1", STATE]).to_text(), "OK");
    let mut stored = redis.client().cmd(&["GET", "wa:1"]).bytes().unwrap();
    *stored.last_mut().unwrap() ^= 1;
    put(&redis, "wa:1", &stored);
    assert!(!Page::of(proxy.admin_port()).warns("WaxsealValuesDoNotOpen"));
    assert!(
        client
            .cmd(&["GET", "wa:1"])
            .to_text()
            .starts_with("SEALBROKEN")
    );
    let page = Page::of(proxy.admin_port());
    assert!(page.warns("WaxsealValuesDoNotOpen") && page.has("waxseal inspect NAME"));
    assert_eq!(page.figure("not_opened"), 1.0);
    proxy.stop();
}

#[test]
fn a_value_under_a_key_that_was_taken_away() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(&redis, &["--protect", "wa:*"]);
    put(
        &redis,
        "wa:1",
        &sealed(OTHER_KEY, Format::Sealed, "wa:1", STATE.as_bytes()),
    );
    let answer = proxy.client().cmd(&["GET", "wa:1"]).to_text();
    assert!(answer.starts_with("SEALNOKEY"), "{answer}");
    let page = Page::of(proxy.admin_port());
    assert!(page.warns("WaxsealKeyMissing") && page.has("REDIS_ENCRYPTION_PREVIOUS_KEYS"));
    proxy.stop();
}

#[test]
fn plain_values_that_are_read() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(&redis, &["--protect", "wa:*", "--count-every", "0"]);
    put(&redis, "wa:1", STATE.as_bytes());
    assert_eq!(proxy.client().cmd(&["GET", "wa:1"]).to_text(), STATE);
    let page = Page::of(proxy.admin_port());
    assert!(page.warns("WaxsealPlainValues") && !page.warns("WaxsealPlainInStore"));
    proxy.stop();
}

#[test]
fn a_store_that_is_full() {
    let redis = RedisServer::start();
    let proxy = Proxy::start(&redis, &["--protect", "wa:*"]);
    let mut client = proxy.client();
    assert_eq!(client.cmd(&["SET", "wa:1", STATE]).to_text(), "OK");
    redis.client().cmd(&["CONFIG", "SET", "maxmemory", "1"]);
    let answer = client.cmd(&["SET", "wa:2", STATE]).to_text();
    assert!(answer.starts_with("OOM"), "{answer}");
    let page = Page::of(proxy.admin_port());
    assert!(page.warns("WaxsealStoreFull") && page.has("raise maxmemory"));
    proxy.stop();
}

#[test]
fn a_decoy_that_is_opened() {
    let redis = RedisServer::start();
    let config = "decoys = [\"wa:decoy\"]\n[[protect]]\nrecords = \"wa:*\"\n";
    let program = Program::at(&redis).file("waxseal.toml", config);
    program.run(&["decoy", "plant"]).done();
    let proxy = Proxy::start_as(&program, &redis, &[]);
    assert!(!Page::of(proxy.admin_port()).warns("WaxsealDecoyOpened"));
    proxy.client().cmd(&["GET", "wa:decoy"]);
    let page = Page::of(proxy.admin_port());
    assert!(page.warns("WaxsealDecoyOpened") && !page.has("wa:decoy"));
    proxy.stop();
}

/// Rules that only Prometheus can evaluate: a process that has ended, and processes that differ.
const OF_OTHERS: [&str; 2] = ["WaxsealDown", "WaxsealKeyringsDiffer"];

#[test]
fn the_page_has_a_warning_for_every_alert_rule() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let read = |path: &str| std::fs::read_to_string(format!("{root}/{path}")).unwrap();
    let (rules, source) = (
        read("deploy/alerts.yml"),
        read("crates/service/src/status/warnings.rs")
            + &read("crates/service/src/status/warnings/process.rs"),
    );
    let alerts = rules
        .lines()
        .filter_map(|it| it.trim().strip_prefix("- alert: "));
    let alerts: Vec<&str> = alerts.collect();
    assert!(alerts.len() > 10);
    for alert in alerts.iter().filter(|alert| !OF_OTHERS.contains(alert)) {
        assert!(
            source.contains(&format!("\"{alert}\"")),
            "no warning {alert}"
        );
    }
    for word in source.split('"').filter(|it| it.starts_with("Waxseal")) {
        assert!(alerts.contains(&word), "no alert rule {word}");
    }
}
