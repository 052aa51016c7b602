//! The page in Chromium: what `crates/testing/clients/node/status-page.mjs` saw of it. Its pictures are
//! left in `target/artefacts`, to be looked at.

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
    client.cmd(&["INCR", "wa:1"]);
    client.cmd(&["GET", "wa:moved"]);
    let port = proxy.admin_port();
    wait_until(|| {
        let page = super::Page::of(port);
        page.has("data-check=") && page.has("data-task=\"audit\"") && page.is_counted()
    });
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let folder = std::path::Path::new(workspace).join("target/artefacts");
    fs::create_dir_all(&folder).unwrap();
    let url = format!("http://127.0.0.1:{port}/");
    let arguments = [url.as_str(), folder.to_str().unwrap()];
    let seen = clients::node("status-page.mjs", proxy.port(), &arguments);
    let seen: Value = serde_json::from_str(&seen).unwrap();

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
    assert_eq!(seen["without_scripts"]["sections"], 7);
    assert_eq!(seen["without_scripts"]["live"], "load the page again");
    assert_ne!(seen["without_scripts"]["sealed"], "0");
    assert_eq!(seen["without_scripts"]["sealed"], seen["live"]["before"]);
    // What came by an event is what metrics tell at the same time.
    let sealed = metrics(port).sum("waxseal_seals_total", &[("result", "ok")]);
    assert_eq!(seen["selection"]["during"], seen["live"]["after"]);
    let shown = seen["selection"]["after"]
        .as_str()
        .unwrap()
        .replace(',', "");
    assert_eq!(shown.parse::<f64>().unwrap(), sealed);
    for name in ["light-wide", "light-narrow", "dark-wide", "dark-narrow"] {
        let picture = fs::read(folder.join(format!("status-{name}.png"))).unwrap();
        assert!(picture.starts_with(b"\x89PNG"), "{name}");
    }
    proxy.stop();
}
