//! Stores of users' keys that lost their keys: refused, marked, and accepted by an operator.

use super::super::{Lies, World};
use super::{CONFIG, world};
use crate::records::{NAME, STATE, put};

#[test]
fn a_store_of_users_keys_that_lost_them_is_refused_until_an_operator_accepts_it() {
    let world = world(Lies::InTheServer);
    world
        .program
        .run_with(&["put", NAME], STATE.as_bytes())
        .done();
    let mut client = world.server.client();
    for pattern in ["waxseal:user:*", "waxseal:user-keys:*"] {
        let names = client.cmd(&["KEYS", pattern]).array();
        assert_eq!(names.len(), 1, "{pattern}");
        client.cmd(&["DEL", &names[0].to_text()]);
    }
    let other = "wa:5215500000001";
    let text = "holds no key of this keyring, and values are under keys of users (1 of a sample)";
    let refused = world
        .program
        .run_with(&["put", other], b"[1]")
        .failed(2, text);
    assert!(
        refused.stderr.contains("waxseal keyring adopt-users"),
        "{refused:?}"
    );
    assert!(world.run(&["doctor"]).with_status(1).text().contains(text));
    world
        .ring(&["adopt-users"])
        .failed(64, "would be accepted as this keyring's");
    world
        .program
        .run_with(&["put", other], b"[1]")
        .failed(2, text);
    world.ring(&["adopt-users", "--yes"]).done();
    world.program.run_with(&["put", other], b"[1]").done();
    assert_eq!(world.run(&["get", other]).done().text(), "[1]");
    world.run(&["get", NAME]).with_status(2);
}

/// The records of a store of users' keys that this pattern finds.
fn kept(server: &waxseal_testing::RedisServer, pattern: &str) -> usize {
    server.client().cmd(&["KEYS", pattern]).array().len()
}

const MARKS: &str = "waxseal:user-keys:*";

/// A world whose users' keys are in a server of their own, with the key of one user.
fn with_a_store_of_users_keys() -> (World, waxseal_testing::RedisServer) {
    let keys = waxseal_testing::RedisServer::start();
    let more = format!("user_keys = \"{}\"\n{CONFIG}", keys.url());
    let world = World::with(Lies::InAFile, &more);
    world.init();
    let put = ["put", NAME];
    world.program.run_with(&put, STATE.as_bytes()).done();
    (world, keys)
}

#[test]
fn a_store_of_users_keys_is_marked_at_a_start_with_a_canary_that_opens() {
    let (world, keys) = with_a_store_of_users_keys();
    let mut client = keys.client();
    // As one from before there were marks.
    let mark = client.cmd(&["KEYS", MARKS]).array().remove(0).to_text();
    client.cmd(&["DEL", &mark]);
    // Makes no key.
    world.program.run_with(&["put", "sess:1"], b"x").done();
    assert_eq!(kept(&keys, MARKS), 1);
}

#[test]
fn no_command_makes_a_key_in_an_emptied_store_of_users_keys() {
    let (world, keys) = with_a_store_of_users_keys();
    keys.client().cmd(&["FLUSHALL"]);
    let other = "wa:5215500000001";
    let text = "holds no key of this keyring, and values are under keys of users (1 of a sample)";
    let refused = |words: &[&str], text: &str| {
        let refused = world.program.run_with(words, b"[1]").failed(2, text);
        let hint = "waxseal keyring adopt-users";
        assert!(refused.stderr.contains(hint), "{}", refused.stderr);
        assert_eq!(kept(&keys, "*"), 0, "{words:?}");
    };
    refused(&["seal", "--record", other], text);
    refused(&["put", other], text);
    // Whatever is there: the ring knows that there were keys.
    put(&world.server, NAME, b"{}");
    let text =
        "holds no key of this keyring, and the keyring knows that keys of users are kept there";
    refused(&["seal", "--record", other], text);
    refused(&["migrate"], text);
    // Nothing was lost where nothing is stored.
    world.server.client().cmd(&["DEL", NAME]);
    world.program.run_with(&["put", other], b"[1]").done();
    assert_eq!(kept(&keys, MARKS), 1);
}
