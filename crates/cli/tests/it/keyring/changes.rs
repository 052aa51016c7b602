//! The changes that an operator makes by hand, and what keeps a key from being given up.

use std::thread::sleep;
use std::time::Duration;

use waxseal_testing::RedisServer;

use super::{Lies, PLACES, World};
use crate::program::{Output, Program};
use crate::records::{NAME, STATE};

/// Longer than the propagation delay of the rings of these tests.
const A_WHILE: Duration = Duration::from_millis(500);

impl World {
    /// Another key seals; the ids of the old and of the new one.
    #[track_caller]
    fn exchange(&self) -> (String, String) {
        let old = self.sealing();
        self.ring(&["add"]).done();
        let new = self.keys("pending").pop().unwrap();
        self.ring(&["promote", &new, "--now"]).done();
        assert_eq!(self.sealing(), new);
        (old, new)
    }

    #[track_caller]
    fn put(&self, name: &str, value: &str) -> Output {
        self.program
            .run_with(&["put", name], value.as_bytes())
            .done()
    }
}

#[test]
fn a_key_goes_through_its_whole_life() {
    for lies in PLACES {
        let world = World::with_ring(lies);
        world.put(NAME, STATE);
        let (old, new) = world.exchange();
        assert_eq!(world.keys("opening"), [old.as_str()]);
        // It still opens, and is needed.
        assert_eq!(world.run(&["get", NAME]).done().text(), STATE);
        sleep(A_WHILE);
        let output = world.ring(&["archive", &old]);
        let output = output.failed(2, "is still needed: 2 values are under it");
        assert!(
            output
                .stderr
                .contains("hint: nothing was changed; waxseal rotate")
        );
        world.run(&["rotate", "--dry-run"]).done();
        assert_eq!(world.keys("opening"), [old.as_str()]);
        world.run(&["rotate"]).done();
        let report = world.run(&["inspect", NAME, "--json"]).done().json();
        assert_eq!(report["values"][0]["key"], new.as_str());
        if world.keys("opening") == [old.as_str()] {
            world.ring(&["archive", &old]).done();
        }
        assert_eq!(world.keys("archived"), [old.as_str()]);
        let said = world.ring(&["archive", &old]).done().text();
        assert!(said.contains("archived already"), "{said}");
        let before = world.wrapped().len();
        world.hurry();
        sleep(A_WHILE);
        world.ring(&["destroy", &old]).done();
        assert_eq!(world.keys("destroyed"), [old.as_str()]);
        assert_eq!(world.wrapped().len(), before - 1);
        let said = world.ring(&["destroy", &old]).done().text();
        assert!(said.contains("destroyed already"), "{said}");
        assert_eq!(world.run(&["get", NAME]).done().text(), STATE);
    }
}

#[test]
fn a_key_under_which_others_may_still_seal_is_not_put_aside() {
    for lies in PLACES {
        let world = World::new(lies);
        world.ring(&["init"]).done();
        let (old, _) = world.exchange();
        let before = world.document();
        let output = world.ring(&["archive", &old]);
        let output = output.failed(2, "processes that are behind may still seal under key");
        assert!(
            output
                .stderr
                .contains("hint: nothing was changed; wait until ")
        );
        world.ring(&["compromise", &old]).done();
        assert_ne!(world.document(), before);
        let output = world.ring(&["destroy", &old]);
        output.failed(2, "processes that are cut off may still seal under key");
    }
}

#[test]
fn a_key_under_which_processes_that_are_cut_off_may_still_seal_is_not_destroyed() {
    for (lies, last) in PLACES.into_iter().zip(["archive", "compromise"]) {
        let world = World::with_ring(lies);
        let (old, _) = world.exchange();
        sleep(A_WHILE);
        world.ring(&[last, &old]).done();
        // That the rest was lowered is not known to a process that is cut off.
        for lowered in [false, true] {
            if lowered {
                world.ring(&["configure", "--retain", "400ms"]).done();
            }
            sleep(A_WHILE);
            let before = world.document();
            let output = world.ring(&["destroy", &old]);
            let output = output.failed(2, "processes that are cut off may still seal under key");
            assert!(
                output.stderr.contains(", or add --force"),
                "{}",
                output.stderr
            );
            assert_eq!(world.document(), before);
        }
        world.ring(&["configure", "--at-once"]).done();
        world.ring(&["destroy", &old]).done();
        assert_eq!(world.keys("destroyed"), [old.as_str()]);
    }
}

#[test]
fn a_pending_key_seals_after_the_propagation_delay_and_not_before() {
    for lies in PLACES {
        let world = World::new(lies);
        world.ring(&["init"]).done();
        let sealing = world.sealing();
        let said = world.ring(&["add"]).done().text();
        assert!(said.contains("is pending (keyring version 2)"), "{said}");
        let pending = world.keys("pending").pop().unwrap();
        let output = world.ring(&["promote", &pending]);
        let output = output.failed(2, "not every process knows it before");
        assert!(output.stderr.contains("--now"), "{}", output.stderr);
        assert_eq!(world.sealing(), sealing);
        let said = world.ring(&["promote", &pending, "--now"]).done().text();
        assert!(
            said.contains(&format!("key {pending} seals from now on")),
            "{said}"
        );
        assert_eq!(world.sealing(), pending);
        let again = world.ring(&["promote", &pending]).done().text();
        assert!(again.contains("seals already"), "{again}");
    }
    let world = World::with_ring(Lies::InAFile);
    world.ring(&["add"]).done();
    let pending = world.keys("pending").pop().unwrap();
    sleep(A_WHILE);
    world.ring(&["promote", &pending]).done();
    assert_eq!(world.sealing(), pending);
}

#[test]
fn forty_at_once_publish_one_key() {
    for lies in PLACES {
        let world = World::new(lies);
        world.ring(&["init"]).done();
        let running: Vec<_> = (0..40)
            .map(|_| world.program.start(&["keyring", "add"]))
            .collect();
        for run in running {
            let output = run.end().done();
            assert!(output.text().contains("is pending"), "{}", output.text());
            world.assert_leaks_nothing(&output);
        }
        assert_eq!(world.keys("pending").len(), 1);
        assert_eq!(world.status()["version"], 2);
    }
}

#[test]
fn what_the_states_do_not_allow_is_refused() {
    for lies in PLACES {
        let world = World::with_ring(lies);
        let before = world.document();
        let sealing = world.sealing();
        for word in ["archive", "destroy", "compromise"] {
            let output = world
                .ring(&[word, &sealing])
                .failed(2, "another one must seal first");
            assert!(
                output.stderr.contains("hint: waxseal keyring add"),
                "{}",
                output.stderr
            );
        }
        world
            .ring(&["destroy", &sealing, "--force"])
            .failed(2, "another one must seal first");
        for word in ["archive", "destroy", "compromise", "promote"] {
            let output = world.ring(&[word, "00000001"]);
            let output = output.failed(2, "the keyring holds no key 00000001");
            assert!(
                output.stderr.contains("waxseal keyring status lists"),
                "{}",
                output.stderr
            );
            world
                .ring(&[word, "1"])
                .failed(64, "8 hexadecimal characters");
        }
        assert_eq!(world.document(), before);
        let (old, _) = world.exchange();
        sleep(A_WHILE);
        world
            .ring(&["destroy", &old])
            .failed(2, "is opening: it cannot become destroyed");
        world
            .ring(&["destroy", &old, "--force"])
            .failed(2, "is opening: it cannot become destroyed");
    }
}

#[test]
fn a_compromised_key_opens_nothing_until_its_values_are_brought_under_another() {
    for lies in PLACES {
        let world = World::with(
            lies,
            "[[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\n",
        );
        world.init();
        world.put(NAME, STATE);
        let (old, new) = world.exchange();
        let said = world.ring(&["compromise", &old]).done().text();
        assert!(said.contains("rotate --open-compromised"), "{said}");
        let error = format!(
            "the canary of this store is sealed under key {old}, which is marked as compromised"
        );
        for words in [&["get", NAME][..], &["audit"], &["rotate"], &["keeper"]] {
            let output = world.run(words).failed(2, &error);
            assert!(
                output
                    .stderr
                    .contains("hint: waxseal rotate --open-compromised brings everything"),
                "{}",
                output.stderr
            );
        }
        let report = world
            .run(&["inspect", NAME, "--json"])
            .with_status(1)
            .json();
        assert_eq!(report["values"][0]["key_state"], "compromised");
        world.hurry();
        sleep(A_WHILE);
        let output = world.ring(&["destroy", &old]).failed(2, "is still needed");
        assert!(
            output.stderr.contains("--open-compromised"),
            "{}",
            output.stderr
        );
        world.run(&["rotate", "--open-compromised"]).done();
        assert_eq!(world.run(&["get", NAME]).done().text(), STATE);
        let report = world.run(&["inspect", NAME, "--json"]).done().json();
        assert_eq!(report["values"][0]["key"], new.as_str());
        world.ring(&["destroy", &old]).done();
    }
}

#[test]
fn a_forced_destruction_does_not_look() {
    let world = World::with(
        Lies::InAFile,
        "[[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\n",
    );
    world.init();
    world.put(NAME, STATE);
    let (old, _) = world.exchange();
    world.ring(&["compromise", &old]).done();
    world.ring(&["destroy", &old, "--force"]).done();
    let report = world
        .run(&["inspect", NAME, "--json"])
        .with_status(1)
        .json();
    assert_eq!(report["values"][0]["key_state"], "destroyed");
}

#[test]
fn records_of_others_that_were_not_looked_at_keep_a_key_until_they_are_released() {
    for lies in PLACES {
        let world = World::with_ring(lies);
        // Another process protects others, in another store.
        let other = [
            "put",
            "sess:1",
            "--store",
            "file:others",
            "--protect",
            "sess:*",
        ];
        world.program.run_with(&other, b"x").done();
        let (old, _) = world.exchange();
        sleep(A_WHILE);
        let output = world
            .ring(&["archive", &old])
            .failed(2, "sess:* at file:others");
        assert!(
            output.stderr.contains("keyring release"),
            "{}",
            output.stderr
        );
        let release = ["release", "--records", "sess:*"];
        world.ring(&release).failed(64, "--store is required");
        let elsewhere = [&release[..], &["--store", "file:elsewhere"]].concat();
        world
            .ring(&elsewhere)
            .failed(2, "does not know of records sess:* at file:elsewhere");
        let here = [&release[..], &["--store", "file:others"]].concat();
        world.ring(&here).done();
        assert!(world.status()["protects"].as_array().unwrap().is_empty());
        world.ring(&["archive", &old]).done();
    }
}

#[test]
fn nothing_is_sealed_where_the_keyring_cannot_be_told_of_it() {
    let world = World::with_ring(Lies::InTheServer);
    let records = RedisServer::start();
    let url = records.url();
    let put = ["put", "sess:1", "--store", &url, "--protect", "sess:*"];
    let mut client = world.server.client();
    // What the ring says can be read, and no change of it comes through.
    let paused = client.cmd(&["CLIENT", "PAUSE", "600000", "WRITE"]);
    assert_eq!(paused.to_text(), "OK");
    let output = world.program.run_with(&put, STATE.as_bytes());
    output.failed(2, "cannot be reached");
    assert_eq!(client.cmd(&["CLIENT", "UNPAUSE"]).to_text(), "OK");
    // Not even the canary is.
    assert!(records.snapshot().is_empty());
    assert!(world.status()["protects"].as_array().unwrap().is_empty());
    world.program.run_with(&put, STATE.as_bytes()).done();
    assert_eq!(world.status()["protects"][0]["records"], "sess:*");
    assert_eq!(records.snapshot().len(), 2);
}

#[test]
fn a_user_key_that_is_made_for_a_value_from_stdin_is_known_to_the_ring() {
    let config = "[[protect]]\nrecords = \"wa:{user}\"\nper_user_keys = true\n";
    let world = World::with(Lies::InAFile, config);
    world.init();
    let seal = ["seal", "--record", NAME];
    world.program.run_with(&seal, STATE.as_bytes()).done();
    let status = world.status();
    assert_eq!(status["protects"][0]["records"], "waxseal:user:*");
    // The key, and the mark of the store that it is in.
    assert_eq!(world.server.snapshot().len(), 2);
}

#[test]
fn a_ring_can_be_named_by_a_flag() {
    let program = Program::with_file();
    let state = program.path("state");
    let program = program.env("STATE_DIRECTORY", state.to_str().unwrap());
    let flag = ["--keyring", "file:named.json"];
    program
        .run(&[&["keyring", "init"], &flag[..]].concat())
        .done();
    program
        .run_with(&[&["put", NAME], &flag[..]].concat(), b"{}")
        .done();
    let output = program.run(&[&["get", NAME], &flag[..]].concat()).done();
    assert_eq!(output.text(), "{}");
    // Without it, the key of the environment is meant: the store is not its store.
    program
        .run(&["get", NAME])
        .failed(2, "the key does not match this store");
}
