//! The page in Chromium, as `crates/testing/clients/node/status-page.mjs` sees it. Its screenshots are kept in
//! `target/artefacts` for review.

use std::fs;

use serde_json::Value;
use waxseal_testing::{RedisServer, clients};

use super::mixed;
use crate::metrics::metrics;
use crate::program::{Program, wait_until};
use crate::proxy::Proxy;

/// Longer, and a page on this machine feels slow.
const LOADS_WITHIN_MS: f64 = 200.0;

#[test]
fn the_page_is_quick_accessible_readable_everywhere_and_live() {
    let redis = RedisServer::start();
    mixed(&redis);
    let program = Program::at(&redis).file("waxseal.toml", "keyring = \"file:ring.json\"\n");
    let state = program.path("state");
    let program = program.env("STATE_DIRECTORY", state.to_str().unwrap());
    program.run(&["keyring", "init"]).done();
    let flags = [
        "--protect",
        "wa:*",
        "--format",
        "sealed",
        "--count-every",
        "1",
    ];
    let proxy = Proxy::start_as(&program, &redis, &flags);
    let mut client = proxy.client();
    for number in 0..2_000 {
        let name = format!("wa:many{}", number % 50);
        client.cmd(&["SET", &name, "{}"]);
        client.cmd(&["GET", &name]);
    }
    // Every part of the page has something to show.
    client.cmd(&["PFADD", "wa:1", "a"]);
    client.cmd(&["GET", "wa:moved"]);
    let port = proxy.admin_port();
    wait_until(|| {
        let page = super::Page::of(port);
        page.has("data-check=") && page.has("data-task=\"audit\"") && page.is_counted()
    });
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let directory = std::path::Path::new(workspace).join("target/artefacts");
    fs::create_dir_all(&directory).unwrap();
    let url = format!("http://127.0.0.1:{port}/");
    let arguments = [url.as_str(), directory.to_str().unwrap()];
    let seen = clients::node("status-page.mjs", proxy.port(), &arguments);
    let seen: Value = serde_json::from_str(&seen).unwrap();

    assert_is_sound(&seen, port);
    assert_is_seen_at_once(&seen);
    // What came by an event is what metrics tell at the same time.
    let sealed = metrics(port).sum("waxseal_seals_total", &[("result", "ok")]);
    assert_eq!(seen["selection"]["during"], seen["live"]["after"]);
    let shown = seen["selection"]["after"]
        .as_str()
        .unwrap()
        .replace(',', "");
    assert_eq!(shown.parse::<f64>().unwrap(), sealed);
    for name in ["light-wide", "light-narrow", "dark-wide", "dark-narrow"] {
        let picture = fs::read(directory.join(format!("status-{name}.png"))).unwrap();
        assert!(picture.starts_with(b"\x89PNG"), "{name}");
    }
    proxy.stop();
}

/// It loads quickly and from this host only, and axe and the console report nothing.
#[track_caller]
fn assert_is_sound(seen: &Value, port: u16) {
    let list = |name: &str| seen[name].as_array().unwrap().clone();
    // Each of the four was opened for the first time; one of them may have met a busy machine.
    let quickest = list("loads")
        .iter()
        .filter_map(Value::as_f64)
        .fold(f64::MAX, f64::min);
    assert!(quickest < LOADS_WITHIN_MS, "{seen}");
    assert_eq!(list("loads").len(), 4);
    for nothing in ["console", "failed", "violations", "overflows"] {
        assert!(list(nothing).is_empty(), "{nothing}: {:#}", seen[nothing]);
    }
    assert!(
        seen["rules"].as_u64().unwrap() > 100,
        "axe looked at nothing"
    );
    assert_eq!(
        list("hosts"),
        [format!("127.0.0.1:{port}")],
        "the page asks others"
    );
    assert_eq!(seen["without_scripts"]["sections"], 9);
    assert_eq!(seen["without_scripts"]["live"], "As of loading the page");
    assert_eq!(seen["without_scripts"]["checked"], "Checking");
    assert_ne!(seen["without_scripts"]["sealed"], "0");
    assert_eq!(seen["without_scripts"]["sealed"], seen["live"]["before"]);
}

/// The verdict, the keys and the signs.
#[track_caller]
fn assert_is_seen_at_once(seen: &Value) {
    let list = |name: &str| seen[name].as_array().unwrap().clone();
    // Where a window has a height of 800 pixels, all of it is seen at once.
    let places = seen["above_the_fold"].as_object().unwrap();
    assert_eq!(places.len(), 6);
    for (place, bottom) in places {
        assert!(
            bottom.as_f64().unwrap() <= 800.0,
            "{place} ends at {bottom}"
        );
    }
    assert_eq!(
        list("levels"),
        ["critical", "critical"],
        "the damaged value"
    );
    let sign = seen["sign"].as_str().unwrap();
    assert!(sign.starts_with("data:image/svg+xml,"), "{sign}");
    assert_eq!(seen["ticks"]["changed"], true, "{}", seen["ticks"]);
    links_lead_somewhere(&list("links"));
}

/// What the page links to of the documentation is there, with the heading.
#[track_caller]
fn links_lead_somewhere(links: &[Value]) {
    let docs = format!("{}/blob/main/", env!("CARGO_PKG_REPOSITORY"));
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let mut found = 0;
    for link in links.iter().filter_map(Value::as_str) {
        let Some(document) = link.strip_prefix(&docs) else {
            // The others are of the page itself.
            assert!(
                !link.contains("://") || link.starts_with("http://127.0.0.1"),
                "{link}"
            );
            continue;
        };
        found += 1;
        let (path, heading) = document.split_once('#').unwrap_or((document, ""));
        let text = fs::read_to_string(format!("{root}/{path}")).expect(path);
        let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
        let mut headings = headings.map(|line| line.trim_start_matches('#').trim().to_lowercase());
        assert!(
            heading.is_empty() || headings.any(|it| it == heading),
            "{link}"
        );
    }
    assert!(found > 3, "{links:?}");
}

#[test]
fn an_open_page_reports_that_its_process_has_ended_and_reloads_for_a_new_one() {
    let redis = RedisServer::start();
    // Below those that connections of other tests come from: it must be free again at once.
    let from = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let port =
        (from..32_000).find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok());
    let port = port.unwrap();
    let admin = format!("127.0.0.1:{port}");
    let program = Program::at(&redis);
    let start = || {
        let words = [
            "proxy",
            "--protect",
            "wa:*",
            "--listen",
            "127.0.0.1:0",
            "--admin",
            &admin,
        ];
        let mut running = program.start(&words);
        running.wait_until_it_says("waxseal: listening on ");
        running
    };
    let first = start();
    let (url, id) = (format!("http://{admin}/"), first.pid().to_string());
    let seen = std::thread::scope(|scope| {
        let browser = scope.spawn(|| clients::node("status-page-lost.mjs", port, &[&url, &id]));
        // The browser ends the process: the next one waits for the address.
        let output = first.end();
        assert!(!output.stderr.contains("error"), "{}", output.stderr);
        let _second = start();
        browser.join().unwrap()
    });
    let seen: Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen["before"]["lost"], false);
    assert_eq!(seen["after"]["lost"], true);
    let (before, after) = (&seen["before"], &seen["after"]);
    assert!(
        after["live"]
            .as_str()
            .unwrap()
            .starts_with("No connection to this process"),
        "{seen}"
    );
    assert_ne!(before["icon"], after["icon"]);
    assert!(
        after["title"]
            .as_str()
            .unwrap()
            .starts_with("not up to date"),
        "{seen}"
    );
    assert_eq!(seen["again"]["lost"], false);
    assert_ne!(seen["again"]["process"], before["process"]);
}
