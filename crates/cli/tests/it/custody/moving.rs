//! From one custodian to another while applications run: no client notices, and the old secret is of no more
//! use.

use std::fs;

use serde_json::Value;

use super::{HSM, QUICK, World, configured, custodians, machine, with_token};
use crate::load::{Application, Library};
use crate::program::{KEY, OTHER_KEY, Output, Program, wait_until};
use crate::proxy::Proxy;

const ENV: &str = "env:REDIS_ENCRYPTION_KEY";

#[test]
fn from_the_environment_to_a_token_under_load_no_read_fails_and_the_old_secret_opens_nothing() {
    let world = World::new(&[ENV, HSM]);
    let program = &world.program;
    let words = [&["keyring", "init", "--custodian", ENV], &QUICK[..]].concat();
    program.run(&words).done();
    assert_eq!(custodians(program), [ENV]);
    let before = fs::read(program.path("ring.json")).unwrap();

    let proxies = [0, 1].map(|_| Proxy::start_as(program, &world.server, &[]));
    let libraries =
        ["one", "two"].map(|own| Library::start(program, &world.server, own, &[ENV, HSM]));
    let applications = [
        Application::start(proxies[0].port(), "three"),
        Application::start(proxies[1].port(), "four"),
    ];
    let go_on = |rounds: u64| {
        let wanted = applications.each_ref().map(|it| it.rounds() + rounds);
        wait_until(|| {
            let reached = applications.iter().zip(wanted);
            reached
                .into_iter()
                .all(|(it, wanted)| it.rounds() >= wanted)
        });
    };
    go_on(3);

    let output = world.run(&["keyring", "rewrap", "--to", HSM, "--create-key"]);
    let output = output.done();
    assert!(
        output.stderr.contains("created the key of pkcs11:"),
        "{}",
        output.stderr
    );
    assert_eq!(custodians(program), [HSM]);
    go_on(3);
    // A key that the old secret never wrapped, and everything under it.
    let old = sealing(program);
    world.run(&["keyring", "add"]).done();
    // One of the processes leads, and lets it seal when all know it.
    wait_until(|| sealing(program) != old);
    go_on(3);
    world.run(&["rotate"]).done();
    go_on(3);

    let rounds = applications.map(Application::end);
    let said = libraries.map(Library::end);
    assert!(
        rounds.iter().all(|rounds| *rounds >= 12),
        "{rounds:?} {said:?}"
    );
    for proxy in proxies {
        proxy.stop();
    }

    // What the thief has: the old secret, and the keyring as it is.
    let thief = machine(&world.server, &[ENV]);
    fs::copy(program.path("ring.json"), thief.path("ring.json")).unwrap();
    no_use(&thief, "is not configured here");
    // And as it was, under which everything was sealed once.
    fs::write(thief.path("ring.json"), before).unwrap();
    let thief = machine_with(&thief, &world);
    no_use(&thief, "");

    // What the owner needs: the token. The old secret can be thrown away.
    let owner = configured(
        with_token(machine(&world.server, &[HSM]), &world.token)
            .env("REDIS_ENCRYPTION_KEY", OTHER_KEY),
        &[HSM],
        "",
    );
    fs::copy(program.path("ring.json"), owner.path("ring.json")).unwrap();
    let report = owner.run(&["audit", "--deep", "--json"]).done().json();
    assert_eq!(
        report["patterns"][0]["sealed"],
        report["patterns"][0]["total"]
    );
    assert_eq!(report["patterns"][0]["unopenable"], 0);
    owner.run(&["get", "wa:three0"]).done();
}

/// A fresh machine with this keyring: no copy of another one must be in its way.
fn machine_with(program: &Program, world: &World) -> Program {
    let fresh = machine(&world.server, &[ENV]);
    fs::copy(program.path("ring.json"), fresh.path("ring.json")).unwrap();
    fresh
}

/// A record cannot be opened with what this machine has.
#[track_caller]
fn no_use(thief: &Program, because: &str) {
    assert_eq!(thief.variables()["REDIS_ENCRYPTION_KEY"], KEY);
    let output: Output = thief.run(&["get", "wa:three0"]);
    assert_ne!(output.status, 0, "it was opened");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert!(output.stderr.contains(because), "{}", output.stderr);
}

#[track_caller]
fn sealing(program: &Program) -> String {
    let status = program.run(&["keyring", "status", "--json"]).done().json();
    let mut keys = status["keys"].as_array().unwrap().iter();
    let key = keys.find(|key| key["state"] == "sealing").unwrap();
    key["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_custodian_can_be_added_and_removed_but_never_the_last_one() {
    let world = World::new(&[HSM, "file:kek"]);
    world.run(&["key", "generate", "--file", "kek"]).done();
    let words = ["keyring", "init", "--custodian", HSM, "--create-key"];
    world.run(&[&words[..], &QUICK[..]].concat()).done();
    let with = world
        .run(&["keyring", "rewrap", "--add", "file:kek"])
        .done();
    assert!(with.text().contains("is wrapped by"), "{}", with.text());
    let both = custodians(&world.program);
    assert_eq!(both.len(), 2, "{both:?}");

    // Either one is enough.
    for custodian in both.iter().map(String::as_str) {
        let alone = with_token(machine(&world.server, &[custodian]), &world.token);
        for name in ["ring.json", "kek"] {
            fs::copy(world.program.path(name), alone.path(name)).unwrap();
        }
        alone.run(&["keyring", "status"]).done();
    }

    world.run(&["keyring", "rewrap", "--remove", HSM]).done();
    assert_eq!(
        custodians(&configured_for(&world, "file:kek")),
        ["file:kek"]
    );
    let output =
        configured_for(&world, "file:kek").run(&["keyring", "rewrap", "--remove", "file:kek"]);
    let output = output.failed(2, "is the last custodian of the keyring");
    assert!(
        output.stderr.contains("nothing was changed"),
        "{}",
        output.stderr
    );
    let output = world.run(&["keyring", "rewrap", "--remove", "env:NOBODY"]);
    output.failed(2, "has no custodian env:NOBODY");
}

/// The world's machine, told to use another custodian from now on.
fn configured_for(world: &World, custodian: &str) -> Program {
    let program = machine(&world.server, &[custodian]);
    for name in ["ring.json", "kek"] {
        fs::copy(world.program.path(name), program.path(name)).unwrap();
    }
    program
}

#[test]
fn two_operators_at_once_lose_nothing() {
    let world = World::sealed_by_the_token();
    let files = ["kek0", "kek1", "kek2", "kek3"];
    for file in files {
        world.run(&["key", "generate", "--file", file]).done();
    }
    let urls = files.map(|file| format!("file:{file}"));
    let running: Vec<_> = urls
        .iter()
        .map(|url| world.program.start(&["keyring", "rewrap", "--add", url]))
        .collect();
    for one in running {
        one.end().done();
    }
    let mut all = custodians(&world.program);
    all.sort();
    let mut expected: Vec<String> = urls.to_vec();
    expected.push(HSM.to_owned());
    expected.sort();
    assert_eq!(all, expected);
    let document = fs::read_to_string(world.program.path("ring.json")).unwrap();
    let document: Value = serde_json::from_str(&document).unwrap();
    for key in document["keys"].as_array().unwrap() {
        assert_eq!(key["wraps"].as_array().unwrap().len(), expected.len());
    }
}

#[test]
fn a_keyring_under_other_custodians_is_not_put_back_under_the_old_ones() {
    let world = World::new(&[ENV, HSM]);
    let words = [&["keyring", "init", "--custodian", ENV], &QUICK[..]].concat();
    world.run(&words).done();
    let before = fs::read(world.program.path("ring.json")).unwrap();
    let rewrap = ["keyring", "rewrap", "--to", HSM, "--create-key"];
    world.run(&rewrap).done();
    fs::write(world.program.path("ring.json"), before).unwrap();
    // Who knows the newer one puts that back.
    world.run(&["keyring", "status"]).done();
    assert_eq!(custodians(&world.program), [HSM]);
    // A key that exists is neither made again nor touched.
    let output = world.run(&["keyring", "rewrap", "--to", HSM, "--create-key"]);
    output.failed(64, "has a key of this name already");
}
