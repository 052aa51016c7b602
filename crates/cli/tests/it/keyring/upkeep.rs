//! The rotation as the processes carry it out: the keeper, the proxy, and `rotate` once.

use std::thread::sleep;
use std::time::Duration;

use super::{Lies, PLACES, World};
use crate::program::{KEY, wait_until};
use crate::proxy::Proxy;
use crate::records::{NAME, STATE, get, opened};

const A_WHILE: Duration = Duration::from_millis(500);

impl World {
    fn has(&self, state: &str, id: &str) -> bool {
        self.keys(state).iter().any(|it| it == id)
    }

    fn processes(&self) -> Vec<String> {
        let status = self.status();
        let processes = status["processes"].as_array().unwrap();
        let what = processes.iter().map(|it| it["what"].as_str().unwrap());
        what.map(str::to_owned).collect()
    }
}

#[test]
fn a_keeper_turns_a_key_from_pending_to_destroyed() {
    for lies in PLACES {
        let world = World::with_ring(lies);
        let put = world.program.run_with(&["put", NAME], STATE.as_bytes());
        put.done();
        let old = world.sealing();
        world.hurry();
        let mut keeper = world.program.start(&["keeper"]);
        keeper.wait_until_it_says("keeping the keyring at ");
        wait_until(|| world.processes() == ["keeper"]);
        world.ring(&["add"]).done();
        wait_until(|| world.has("destroyed", &old));
        let report = world.run(&["inspect", NAME, "--json"]).done().json();
        assert_eq!(report["values"][0]["key"], world.sealing().as_str());
        assert_eq!(world.run(&["get", NAME]).done().text(), STATE);
        keeper.signal("TERM");
        world.assert_leaks_nothing(&keeper.end().done());
    }
}

#[test]
fn processes_that_do_not_know_a_key_yet_are_warned_of() {
    let world = World::new(Lies::InAFile);
    world.ring(&["init"]).done();
    let mut keeper = world.program.start(&["keeper"]);
    keeper.wait_until_it_says("keeping the keyring at ");
    wait_until(|| world.processes() == ["keeper"]);
    world.ring(&["add"]).done();
    let pending = world.keys("pending").pop().unwrap();
    let output = world.ring(&["promote", &pending, "--now"]).done();
    let text = "warning: 1 of 1 processes that report had not seen this keyring yet";
    assert!(output.stderr.contains(text), "{}", output.stderr);
    assert_eq!(world.sealing(), pending);
}

#[test]
fn a_keeper_waits_for_a_server_that_is_not_there_yet() {
    let mut world = World::with_ring(Lies::InTheServer);
    std::fs::remove_file(world.copy().unwrap()).unwrap();
    world.program.run_with(&["put", NAME], b"{}").done();
    world.server.client().cmd(&["SAVE"]);
    std::fs::remove_file(world.copy().unwrap()).unwrap();
    world.server.kill();
    let mut keeper = world.program.start(&["keeper"]);
    keeper.wait_until_it_says("waiting for it");
    world.server.restart();
    keeper.wait_until_it_says("keeping the keyring at ");
    keeper.signal("INT");
    keeper.end().done();
}

#[test]
fn the_proxy_follows_the_ring_and_turns_it() {
    for lies in PLACES {
        let world = World::with_ring(lies);
        world.hurry();
        let proxy = Proxy::start_as(&world.program, &world.server, &["--protect", "wa:*"]);
        let mut client = proxy.client();
        let set = |client: &mut waxseal_testing::Client, name: &str| {
            assert_eq!(client.cmd(&["SET", name, STATE]).to_text(), "OK");
        };
        set(&mut client, NAME);
        let old = world.sealing();
        let report = world.run(&["inspect", NAME, "--json"]).done().json();
        assert_eq!(report["values"][0]["key"], old.as_str());
        assert_eq!(opened(KEY, NAME, &get(&world.server, NAME).unwrap()), None);
        wait_until(|| world.processes() == ["proxy"]);
        world.ring(&["add"]).done();
        wait_until(|| world.has("destroyed", &old));
        let new = world.sealing();
        // What was there was brought under the new key, and what is written now is under it.
        set(&mut client, "wa:5215500000001");
        for name in [NAME, "wa:5215500000001"] {
            let report = world.run(&["inspect", name, "--json"]).done().json();
            assert_eq!(report["values"][0]["key"], new.as_str());
            let read = client.cmd(&["GET", name]).bytes();
            assert_eq!(read.as_deref(), Some(STATE.as_bytes()));
        }
        let key = world.status()["keys"].as_array().unwrap().clone();
        assert!(key.iter().any(|it| it["seals"].as_u64() > Some(0)));
        world.assert_leaks_nothing(&proxy.stop());
    }
}

#[test]
fn the_proxy_seals_under_keys_of_users() {
    let config = "[[protect]]\nrecords = \"wa:{user}\"\nper_user_keys = true\n";
    let world = World::with(Lies::InAFile, config);
    world.init();
    let proxy = Proxy::start_as(&world.program, &world.server, &[]);
    let mut client = proxy.client();
    assert_eq!(client.cmd(&["SET", NAME, STATE]).to_text(), "OK");
    let report = world.run(&["inspect", NAME, "--json"]).done().json();
    assert_eq!(report["values"][0]["key_state"], "user key");
    let read = client.cmd(&["GET", NAME]).bytes();
    assert_eq!(read.as_deref(), Some(STATE.as_bytes()));
    let stored = get(&world.server, NAME).unwrap();
    let open = ["open", "--record", NAME];
    let read = world.program.run_with(&open, &stored).done();
    assert_eq!(read.stdout, STATE.as_bytes());
    let sealed = world
        .program
        .run_with(&["seal", "--record", NAME], b"[3]")
        .done();
    let read = world.program.run_with(&open, &sealed.stdout).done();
    assert_eq!(read.text(), "[3]");
    let found = world.run(&["doctor"]).done().text();
    assert!(
        found.contains("of a sample 1 sealed, 0 plain, 0 damaged, 0 under"),
        "{found}"
    );
    let words = ["proxy", "--format", "classic"];
    world
        .run(&words)
        .failed(64, "the classic format names no key");
    proxy.stop();
}

#[test]
fn rotate_carries_out_once_what_is_due() {
    for lies in PLACES {
        let world = World::with_ring(lies);
        world
            .program
            .run_with(&["put", NAME], STATE.as_bytes())
            .done();
        let old = world.sealing();
        world.ring(&["add"]).done();
        let new = world.keys("pending").pop().unwrap();
        sleep(A_WHILE);
        let output = world.run(&["rotate", "--dry-run"]).done();
        assert_eq!((output.stderr.as_str(), world.sealing()), ("", old.clone()));
        let output = world.run(&["rotate"]).done();
        assert!(
            output
                .stderr
                .contains(&format!("key {new} seals from now on")),
            "{}",
            output.stderr
        );
        assert!(
            output.text().contains("totalRotated: 1"),
            "{}",
            output.text()
        );
        let report = world.run(&["inspect", NAME, "--json"]).done().json();
        assert_eq!(report["values"][0]["key"], new.as_str());
        world.hurry();
        let mut said = output.stderr;
        wait_until(|| {
            said.push_str(&world.run(&["rotate"]).done().stderr);
            world.has("destroyed", &old)
        });
        let archived = said.find(&format!("key {old} is archived"));
        let destroyed = said.find(&format!("key {old} is destroyed"));
        assert!(archived.is_some() && archived < destroyed, "{said}");
        assert_eq!(world.run(&["get", NAME]).done().text(), STATE);
    }
}

#[test]
fn without_a_keyring_there_is_nothing_to_keep() {
    let program = crate::program::Program::with_file();
    program
        .run(&["keeper"])
        .failed(64, "no keyring is configured");
    let output = program.run(&["rotate", "--open-compromised"]);
    output.failed(64, "no keyring is configured");
}
