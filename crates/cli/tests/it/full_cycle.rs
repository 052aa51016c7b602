//! A rotation of ninety days in seconds, under constant load from four processes: two proxies and two
//! that use the library. Not one read may fail.

use std::io::Write;
use std::thread;

use serde_json::Value;
use waxseal_testing::RedisServer;

use crate::load::{Application, Library};
use crate::program::{Program, wait_until};
use crate::proxy::Proxy;

const CONFIG: &str = "environment = \"tests\"\nkeyring = \"file:ring.json\"\n\
                      [[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\nplain_values = \"json\"\n";
/// Ninety days, two hours, a minute and seven days, compressed.
const COMPRESSED: [&str; 8] = [
    "--rotate-every",
    "6s",
    "--propagation",
    "2s",
    "--refresh",
    "500ms",
    "--retain",
    "4s",
];

#[test]
fn a_full_cycle_of_a_key_is_automatic_and_no_read_fails() {
    let server = RedisServer::start();
    let program = with_ring(&server);
    let status = || program.run(&["keyring", "status", "--json"]).json();
    let first = key_in(&status(), "sealing").unwrap();

    let proxies = [0, 1].map(|_| Proxy::start_as(&program, &server, &[]));
    let libraries = ["one", "two"].map(|own| Library::start(&program, &server, own, &[]));
    let applications = [
        Application::start(proxies[0].port(), "three"),
        Application::start(proxies[1].port(), "four"),
    ];

    // The second key is followed: it is added by the rotation.
    let mut second = None;
    let mut seen = Vec::new();
    wait_until(|| {
        let status = status();
        let id = second.get_or_insert_with(|| key_in(&status, "pending").unwrap_or_default());
        if id.is_empty() {
            second = None;
            return false;
        }
        let state = state_of(&status, id);
        if seen.last() != Some(&state) {
            seen.push(state);
        }
        seen.last().is_some_and(|state| state == "destroyed")
    });
    let life = ["pending", "sealing", "opening", "archived", "destroyed"];
    assert_eq!(seen, life);
    assert_eq!(state_of(&status(), &first), "destroyed");

    // No new key from here on; the rotation in progress is completed.
    program
        .run(&["keyring", "configure", "--rotate-every", "never"])
        .done();
    wait_until(|| {
        let status = status();
        ["pending", "opening"]
            .iter()
            .all(|state| key_in(&status, state).is_none())
    });
    let rounds = applications.map(Application::end);
    let said = libraries.map(Library::end);
    let mut out = std::io::stdout();
    writeln!(out, "proxies: {rounds:?} rounds of 50; libraries: {said:?}").unwrap();
    assert!(rounds.iter().all(|rounds| *rounds > 10));

    let report = program.run(&["audit", "--deep", "--json"]).done().json();
    let sealing = key_in(&status(), "sealing").unwrap();
    assert_ne!(sealing, first);
    let pattern = &report["patterns"][0];
    assert_eq!(pattern["sealed"], 4 * 40 + 10);
    assert_eq!(pattern["total"], 4 * 40 + 10);
    for group in pattern["groups"].as_array().unwrap() {
        assert_eq!(group["key"], sealing.as_str());
    }
    let document = std::fs::read_to_string(program.path("ring.json")).unwrap();
    let ring: Value = serde_json::from_str(&document).unwrap();
    let mut keys = ring["keys"].as_array().unwrap().iter();
    let gone = keys.find(|key| key["id"] == first.as_str()).unwrap();
    assert!(
        gone.get("wraps").is_none(),
        "the key is still there: {gone}"
    );
    for proxy in proxies {
        proxy.stop();
    }
}

/// The program with a ring whose times are compressed.
fn with_ring(server: &RedisServer) -> Program {
    let program = Program::at(server);
    let state = program.path("state");
    let program = program
        .file("waxseal.toml", CONFIG)
        .env("STATE_DIRECTORY", state.to_str().unwrap());
    let words = [&["keyring", "init"], &COMPRESSED[..]].concat();
    program.run(&words).done();
    program
}

/// The id of a key in this state.
fn key_in(status: &Value, state: &str) -> Option<String> {
    let mut keys = status["keys"].as_array().unwrap().iter();
    let key = keys.find(|key| key["state"] == state)?;
    Some(key["id"].as_str().unwrap().to_owned())
}

fn state_of(status: &Value, id: &str) -> String {
    let mut keys = status["keys"].as_array().unwrap().iter();
    let key = keys.find(|key| key["id"] == id).unwrap();
    key["state"].as_str().unwrap().to_owned()
}

#[test]
fn keepers_that_are_killed_and_suspended_repeatedly_finish_the_rotation() {
    let server = RedisServer::start();
    let program = with_ring(&server);
    for index in 0..500 {
        let value = format!("{{\"n\":{index}}}");
        let name = format!("wa:{index}");
        server.client().cmd(&["SET", &name, &value]);
    }
    program.run(&["migrate"]).done();
    let status = || program.run(&["keyring", "status", "--json"]).json();
    let first = key_in(&status(), "sealing").unwrap();

    let keeper = || program.start(&["keeper"]);
    let mut keepers = [keeper(), keeper(), keeper()];
    let mut turn = 0usize;
    wait_until(|| {
        // One dies in the middle of whatever it does, one sleeps for longer than the propagation
        // delay; the third continues, or is the next.
        let third = keepers.len();
        keepers[turn % third].signal("KILL");
        keepers[turn % third] = keeper();
        let sleeper = &keepers[(turn + 1) % third];
        sleeper.signal("STOP");
        thread::sleep(std::time::Duration::from_millis(2_300));
        sleeper.signal("CONT");
        turn += 1;
        thread::sleep(std::time::Duration::from_millis(1_500));
        state_of(&status(), &first) == "destroyed"
    });
    for keeper in keepers {
        keeper.signal("TERM");
        keeper.end().done();
    }
    program
        .run(&["keyring", "configure", "--rotate-every", "never"])
        .done();
    let report = program.run(&["audit", "--deep", "--json"]).done().json();
    assert_eq!(report["patterns"][0]["sealed"], 500);
    assert_eq!(report["patterns"][0]["unopenable"], 0);
}
