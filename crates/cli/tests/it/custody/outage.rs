//! Custodians that are away, lose their login or get a wrong PIN: what runs continues, what starts says what
//! is missing.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use waxseal_testing::softhsm::{FaultMode, FaultyModule};

use super::{HSM, QUICK, World, configured};
use crate::program::{Program, wait_until};
use crate::proxy::Proxy;
use crate::status_page::Page;

/// The same machine, whose token fails on demand.
fn faulty(world: &World) -> (Program, FaultyModule) {
    let faulty = FaultyModule::new(&world.token);
    let directory = world.program.directory().display().to_string();
    // In the same directory: another machine would not have its keyring.
    let mut program = Program::at(&world.server).env(
        "STATE_DIRECTORY",
        &format!("{directory}/state-of-the-other"),
    );
    for (name, value) in world.token.env().into_iter().chain(faulty.env()) {
        program = program.env(&name, &value);
    }
    let program = program
        .env("PKCS11_MODULE_PATH", faulty.module().to_str().unwrap())
        .env("PKCS11_PIN", world.token.pin());
    (here(program, world, &[HSM], ""), faulty)
}

/// A machine that uses the keyring of the world.
fn here(program: Program, world: &World, custodians: &[&str], more: &str) -> Program {
    let program = configured(program, custodians, more);
    let config = fs::read_to_string(program.path("waxseal.toml")).unwrap();
    let ring = format!("file:{}", world.program.path("ring.json").display());
    program.file("waxseal.toml", &config.replace("file:ring.json", &ring))
}

#[test]
fn a_proxy_that_has_its_keyring_continues_whatever_the_token_does() {
    let world = World::sealed_by_the_token();
    let (program, faulty) = faulty(&world);
    let proxy = Proxy::start_as(&program, &world.server, &[]);
    let mut client = proxy.client();
    let mut works = |round: usize| {
        let (name, value) = (format!("wa:{round}"), format!("{{\"n\":{round}}}"));
        assert_eq!(client.cmd(&["SET", &name, &value]).to_text(), "OK");
        assert_eq!(client.cmd(&["GET", "wa:0"]).to_text(), "{\"n\":0}");
    };
    works(0);
    let troubles = || proxy.said().matches("the last good keyring").count();
    let moods = [
        FaultMode::Removed,
        FaultMode::Busy,
        FaultMode::NoUnwrap,
        FaultMode::Garbage,
        FaultMode::Hang,
    ];
    for (round, mode) in moods.into_iter().enumerate() {
        let before = troubles();
        faulty.set_mode(mode);
        // Another process changes the keyring meanwhile: a key that only the token can unwrap.
        let id = add(&world);
        wait_until(|| {
            works(round);
            troubles() > before
        });
        faulty.set_mode(FaultMode::None);
        // When the token is back, the proxy gets to know the key on its own.
        wait_until(|| {
            works(round);
            let stored = world.server.client().cmd(&["GET", &format!("wa:{round}")]);
            names_key(&stored.bytes().unwrap(), &id)
        });
    }
    // A restart is not noticed: a new connection is made.
    let before = troubles();
    faulty.set_mode(FaultMode::Restart);
    let id = add(&world);
    wait_until(|| {
        works(9);
        let stored = world.server.client().cmd(&["GET", "wa:9"]);
        names_key(&stored.bytes().unwrap(), &id)
    });
    assert_eq!(troubles(), before, "{}", proxy.said());
    let output = proxy.stop();
    world.assert_leaks_no_pin(&output);
}

/// Adds a key; returns its id.
#[track_caller]
fn add(world: &World) -> String {
    let ids = || {
        let status = world.run(&["keyring", "status", "--json"]).done().json();
        let keys = status["keys"].as_array().unwrap().clone();
        let ids = keys
            .iter()
            .map(|key| key["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>()
    };
    let before = ids();
    world.run(&["keyring", "add"]).done();
    // It may seal by now: a proxy leads the rotation.
    let new = ids().into_iter().find(|id| !before.contains(id));
    new.expect("there is a new key")
}

/// True if a sealed value names this key in its header.
fn names_key(value: &[u8], id: &str) -> bool {
    let id = u32::from_str_radix(id, 16).unwrap().to_be_bytes();
    value
        .get(..16)
        .is_some_and(|header| header.windows(4).any(|part| part == id))
}

#[test]
fn a_proxy_that_starts_while_the_token_hangs_says_so_and_can_be_stopped() {
    let world = World::sealed_by_the_token();
    let (program, faulty) = faulty(&world);
    faulty.set_mode(FaultMode::Hang);
    let any = "127.0.0.1:0";
    let mut proxy = program.start(&["proxy", "--listen", any, "--admin", any]);
    proxy.wait_until_stderr(|said| said.contains("waiting for the store before taking clients"));
    let said = proxy.said();
    let (_, port) = said.split_once("waxseal: admin on 127.0.0.1:").unwrap();
    let port = port.lines().next().unwrap().parse().unwrap();
    wait_until(|| Page::of(port).warns("WaxsealCustodianHangs"));
    assert!(said.contains("no answer within 10 s"), "{said}");
    assert!(said.contains("its thread is left behind"), "{said}");
    proxy.signal("TERM");
    let output = proxy.end().done();
    world.assert_leaks_no_pin(&output);
}

#[test]
fn one_of_two_custodians_is_enough_to_start_and_none_is_not() {
    let world = World::new(&[HSM, "file:kek"]);
    world.run(&["key", "generate", "--file", "kek"]).done();
    let words = [&["keyring", "init", "--create-key"], &QUICK[..]].concat();
    world.run(&words).done();
    world
        .program
        .run_with(&["put", "wa:1"], b"{\"n\":1}")
        .done();

    let (program, faulty) = faulty(&world);
    let kek = world.program.path("kek").display().to_string();
    let both = [HSM, "file:kek"];
    let program = here(program, &world, &both, "");
    fs::copy(&kek, program.path("kek")).unwrap();
    faulty.set_mode(FaultMode::Removed);
    let output = program.run(&["get", "wa:1"]).done();
    assert_eq!(output.text().trim(), "{\"n\":1}");
    assert!(
        output
            .stderr
            .contains("another custodian opens the keyring"),
        "{}",
        output.stderr
    );
    // A new key must be wrapped by all of them: otherwise it hangs on one alone.
    let output = program
        .run(&["keyring", "add"])
        .failed(2, "cannot be reached");
    assert!(
        output.stderr.contains("nothing was changed"),
        "{}",
        output.stderr
    );

    let alone = here(program, &world, &[HSM], "");
    let output = alone.run(&["get", "wa:1"]);
    let output = output.failed(2, "no custodian of the keyring opens it");
    assert!(
        output.stderr.contains("--allow-offline"),
        "{}",
        output.stderr
    );
    assert!(output.stdout.is_empty());
    faulty.set_mode(FaultMode::None);
    alone.run(&["get", "wa:1"]).done();
}

#[test]
fn a_start_without_any_custodian_is_a_decision() {
    let world = World::sealed_by_the_token();
    world
        .program
        .run_with(&["put", "wa:1"], b"{\"n\":1}")
        .done();
    let (program, faulty) = faulty(&world);
    let get = |program: &Program, flags: &[&str]| program.run(&[flags, &["get", "wa:1"]].concat());

    // Not provided for.
    get(&program, &["--allow-offline"]).failed(64, "--allow-offline needs offline_key");
    // Provided for; the keys are kept from the next start with a custodian on.
    program
        .run(&["key", "generate", "--file", "offline.key"])
        .done();
    let program = here(
        program,
        &world,
        &[HSM],
        "offline_key = \"file:offline.key\"\n",
    );
    faulty.set_mode(FaultMode::Removed);
    get(&program, &["--allow-offline"]).failed(2, "no custodian of the keyring opens it");
    faulty.set_mode(FaultMode::None);
    get(&program, &[]).done();

    faulty.set_mode(FaultMode::Removed);
    get(&program, &[]).failed(2, "no custodian of the keyring opens it");
    let output = get(&program, &["--allow-offline"]).done();
    assert_eq!(output.text().trim(), "{\"n\":1}");
    assert!(
        output.stderr.contains("STARTING OFFLINE"),
        "{}",
        output.stderr
    );
    // A proxy as well; it continues when the token is back.
    let proxy = Proxy::start_as(&program, &world.server, &["--allow-offline"]);
    assert_eq!(proxy.client().cmd(&["GET", "wa:1"]).to_text(), "{\"n\":1}");
    faulty.set_mode(FaultMode::None);
    let id = add(&world);
    world.run(&["keyring", "promote", &id, "--now"]).done();
    wait_until(|| {
        let set = proxy.client().cmd(&["SET", "wa:2", "{\"n\":2}"]);
        assert_eq!(set.to_text(), "OK");
        let stored = world.server.client().cmd(&["GET", "wa:2"]).bytes().unwrap();
        names_key(&stored, &id)
    });
    proxy.stop();

    // The keys are there under the key of this machine: another one opens nothing.
    program
        .run(&["key", "generate", "--file", "another.key"])
        .done();
    let program = here(
        program,
        &world,
        &[HSM],
        "offline_key = \"file:another.key\"\n",
    );
    faulty.set_mode(FaultMode::Removed);
    get(&program, &["--allow-offline"]).failed(2, "no custodian of the keyring opens it");
}

#[test]
fn a_wrong_pin_ends_with_the_status_that_is_not_tried_again() {
    let world = World::sealed_by_the_token();
    let wrong = world.program.env("PKCS11_PIN", "00000000");
    let output = wrong.run(&["keyring", "status"]);
    let output = output.failed(64, "rejects the PIN: it is wrong");
    assert!(
        output.stderr.contains("pkcs11-tool --login"),
        "{}",
        output.stderr
    );
    assert!(!output.stderr.contains("00000000"), "{}", output.stderr);
    assert!(world.token.has_counted_a_wrong_pin());
    for words in [
        &["keyring", "status"][..],
        &["proxy", "--listen", "127.0.0.1:0"],
    ] {
        let output = wrong.run(words);
        output.failed(64, "a wrong one was given since the last login");
    }
    let doctor = wrong.run(&["doctor"]);
    assert!(
        doctor.text().contains("rejects the PIN"),
        "{}",
        doctor.text()
    );
    world.token.unlock();
    let right = wrong.env("PKCS11_PIN", world.token.pin());
    right.run(&["keyring", "status"]).done();
}

#[test]
fn a_wrong_pin_beside_a_custodian_that_is_away_is_not_tried_again_either() {
    let world = World::new(&[HSM, "file:kek"]);
    world.run(&["key", "generate", "--file", "kek"]).done();
    let words = [&["keyring", "init", "--create-key"], &QUICK[..]].concat();
    world.run(&words).done();
    // Another machine has the token alone, and a wrong PIN.
    let (program, _fickle) = faulty(&world);
    let wrong = program.env("PKCS11_PIN", "00000000");
    for words in [
        &["keyring", "status"][..],
        &["proxy", "--listen", "127.0.0.1:0"],
    ] {
        let output = wrong.run(words).failed(64, "rejects the PIN: ");
        assert!(
            output.stderr.contains("pkcs11-tool --login"),
            "{}",
            output.stderr
        );
    }
}

#[test]
fn a_custodian_that_cannot_be_used_is_reported_though_another_one_can() {
    let world = World::new(&[HSM, "file:kek"]);
    world.run(&["key", "generate", "--file", "kek"]).done();
    let words = ["keyring", "init", "--custodian", HSM, "--create-key"];
    world.run(&[&words[..], &QUICK[..]].concat()).done();
    let doctor = world.run(&["doctor"]);
    let text = doctor.text();
    assert!(
        text.contains("file:kek can be used, and wraps nothing of the keyring yet"),
        "{text}"
    );

    world
        .run(&["keyring", "rewrap", "--add", "file:kek"])
        .done();
    let mode = fs::Permissions::from_mode(0o644);
    fs::set_permissions(world.program.path("kek"), mode).unwrap();
    let output = world.run(&["keyring", "status"]).done();
    assert!(
        output.stderr.contains("a custodian cannot be used: "),
        "{}",
        output.stderr
    );
    let doctor = world.run(&["doctor"]).with_status(1);
    assert!(
        doctor.text().contains("is open to every user"),
        "{}",
        doctor.text()
    );
    fs::remove_file(world.program.path("kek")).unwrap();
    // Simply not there: others are enough, and it is said without alarm.
    let output = world.run(&["keyring", "status"]).done();
    assert!(
        !output.stderr.contains("cannot be used"),
        "{}",
        output.stderr
    );
    assert!(world.run(&["doctor"]).text().contains("warning  custodian"));
}

#[test]
fn a_module_that_is_none_is_a_matter_of_configuration() {
    let world = World::sealed_by_the_token();
    let wrong = world
        .program
        .env("PKCS11_MODULE_PATH", "/nowhere/module.so");
    let output = wrong.run(&["keyring", "status"]);
    output.failed(64, "the module cannot be loaded");
}

#[test]
fn a_custodian_that_comes_while_a_process_waits_is_used() {
    let world = World::new(&[HSM, "file:kek"]);
    world.run(&["key", "generate", "--file", "kek"]).done();
    let words = [&["keyring", "init", "--create-key"], &QUICK[..]].concat();
    world.run(&words).done();
    let (program, faulty) = faulty(&world);
    let program = here(program, &world, &[HSM, "file:kek"], "");
    faulty.set_mode(FaultMode::Removed);
    let words = ["proxy", "--listen", "127.0.0.1:0", "--store"];
    let url = world.server.url();
    let mut waiting = program.start(&[&words[..], &[&url]].concat());
    waiting.wait_until_it_says("waiting for the store before taking clients");
    // The stick is plugged in.
    let stick = program.path("stick");
    fs::copy(world.program.path("kek"), &stick).unwrap();
    fs::rename(stick, program.path("kek")).unwrap();
    waiting.wait_until_it_says("waxseal: listening on ");
    waiting.signal("TERM");
    waiting.end().done();
}
