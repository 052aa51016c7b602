//! The settings of a ring: given, changed for all who share it, and lowered without harm to those who
//! have not seen it.

use super::{PLACES, World};

#[test]
fn settings_are_changed_for_all() {
    for lies in PLACES {
        let world = World::with_ring(lies);
        world
            .ring(&["configure", "--rotate-every", "30d", "--max-seals", "1000"])
            .done();
        let status = world.status();
        assert_eq!(status["settings"]["rotate_every_ms"], 30 * 86_400_000_u64);
        assert_eq!(status["settings"]["max_seals"], 1000);
        assert_eq!(status["settings"]["propagation_ms"], 400);
        assert_eq!(status["next"][0]["step"], "add");
        world.ring(&["configure", "--rotate-every", "never"]).done();
        assert!(world.status()["settings"]["rotate_every_ms"].is_null());
        let version = world.status()["version"].clone();
        world
            .ring(&["configure"])
            .failed(64, "nothing to change was given");
        world
            .ring(&["configure", "--retain", "1ms"])
            .failed(64, "at least as long as the propagation delay");
        let said = world
            .ring(&["configure", "--refresh", "200ms"])
            .done()
            .text();
        assert!(said.contains("nothing to change"), "{said}");
        assert_eq!(world.status()["version"], version);
    }
}

#[test]
fn a_refused_change_of_versions_changes_no_time_either() {
    for lies in PLACES {
        let world = World::new(lies);
        world.ring(&["init"]).done();
        let before = world.status();
        // Version 3 needs format 2 of the document.
        for (refused, status, why) in [
            (
                &["--retain", "2h", "--write-version", "3"][..],
                2,
                "format 2",
            ),
            (
                &["--retain", "1ms", "--document-format", "2"],
                64,
                "at least as long as the propagation delay",
            ),
        ] {
            let refused: Vec<&str> = ["configure"].iter().chain(refused).copied().collect();
            world.ring(&refused).failed(status, why);
            let after = world.status();
            assert_eq!(after["version"], before["version"]);
            assert_eq!(after["settings"], before["settings"]);
        }
    }
}

#[test]
fn lowered_times_hold_once_every_process_has_seen_them() {
    for lies in PLACES {
        let world = World::new(lies);
        world.ring(&["init"]).done();
        assert!(world.status()["longer_times"].is_null());
        let said = world.ring(&["configure", "--retain", "2h"]).done().text();
        assert!(said.contains("by the longer times until 20"), "{said}");
        let status = world.status();
        assert_eq!(status["settings"]["rest_ms"], 7_200_000);
        assert_eq!(status["longer_times"]["rest_ms"], 7 * 86_400_000);
        assert_eq!(status["longer_times"]["propagation_ms"], 7_200_000);
        let until = status["longer_times"]["until"].as_str().unwrap();
        let said = world.ring(&["status"]).done().text();
        let line = format!("longer times  hold until {until}: 2 h until it seals");
        assert!(said.contains(&line), "{said}");
        // Nothing else is given, and it is something anyway.
        let said = world.ring(&["configure", "--at-once"]).done().text();
        assert!(
            said.contains("every process applies it within 60 s"),
            "{said}"
        );
        let status = world.status();
        assert!(status["longer_times"].is_null());
        assert_eq!(status["settings"]["rest_ms"], 7_200_000);
        let said = world.ring(&["configure", "--at-once"]).done().text();
        assert!(said.contains("nothing to change"), "{said}");
    }
}
