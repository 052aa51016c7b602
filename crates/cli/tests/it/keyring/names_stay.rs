//! Sealed names while data keys are rotated: records keep their stored names, which are under the index key.

use super::{Lies, PLACES, QUICK, World};
use crate::records::{NAME, STATE};

const CONFIG: &str = "[[protect]]\nname = \"States\"\nrecords = \"wa:{user}\"\nformat = \"sealed\"\nnames = \"sealed\"\n\
                      plain_values = \"json\"\n";

fn world(lies: Lies) -> World {
    let world = World::with(lies, CONFIG);
    let init = [&["init", "--document-format", "2"], &QUICK[..]].concat();
    world.ring(&init).done();
    world
}

impl World {
    /// The names of protected records as they are stored.
    fn stored_names(&self) -> Vec<Vec<u8>> {
        let snapshot = self.server.snapshot();
        let snapshot = snapshot.only(|name| name.starts_with(b"wa:"));
        snapshot.records().keys().cloned().collect()
    }

    #[track_caller]
    fn name_key(&self) -> String {
        let report = self.run(&["inspect", NAME, "--json"]).done().json();
        assert_eq!(report["name_sealed"], true);
        super::text(&report["name_key"])
    }
}

#[test]
fn a_rotation_of_the_sealing_key_leaves_names_as_they_are() {
    for lies in PLACES {
        let world = world(lies);
        let put = world.program.run_with(&["put", NAME], STATE.as_bytes());
        put.done();
        let (names, key) = (world.stored_names(), world.name_key());
        assert_eq!(names.len(), 1);
        world.ring(&["add"]).done();
        let pending = world.keys("pending").pop().unwrap();
        world.ring(&["promote", &pending, "--now"]).done();
        world.run(&["rotate"]).done();
        assert_eq!(world.stored_names(), names);
        assert_eq!(world.name_key(), key);
        assert_eq!(world.run(&["get", NAME]).done().text(), STATE);
        let report = world.run(&["inspect", NAME, "--json"]).done().json();
        assert_eq!(report["values"][0]["key"], pending.as_str());
    }
}

#[test]
fn another_setting_than_the_recorded_one_starts_nothing() {
    let world = world(Lies::InAFile);
    let put = world.program.run_with(&["put", NAME], STATE.as_bytes());
    put.done();
    let before = world.server.snapshot();
    let path = world.program.path("waxseal.toml");
    let configured = std::fs::read_to_string(&path).unwrap();
    for changed in [
        configured.replace("names = \"sealed\"\n", ""),
        configured.replace(
            "names = \"sealed\"\n",
            "names = \"sealed\"\npad_names = 16\n",
        ),
    ] {
        std::fs::write(&path, changed).unwrap();
        let put = world.program.run_with(&["put", "wa:5215500000001"], b"{}");
        put.with_status(2);
        let proxy = world.run(&["proxy", "--listen", "127.0.0.1:0"]);
        proxy.with_status(2);
    }
    assert!(world.server.snapshot().changed_names(&before).is_empty());
    std::fs::write(&path, configured).unwrap();
    assert_eq!(world.run(&["get", NAME]).done().text(), STATE);
}
