//! A ring that is lost, damaged, rolled back or out of reach: what the commands say, and what brings
//! it back.

use std::fs;

use super::{Lies, PLACES, World};
use crate::records::{NAME, STATE};

/// A ring with a value under it and a second version; the first version and the present one.
fn world_with_two_versions(lies: Lies) -> (World, Vec<u8>, Vec<u8>) {
    let world = World::with_ring(lies);
    world
        .program
        .run_with(&["put", NAME], STATE.as_bytes())
        .done();
    let first = world.document().unwrap();
    world.ring(&["add"]).done();
    let present = world.document().unwrap();
    assert_ne!(first, present);
    (world, first, present)
}

#[test]
fn this_machine_keeps_a_copy_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    for lies in PLACES {
        let (world, _, present) = world_with_two_versions(lies);
        let copy = world.copy().expect("there is a copy");
        assert_eq!(fs::read(&copy).unwrap(), present);
        assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn a_lost_ring_is_not_made_anew_over_its_copy() {
    for lies in PLACES {
        let (world, _, present) = world_with_two_versions(lies);
        world.set_document(None);
        for words in [
            &["init"][..],
            &["init", "--if-missing"],
            &["init", "--fresh"],
        ] {
            let output = world.ring(words).failed(2, "this machine keeps a copy");
            assert!(
                output
                    .stderr
                    .contains("hint: waxseal keyring restore puts it back"),
                "{}",
                output.stderr
            );
            assert_eq!(world.document(), None);
        }
        let said = world.ring(&["restore"]).done().text();
        assert!(
            said.contains("the keyring is back at ") && said.contains("version "),
            "{said}"
        );
        assert_eq!(world.document(), Some(present));
        assert_eq!(world.run(&["get", NAME]).done().text(), STATE);
        let again = world.ring(&["restore"]).done().text();
        assert!(again.contains("holds this keyring already"), "{again}");
    }
}

#[test]
fn a_damaged_ring_is_put_back() {
    for lies in PLACES {
        let (world, _, present) = world_with_two_versions(lies);
        for damaged in [&b""[..], b"{", &present[..present.len() / 2], b"[]\n"] {
            world.set_document(Some(damaged));
            let output = world.ring(&["restore"]).done();
            assert!(output.stderr.contains("is refused"), "{}", output.stderr);
            assert_eq!(world.document().as_ref(), Some(&present));
        }
        let mut changed = present.clone();
        let at = changed.windows(7).position(|it| it == b"pending").unwrap();
        changed[at..at + 7].copy_from_slice(b"opening");
        world.set_document(Some(&changed));
        let output = world.ring(&["restore"]).done();
        assert!(
            output.stderr.contains("authentication code is wrong"),
            "{}",
            output.stderr
        );
        assert_eq!(world.document(), Some(present));
    }
}

#[test]
fn a_ring_that_was_rolled_back_is_put_back_by_a_process_that_knows_the_newer_one() {
    for lies in PLACES {
        let (world, first, present) = world_with_two_versions(lies);
        world.set_document(Some(&first));
        let output = world.ring(&["status"]).done();
        assert!(
            output.stderr.contains("was rolled back"),
            "{}",
            output.stderr
        );
        assert_eq!(world.document().as_ref(), Some(&present));
        world.set_document(Some(&first));
        world.ring(&["restore"]).done();
        assert_eq!(world.document(), Some(present));
    }
}

#[test]
fn a_copy_from_elsewhere_is_restored_unless_something_newer_is_there() {
    for lies in PLACES {
        let (world, first, present) = world_with_two_versions(lies);
        fs::write(world.program.path("first.json"), &first).unwrap();
        fs::write(world.program.path("present.json"), &present).unwrap();
        // This machine knows better.
        let output = world.ring(&["restore", "--from", "first.json"]);
        output.failed(2, "this machine keeps a newer copy");
        fs::remove_file(world.copy().unwrap()).unwrap();
        let output = world.ring(&["restore", "--from", "first.json"]);
        output.failed(
            2,
            "holds a keyring of version 3, and the copy has version 2",
        );
        assert_eq!(world.document().as_ref(), Some(&present));
        world.set_document(None);
        let output = world.ring(&["status"]).failed(2, "there is no keyring at ");
        assert!(
            output.stderr.contains("waxseal keyring restore"),
            "{}",
            output.stderr
        );
        let output = world.ring(&["restore"]).failed(2, "cannot be read");
        assert!(output.stderr.contains("--from"), "{}", output.stderr);
        world.ring(&["restore", "--from", "present.json"]).done();
        assert_eq!(world.document(), Some(present));
        assert_eq!(world.run(&["get", NAME]).done().text(), STATE);
    }
}

#[test]
fn the_ring_of_somebody_else_is_never_overwritten() {
    for lies in PLACES {
        let (world, ..) = world_with_two_versions(lies);
        let other = World::with_ring(Lies::InAFile).document().unwrap();
        fs::write(world.program.path("other.json"), &other).unwrap();
        let before = world.document();
        let output = world.ring(&["restore", "--from", "other.json"]);
        output.failed(2, "this machine keeps a copy of another keyring");
        assert_eq!(world.document(), before);
        world.set_document(Some(&other));
        world.ring(&["restore"]).failed(2, "holds another keyring");
        let output = world
            .ring(&["status"])
            .failed(2, "is another one than this process knows");
        assert!(
            output.stderr.contains("hint: nothing was changed"),
            "{}",
            output.stderr
        );
        assert_eq!(world.document(), Some(other));
    }
}

#[test]
fn a_flag_that_points_elsewhere_does_not_bring_the_ring_there() {
    let world = World::with(Lies::InAFile, "keyring_copy = \"copy.json\"\n");
    world.init();
    assert!(world.program.path("copy.json").exists());
    let output = world.run(&["audit", "--keyring", "file:elsewhere.json"]);
    output.failed(2, "there is no keyring at file:");
    assert!(!world.program.path("elsewhere.json").exists());
    // The same place is the same ring.
    world.set_document(None);
    world.run(&["audit", "--keyring", "file:ring.json"]).done();
    assert!(world.document().is_some());
}

#[test]
fn a_ring_that_a_newer_version_wrote_is_never_overwritten() {
    for lies in PLACES {
        let (world, _, present) = world_with_two_versions(lies);
        let text = String::from_utf8(present).unwrap();
        let newer = text.replace("\"format\": 1", "\"format\": 3").into_bytes();
        assert_ne!(newer, text.into_bytes());
        world.set_document(Some(&newer));
        for words in ["restore", "status"] {
            let output = world.ring(&[words]).failed(2, "its format 3 is unknown");
            let hint = "hint: a newer waxseal wrote it";
            assert!(output.stderr.contains(hint), "{}", output.stderr);
            assert_eq!(world.document().as_ref(), Some(&newer));
        }
    }
}

#[test]
fn a_ring_that_is_out_of_reach_is_reported_by_status_and_does_not_stop_readers() {
    let records = waxseal_testing::RedisServer::start();
    let mut world = World::with_ring(Lies::InTheServer);
    let store = ["--store", &records.url()];
    let put = world
        .program
        .run_with(&[&["put", NAME], &store[..]].concat(), STATE.as_bytes());
    put.done();
    world.server.kill();
    let output = world
        .program
        .run(&["keyring", "status", "--json"])
        .with_status(1);
    let trouble = output.json()["trouble"].as_str().unwrap().to_owned();
    assert!(trouble.contains("cannot be reached"), "{trouble}");
    assert!(
        output.stderr.contains("hint: check the keyring's URL"),
        "{}",
        output.stderr
    );
    let read = world
        .program
        .run(&[&["get", NAME], &store[..]].concat())
        .done();
    assert_eq!(read.text(), STATE);
    fs::remove_file(world.copy().unwrap()).unwrap();
    let output = world.program.run(&["keyring", "status"]);
    output.failed(2, "the store of the keyring, redis://127.0.0.1:");
}
