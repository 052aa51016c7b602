//! `keyring init`: one ring, where there was none, and no process locked out by it.

use std::os::unix::fs::PermissionsExt;

use waxseal_core::Format;
use waxseal_testing::RedisServer;

use super::{Lies, PLACES, World, configured, text};
use crate::program::{KEY, OLD_KEY, OTHER_KEY, Program};
use crate::records::{NAME, STATE, get, opened, put, sealed};

fn id_of(key: &str) -> String {
    let program = Program::with_file().keys(key, "");
    program.run_with(&["put", NAME], b"{}").done();
    let report = program.run(&["inspect", NAME, "--json"]).done().json();
    text(&report["values"][0]["key"])
}

#[test]
fn makes_a_ring_with_a_new_key_where_nothing_is_sealed() {
    for lies in PLACES {
        let world = World::new(lies);
        let said = world.ring(&["init"]).done().text();
        assert!(
            said.contains("created a keyring at ") && said.contains("a new key, "),
            "{said}"
        );
        let status = world.status();
        let keys = status["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0]["state"], "sealing");
        assert_eq!(keys[0]["adopted"], false);
        assert_ne!(text(&keys[0]["id"]), id_of(KEY));
        assert_eq!(status["environment"], "tests");
        assert_eq!(status["version"], 1);
        assert_eq!(status["custodians"][0], "env:REDIS_ENCRYPTION_KEY");
        let document = String::from_utf8(world.document().unwrap()).unwrap();
        assert!(!document.contains(KEY));
        if lies == Lies::InAFile {
            let path = world.program.path("ring.json");
            let mode = path.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}

#[test]
fn what_is_written_under_the_ring_is_read_under_it() {
    for lies in PLACES {
        let world = World::with_ring(lies);
        let written = world.program.run_with(&["put", NAME], STATE.as_bytes());
        world.assert_leaks_nothing(&written.done());
        assert_eq!(world.run(&["get", NAME]).done().text(), STATE);
        let report = world.run(&["inspect", NAME, "--json"]).done().json();
        assert_eq!(report["values"][0]["key"], world.sealing().as_str());
        assert_eq!(report["values"][0]["key_state"], "sealing");
        // The custodian's secret is not a data key.
        assert_eq!(opened(KEY, NAME, &get(&world.server, NAME).unwrap()), None);
    }
}

#[test]
fn adopts_the_keys_that_the_store_is_sealed_under() {
    for lies in PLACES {
        let server = RedisServer::start();
        let environment = Program::at(&server).keys(KEY, OLD_KEY);
        environment
            .run_with(&["put", NAME], STATE.as_bytes())
            .done();
        let old = "wa:5215500000001";
        put(&server, old, &sealed(OLD_KEY, Format::Sealed, old, b"{}"));
        let program = configured(Program::at(&server).keys(KEY, OLD_KEY), &server, lies, "");
        let world = World {
            server,
            program,
            lies,
        };
        let said = world.ring(&["init"]).done().text();
        assert!(
            said.contains("of the environment was adopted, and seals; 1 more open"),
            "{said}"
        );
        assert_eq!(world.sealing(), id_of(KEY));
        assert_eq!(world.keys("opening"), [id_of(OLD_KEY)]);
        assert_eq!(world.status()["keys"][0]["adopted"], true);
        // Both continue reading what the other writes.
        assert_eq!(world.run(&["get", NAME]).done().text(), STATE);
        assert_eq!(world.run(&["get", old]).done().text(), "{}");
        let new = "wa:5215500000002";
        world.program.run_with(&["put", new], b"[1]").done();
        assert_eq!(environment.run(&["get", new]).done().text(), "[1]");
        // Only another key shuts applications out that know nothing of the ring.
        let output = world.ring(&["add"]).done();
        assert!(
            output.stderr.contains("warning: once key ") && output.stderr.contains("hint: before"),
            "{}",
            output.stderr
        );
    }
}

#[test]
fn adopts_also_where_there_is_no_canary() {
    let world = World::new(Lies::InAFile);
    put(&world.server, "bull:1", b"x");
    put(
        &world.server,
        NAME,
        &sealed(KEY, Format::Classic, NAME, STATE.as_bytes()),
    );
    world.ring(&["init"]).done();
    assert_eq!(world.sealing(), id_of(KEY));
    assert_eq!(world.run(&["get", NAME]).done().text(), STATE);
}

#[test]
fn refuses_a_store_that_is_sealed_under_other_keys() {
    for lies in PLACES {
        let world = World::new(lies);
        let other = Program::at(&world.server).keys(OTHER_KEY, "");
        other.run_with(&["put", NAME], STATE.as_bytes()).done();
        let before = world.server.snapshot();
        let output = world.ring(&["init"]);
        let output = output.failed(2, "under keys that the environment does not hold");
        assert!(output.stderr.contains("--fresh"), "{}", output.stderr);
        assert_eq!(world.document(), None);
        assert_eq!(world.server.snapshot(), before);
        // On request it starts a new ring; the values are reported not to match.
        world.ring(&["init", "--fresh"]).done();
        let output = world.run(&["get", NAME]);
        output.failed(2, "the keyring does not match this store");
    }
}

#[test]
fn makes_no_ring_silently_where_few_values_among_plain_ones_are_sealed() {
    for configured in [None, Some(OLD_KEY)] {
        let mut world = World::with(Lies::InAFile, "custodian = \"env:KEK\"\n");
        let program = world.program.env("KEK", OTHER_KEY);
        world.program = match configured {
            Some(key) => program.keys(key, ""),
            None => program.without("REDIS_ENCRYPTION_KEY"),
        };
        put(&world.server, "wa:plain", b"{}");
        let stored = sealed(KEY, Format::Classic, NAME, STATE.as_bytes());
        put(&world.server, NAME, &stored);
        world
            .ring(&["init"])
            .failed(2, "under keys that the environment does not hold");
        assert_eq!(world.document(), None);
        world.ring(&["init", "--fresh"]).done();
    }
}

#[test]
fn a_store_that_is_not_there_is_only_looked_at_where_that_is_asked_for() {
    let mut world = World::new(Lies::InAFile);
    world.server.kill();
    let output = world.ring(&["init"]).failed(2, "cannot be reached");
    assert!(
        output.stderr.contains("--fresh creates a keyring"),
        "{}",
        output.stderr
    );
    assert_eq!(world.document(), None);
    world.ring(&["init", "--fresh"]).done();
    assert_eq!(world.status()["version"], 1);
}

#[test]
fn refuses_where_there_is_one_already() {
    for lies in PLACES {
        let world = World::with_ring(lies);
        let before = world.document();
        let output = world.ring(&["init"]).failed(2, "there is a keyring at ");
        assert!(
            output.stderr.contains("already (version 1)"),
            "{}",
            output.stderr
        );
        let output = world.ring(&["init", "--if-missing", "--json"]).done();
        assert_eq!(output.json()["version"], 1);
        assert_eq!(world.document(), before);
    }
}

#[test]
fn of_five_at_once_one_makes_the_ring() {
    for lies in PLACES {
        let world = World::new(lies);
        let start = || {
            world
                .program
                .start(&["keyring", "init", "--if-missing", "--json"])
        };
        let running: Vec<_> = (0..5).map(|_| start()).collect();
        let ended: Vec<_> = running.into_iter().map(|it| it.end().done()).collect();
        let rings: Vec<_> = ended.iter().map(|it| text(&it.json()["ring"])).collect();
        assert!(rings.iter().all(|ring| *ring == rings[0]), "{rings:?}");
        let made = ended
            .iter()
            .filter(|it| it.text().contains("created a keyring"));
        assert_eq!(made.count(), 1);
        let status = world.status();
        assert_eq!(status["ring"], rings[0].as_str());
        assert_eq!(status["version"], 1);
    }
}

#[test]
fn another_environment_is_refused_and_nothing_is_changed() {
    for lies in PLACES {
        let world = World::with_ring(lies);
        let before = world.document();
        let config = std::fs::read_to_string(world.program.path("waxseal.toml")).unwrap();
        let other = config.replace("\"tests\"", "\"production\"");
        std::fs::write(world.program.path("other.toml"), other).unwrap();
        for words in [
            &["status"][..],
            &["add"],
            &["init"],
            &["init", "--if-missing"],
        ] {
            let words = [words, &["--config", "other.toml"]].concat();
            let output = world.ring(&words);
            let text = "the keyring is for the environment \"tests\", and this process for \
                        \"production\"";
            output.failed(2, text);
        }
        assert_eq!(world.document(), before);
    }
}

#[test]
fn a_wrong_secret_of_the_custodian_is_refused_and_nothing_is_changed() {
    for lies in PLACES {
        let world = World::with_ring(lies);
        let before = world.document();
        let wrong = World {
            program: world.program.keys(OTHER_KEY, ""),
            ..world
        };
        for words in [
            &["status"][..],
            &["add"],
            &["init", "--if-missing"],
            &["restore"],
        ] {
            let output = wrong.ring(words).with_status(2);
            assert!(
                output.stderr.contains("does not unwrap this key")
                    && output.stderr.contains("hint: nothing was changed"),
                "{}",
                output.stderr
            );
        }
        wrong
            .run(&["get", NAME])
            .failed(2, "no custodian of the keyring opens it");
        assert_eq!(wrong.document(), before);
        let without = World {
            program: wrong.program.without("REDIS_ENCRYPTION_KEY"),
            ..wrong
        };
        let output = without.ring(&["status"]);
        output.failed(
            64,
            "the custodian's variable REDIS_ENCRYPTION_KEY is not set",
        );
    }
}

#[test]
fn a_file_can_hold_the_secret_and_any_custodian_that_is_here_is_enough() {
    let world = World::with(Lies::InAFile, "custodian = [\"env:KEK\", \"file:kek\"]\n");
    world
        .program
        .run(&["key", "generate", "--file", "kek"])
        .done();
    let output = world.ring(&["init"]);
    output.failed(64, "the custodian's variable KEK is not set");
    let both = World {
        program: world.program.env("KEK", OTHER_KEY),
        ..world
    };
    both.ring(&["init"]).done();
    assert_eq!(both.status()["custodians"].as_array().unwrap().len(), 2);
    let one = World {
        program: both.program.without("KEK"),
        ..both
    };
    assert_eq!(one.status()["version"], 1);
    // A new key must be wrapped by all of them.
    let output = one
        .ring(&["add"])
        .failed(2, "the custodian env:KEK is not configured here");
    assert!(
        output.stderr.contains("configure it on this machine"),
        "{}",
        output.stderr
    );
    let path = one.program.path("kek");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = one
        .ring(&["status"])
        .failed(64, "is open to every user (mode 644)");
    assert!(
        output.stderr.contains("hint: chmod 600"),
        "{}",
        output.stderr
    );
}

#[test]
fn the_env_file_can_hold_the_secret_under_any_name() {
    let world = World::with(Lies::InAFile, "custodian = \"env:KEK\"\n");
    let env = format!("PORT=3000\nKEK=\"{OTHER_KEY}\" # of the ring\n");
    let world = World {
        program: world.program.file(".env", &env),
        ..world
    };
    world.ring(&["init"]).done();
    assert_eq!(world.status()["custodians"][0], "env:KEK");
    let overridden = World {
        program: world.program.env("KEK", OLD_KEY),
        ..world
    };
    overridden
        .ring(&["status"])
        .failed(2, "does not unwrap this key");
}

#[test]
fn impossible_settings_are_refused() {
    let world = World::new(Lies::InAFile);
    for (flags, text) in [
        (
            &["--propagation", "10s"][..],
            "at least twice the refresh interval",
        ),
        (&["--refresh", "0s"], "the refresh interval cannot be 0"),
        (
            &["--retain", "1h"],
            "at least as long as the propagation delay",
        ),
        (
            &["--rotate-every", "3h"],
            "more often than every two propagation delays",
        ),
        (&["--rotate-every", "3"], "write a span of time"),
        (&["--max-seals", "0"], "--max-seals"),
    ] {
        world.ring(&[&["init"], flags].concat()).failed(64, text);
    }
    assert_eq!(world.document(), None);
}

#[test]
fn without_a_configured_keyring_the_commands_say_so() {
    let program = Program::with_file();
    for words in [&["init"][..], &["status"], &["add"], &["restore"]] {
        let output = program.run(&[&["keyring"], words].concat());
        let output = output.failed(64, "no keyring is configured");
        assert!(output.stderr.contains("hint: name one with --keyring"));
    }
    let output = program.run(&["keyring", "status", "--keyring", "ring.json"]);
    output.failed(64, "the URL of a keyring starts with file:");
    let output = program
        .env("STATE_DIRECTORY", "/nowhere")
        .run(&[
            "keyring",
            "status",
            "--keyring",
            "redis://u:s3cret@127.0.0.1:1",
        ])
        .failed(2, "a password on the command line");
    assert!(!output.stderr.contains("s3cret"));
}

#[test]
fn a_machine_without_a_place_for_copies_is_warned_about() {
    let world = World::with_ring(Lies::InAFile);
    let without = World {
        program: world.program.without("STATE_DIRECTORY"),
        ..world
    };
    let output = without.ring(&["status"]).done();
    assert!(
        output
            .stderr
            .contains("warning: no last good copy of the keyring is kept"),
        "{}",
        output.stderr
    );
    assert!(output.text().contains("copy          none is kept"));
}
