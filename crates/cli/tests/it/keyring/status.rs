//! `keyring status`: where things stand, for people and for programs.

use super::{Lies, PLACES, World};
use crate::records::{NAME, STATE};

#[test]
fn everything_is_told_to_programs() {
    for lies in PLACES {
        let world = World::new(lies);
        world.ring(&["init"]).done();
        world
            .program
            .run_with(&["put", NAME], STATE.as_bytes())
            .done();
        let status = world.status();
        let location = status["location"].as_str().unwrap();
        assert_eq!(location.starts_with("file:/"), lies == Lies::InAFile);
        assert_eq!(
            location.starts_with("redis://127.0.0.1:"),
            lies == Lies::InTheServer
        );
        assert_eq!(status["ring"].as_str().unwrap().len(), 16);
        assert_eq!(status["receipt_key"].as_str().unwrap().len(), 43);
        assert!(status["copy"].as_str().unwrap().contains("/state/keyring-"));
        assert_eq!(status["settings"]["rotate_every_ms"], 90 * 86_400_000_u64);
        assert_eq!(status["settings"]["propagation_ms"], 7_200_000);
        assert_eq!(status["settings"]["refresh_ms"], 60_000);
        assert_eq!(status["settings"]["rest_ms"], 7 * 86_400_000);
        assert_eq!(status["settings"]["max_seals"], 1_u64 << 32);
        // Who seals makes known what is under the ring.
        assert_eq!(status["protects"][0]["records"], "wa:*");
        assert_eq!(
            status["protects"][0]["store"],
            world.server.url().trim_end_matches('/')
        );
        assert_eq!(status["erased_users"], 0);
        assert!(status["trouble"].is_null() && status["due"].is_null());
        assert_eq!(status["next"][0]["step"], "add");
        let key = &status["keys"][0];
        assert_eq!(
            (&key["state"], &key["adopted"]),
            (&"sealing".into(), &false.into())
        );
        assert_eq!(
            (&key["seals"], &key["values"]),
            (&2.into(), &serde_json::Value::Null)
        );
    }
}

#[test]
fn what_comes_next_and_what_is_in_the_way_is_reported() {
    let world = World::with_ring(Lies::InAFile);
    world
        .program
        .run_with(&["put", NAME], STATE.as_bytes())
        .done();
    let old = world.sealing();
    world.ring(&["add"]).done();
    let pending = world.keys("pending").pop().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    let status = world.status();
    assert_eq!(status["due"]["step"], "promote");
    assert_eq!(status["due"]["key"], pending.as_str());
    let said = world.ring(&["status"]).done().text();
    assert!(
        said.contains(&format!("due now               key {pending} seals")),
        "{said}"
    );
    assert!(
        said.contains("no process reports that carries it out"),
        "{said}"
    );
    world.ring(&["promote", &pending]).done();
    std::thread::sleep(std::time::Duration::from_millis(500));
    world.ring(&["archive", &old]).with_status(2);
    let status = world.status();
    assert_eq!(status["blocked"][0]["key"], old.as_str());
    assert_eq!(status["blocked"][0]["why"], "2 values are under it");
    let keys = status["keys"].as_array().unwrap();
    let values: Vec<_> = keys.iter().map(|key| &key["values"]).collect();
    assert_eq!(values, [2, 0]);
}

#[test]
fn a_person_reads_it_as_a_table() {
    let world = World::with_ring(Lies::InTheServer);
    let said = world.ring(&["status"]).done().text();
    for part in [
        "keyring       redis://127.0.0.1:",
        "environment   tests\n",
        ", version 1\n",
        "custodians    env:REDIS_ENCRYPTION_KEY\n",
        "receipt key   ",
        "rotation      no new key by age or 4,294,967,296 values; 400 ms until it seals",
        "key       state        age      seals",
    ] {
        assert!(said.contains(part), "no «{part}» in: {said}");
    }
    assert!(
        said.contains(&format!("{:<9} sealing", world.sealing())),
        "{said}"
    );
}

#[test]
fn what_commands_seal_counts_towards_the_limit_of_the_key() {
    let world = World::with_ring(Lies::InTheServer);
    for index in 0..3 {
        let name = format!("wa:521555000000{index}");
        world.program.run_with(&["put", &name], b"{}").done();
    }
    let seals = |world: &World| world.status()["keys"][0]["seals"].as_u64().unwrap();
    // Three values and the canary.
    assert_eq!(seals(&world), 4);
    world.program.run_with(&["seal"], b"{}").done();
    assert_eq!(seals(&world), 5);
    waxseal_testing::load_states(&world.server, 25, std::time::Duration::from_secs(3600));
    let migrated = world.run(&["migrate", "--json"]).done().json();
    let done = migrated["patterns"][0]["done"].as_u64().unwrap();
    assert!(done > 0, "{migrated}");
    assert_eq!(seals(&world), 5 + done);
    let processes = world.status()["processes"].as_array().unwrap().len();
    assert_eq!(processes, 0, "none of them is there any more");
}
