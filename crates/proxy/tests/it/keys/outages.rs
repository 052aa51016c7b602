//! Keys that are unknown, unavailable, damaged, erased or compromised: an error for the values under them, and no effect
//! on others.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use waxseal_core::{Binding, Format, Keyring, Mode, Sealer, SecretKey};
use waxseal_keys::Change;
use waxseal_resp::write_bulk;

use crate::keyed::{Conversation, World};
use crate::pair::arguments;

#[test]
fn an_unknown_key_is_looked_up_once_and_is_an_error() {
    let world = World::new();
    let mut conversation = Conversation::of(&world.process());
    conversation.send(&["GET rg:1", "LRANGE wa:1 0 -1", "LPOP wa:1 2", "GET other"]);
    conversation.sent();
    let fetches = conversation.fetches;
    let unknown = Keyring::new(SecretKey::generate().unwrap()).unwrap();
    let unknown = Sealer::new(Arc::new(unknown), Mode::On, Format::Sealed);
    let mut stored = Vec::new();
    write_bulk(
        &mut stored,
        &unknown.seal(b"v", Binding::record(b"rg:1")).unwrap(),
    );
    let popped = [&b"*2\r\n"[..], &world.reply("@wa:1=a"), &stored].concat();
    conversation.answer(&[&stored[..], &popped, &popped, b"$1\r\nx\r\n"].concat());
    let got = conversation.got();
    let lines: Vec<&str> = got.split("\r\n").collect();
    assert!(lines[0].starts_with("-SEALNOKEY GET: "), "{got}");
    assert!(lines[0].ends_with("not in the keyring"), "{got}");
    assert!(lines[1].starts_with("-SEALNOKEY LRANGE: "), "{got}");
    assert_eq!(lines[2..5], ["*2", "$1", "a"], "{got}");
    assert!(lines[5].starts_with("-SEALNOKEY LPOP: "), "{got}");
    assert_eq!(lines[6..], ["$1", "x", ""], "{got}");
    assert_eq!(
        (conversation.fetches - fetches, conversation.broken()),
        (3, 3)
    );
}

#[test]
fn requests_that_need_an_unavailable_key_are_refused_and_others_are_forwarded() {
    let world = World::new();
    let mut conversation = Conversation::of(&world.process());
    world.user_store.set_out_of_reach(true);
    let lines = [
        "GET wa:1",
        "SET wa:2 @wa:2=v",
        "GET other",
        "SET rg:1 @rg:1=v",
    ];
    conversation.send(&lines);
    world.assert_sent(&conversation.sent(), &lines[2..]);
    conversation.answer(b"$1\r\nx\r\n+OK\r\n");
    let got = conversation.got();
    let lines: Vec<&str> = got.split("\r\n").collect();
    assert!(lines[0].starts_with("-SEALNOKEY GET: "), "{got}");
    assert!(lines[1].starts_with("-SEALNOKEY SET: "), "{got}");
    assert!(lines[0].contains("nothing was sent"), "{got}");
    assert_eq!(lines[2..], ["$1", "x", "+OK", ""]);
    // A transaction that lacks one request is not executed.
    conversation.send(&["MULTI", "SET wa:2 @wa:2=v", "EXEC"]);
    world.assert_sent(&conversation.sent(), &["MULTI", "DISCARD"]);
    conversation.answer(b"+OK\r\n+OK\r\n");
    let got = conversation.got();
    assert!(got.starts_with("+OK\r\n-SEALNOKEY SET: "), "{got}");
    assert!(got.contains("\r\n-EXECABORT "), "{got}");
    world.user_store.set_out_of_reach(false);
    conversation.exchange(&world, "SET wa:2 @wa:2=v", "+OK");
}

#[test]
fn a_reply_whose_user_key_is_unavailable_is_an_error_and_not_a_missing_value() {
    let world = World::new();
    let mut conversation = Conversation::of(&world.process());
    conversation.send(&["GET wa:1", "GET other"]);
    conversation.sent();
    let reply = world.reply("@wa:1=v 'x");
    world.user_store.set_out_of_reach(true);
    conversation.answer(&reply);
    let got = conversation.got();
    assert!(got.starts_with("-SEALNOKEY GET: "), "{got}");
    assert!(
        got.ends_with("cannot be reached: try again\r\n$1\r\nx\r\n"),
        "{got}"
    );
    world.user_store.set_out_of_reach(false);
    conversation.exchange(&world, "GET wa:1", "@wa:1=v");
}

#[test]
fn the_damaged_key_of_one_user_does_not_affect_other_users() {
    let world = World::new();
    let users = ["1", "2", "3", "4", "5", "6", "7"];
    for user in users {
        world.envelope(&format!("wa:{user}=v"));
    }
    let process = world.process();
    let mut records = world.user_store.backup();
    let record = records.get_mut(&process.users.record_name(b"5")).unwrap();
    *record.last_mut().unwrap() ^= 1;
    world.user_store.restore(records);
    let mut conversation = Conversation::of(&process);
    let lines = users.map(|user| format!("GET wa:{user}"));
    conversation.send(&lines.each_ref().map(String::as_str));
    assert_eq!(arguments(&conversation.sent()).len(), users.len() - 1);
    for user in ["1", "2", "3", "4"] {
        conversation.answer(&world.reply(&format!("@wa:{user}=v")));
        assert_eq!(conversation.got().find("$1\r\nv\r\n"), Some(0), "{user}");
    }
}

#[test]
fn the_values_of_an_erased_user_do_not_open_and_new_ones_do() {
    let world = World::new();
    let old = world.reply("@wa:1=v");
    world.erase("1");
    let mut conversation = Conversation::of(&world.process());
    let ask = |conversation: &mut Conversation| {
        conversation.send(&["GET wa:1"]);
        conversation.sent();
        conversation.answer(&old);
        conversation.got()
    };
    let got = ask(&mut conversation);
    assert!(got.starts_with("-SEALERASED GET: "), "{got}");
    conversation.exchange(&world, "SET wa:1 @wa:1=w", "+OK");
    conversation.exchange(&world, "GET wa:1", "@wa:1=w");
    let got = ask(&mut conversation);
    assert!(got.starts_with("-SEALERASED GET: "), "{got}");
}

#[test]
fn a_new_key_of_an_erased_user_is_used_at_once() {
    let world = World::new();
    world.envelope("wa:1=v");
    world.erase("1");
    let mut conversation = Conversation::of(&world.process());
    conversation.exchange(&world, "GET wa:1", "$-1");
    // The other process creates the new key now.
    conversation.exchange(&world, "GET wa:1", "@wa:1=w");
}

#[test]
fn an_erased_key_is_not_looked_up_repeatedly() {
    let world = World::new();
    let old = world.reply("@wa:1=v");
    world.erase("1");
    let protection = Arc::new(world.process().protection());
    let mut conversation = Conversation::under(protection.clone());
    conversation.send(&["GET wa:1"]);
    let calls = world.user_store.calls();
    conversation.answer(&old);
    assert_eq!(world.user_store.calls() - calls, 1);
    // Not for another client either.
    for mut conversation in [conversation, Conversation::under(protection.clone())] {
        conversation.send(&["GET wa:1"]);
        conversation.answer(&old);
        let got = conversation.got();
        assert!(got.contains("-SEALERASED GET: "), "{got}");
    }
    assert_eq!(world.user_store.calls() - calls, 1);
    // A new key is found nevertheless.
    Conversation::under(protection).exchange(&world, "GET wa:1", "@wa:1=w");
}

#[test]
fn a_value_under_a_compromised_key_is_not_opened() {
    let world = World::new();
    let old = world.ring.ring().sealing().id;
    let stored = world.reply("@rg:1=v");
    world.rotate();
    world.change(&Change::Compromise(old));
    let mut conversation = Conversation::of(&world.process());
    conversation.send(&["GET rg:1"]);
    conversation.answer(&stored);
    let got = conversation.got();
    assert!(got.starts_with("-SEALBROKEN GET: "), "{got}");
    assert!(got.contains("compromised"), "{got}");
}

#[test]
fn nothing_is_sealed_if_the_ring_was_unavailable_for_too_long() {
    let world = World::new();
    let process = world.process();
    let mut conversation = Conversation::of(&process);
    conversation.exchange(&world, "SET wa:1 @wa:1=v", "+OK");
    let stored = world.reply("@rg:1=v");
    world.ring_store.set_out_of_reach(true);
    let rest = world.ring.ring().settings().retention_ms;
    let propagation = world.ring.ring().settings().propagation_ms;
    // No longer confirmed, but not lapsed either.
    world.clock.fetch_add(propagation + 1000, Ordering::SeqCst);
    assert!(!process.ring.is_confirmed());
    conversation.exchange(&world, "SET rg:1 @rg:1=v", "+OK");
    world.clock.fetch_add(rest, Ordering::SeqCst);
    conversation.send(&["SET rg:1 @rg:1=v", "LPUSH wa:1 @wa:1=v", "GET rg:1"]);
    world.assert_sent(&conversation.sent(), &["GET rg:1"]);
    conversation.answer(&stored);
    let got = conversation.got();
    let lines: Vec<&str> = got.split("\r\n").collect();
    assert!(lines[0].starts_with("-SEALNOKEY SET: the keyring"), "{got}");
    assert!(
        lines[1].starts_with("-SEALNOKEY LPUSH: the keyring"),
        "{got}"
    );
    assert_eq!(lines[2..], ["$1", "v", ""]);
    world.ring_store.set_out_of_reach(false);
    conversation.exchange(&world, "SET rg:1 @rg:1=v", "+OK");
}
