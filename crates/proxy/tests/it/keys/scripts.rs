//! Known scripts that wait for keys.

use std::sync::atomic::Ordering;

use crate::keyed::{Conversation, World};

/// Compare and delete, without spaces.
const RELEASE: &str =
    "if\tredis.call('get',KEYS[1])==ARGV[1]\tthen\treturn\tredis.call('del',KEYS[1])\tend";
/// Acquires a free lock, or sets its expiry.
const SAVE: &str = "if\tredis.call('get',KEYS[1])==ARGV[1]\tthen\treturn\tredis.call('expire',KEYS[1],ARGV[2])\telse\treturn\tredis.call('set',KEYS[1],ARGV[1],'EX',ARGV[2],'NX')\tend";

#[test]
fn a_known_script_waits_for_the_keys_of_its_record() {
    let world = World::new();
    let stored = world.reply("@wa:1=v");
    let mut conversation = Conversation::of(&world.process());
    let release = |name: &str, token: &str| format!("EVAL {RELEASE} 1 {name} {token}");
    // The user's key is not cached.
    conversation.send(&[&release("wa:1", "v"), "GET other"]);
    world.assert_sent(&conversation.sent(), &["gET wa:1"]);
    assert_eq!(conversation.fetches, 1);
    conversation.answer(&stored);
    world.assert_sent(&conversation.sent(), &[&release("wa:1", "@wa:1=v")]);
    conversation.answer(b":1\r\n");
    world.assert_sent(&conversation.sent(), &["GET other"]);
    conversation.answer(b"$1\r\nx\r\n");
    assert_eq!(conversation.got(), ":1\r\n$1\r\nx\r\n");
    // The value is under a key of the ring that is not known yet.
    conversation.send(&[&release("rg:1", "v")]);
    world.assert_sent(&conversation.sent(), &["gET rg:1"]);
    world.rotate();
    conversation.fetching = false;
    conversation.answer(&world.reply("@rg:1=v"));
    assert!(conversation.connection.is_stalled() && !conversation.connection.is_idle());
    assert!(conversation.sent().is_empty());
    conversation.fetching = true;
    conversation.run().unwrap();
    world.assert_sent(&conversation.sent(), &[&release("rg:1", "@rg:1=v")]);
    conversation.answer(b":1\r\n");
    assert_eq!(
        (conversation.got(), conversation.broken()),
        (":1\r\n".to_owned(), 0)
    );
    assert!(conversation.connection.is_idle());
}

#[test]
fn a_known_script_whose_keys_are_unavailable_ends_with_an_error() {
    let world = World::new();
    let mut conversation = Conversation::of(&world.process());
    let save = |token: &str| format!("EVAL {SAVE} 1 wa:new {token} 9");
    // A new user gets a key.
    conversation.send(&[&save("v")]);
    world.assert_sent(&conversation.sent(), &["gET wa:new"]);
    conversation.answer(b"$-1\r\n");
    world.assert_sent(&conversation.sent(), &[&save("@wa:new=v")]);
    conversation.answer(b"+OK\r\n");
    assert_eq!(conversation.got(), "+OK\r\n");
    // Nothing may be sealed once the value has been read.
    let mut conversation = Conversation::of(&world.process());
    world.user_store.set_out_of_reach(true);
    conversation.send(&[&save("v"), "GET other"]);
    world.assert_sent(&conversation.sent(), &["GET other"]);
    conversation.answer(b"$1\r\nx\r\n");
    let got = conversation.got();
    assert!(got.starts_with("-SEALNOKEY EVAL: "), "{got}");
    assert!(got.ends_with("$1\r\nx\r\n"), "{got}");
    world.user_store.set_out_of_reach(false);
    let mut conversation = Conversation::of(&world.process());
    conversation.send(&["GET rg:1"]);
    conversation.answer(b"$-1\r\n");
    conversation.send(&[&format!("EVAL {SAVE} 1 rg:1 v 9"), "GET other"]);
    conversation.sent();
    conversation.got();
    world.clock.fetch_add(7 * 24 * 3_600_000, Ordering::SeqCst);
    world.ring_store.set_out_of_reach(true);
    conversation.answer(b"$-1\r\n");
    let got = conversation.got();
    assert!(got.starts_with("-SEALNOKEY EVAL: "), "{got}");
    world.assert_sent(&conversation.sent(), &["GET other"]);
    conversation.answer(b"$1\r\nx\r\n");
    assert_eq!(conversation.got(), "$1\r\nx\r\n");
    assert!(conversation.connection.is_idle());
}
