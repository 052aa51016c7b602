//! Requests and replies that wait for keys: the number of fetches, what is sent meanwhile, and that
//! every reply is delivered once and in its turn.

use std::time::Duration;

use waxseal_core::{Binding, Format, Mode, Sealer};
use waxseal_keys::CacheBounds;
use waxseal_resp::write_bulk;

use crate::keyed::{Conversation, World};
use crate::pair::{arguments, requests, to_client};

mod outages;
mod runs;
mod scripts;

#[test]
fn a_pipeline_of_cold_reads_costs_one_round_trip() {
    let world = World::new();
    let names: Vec<String> = (0..100).map(|user| format!("@wa:{user}=v{user}")).collect();
    let replies: Vec<Vec<u8>> = names.iter().map(|name| world.reply(name)).collect();
    let lines: Vec<String> = (0..100).map(|user| format!("GET wa:{user}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut conversation = Conversation::of(&world.process());
    let before = world.user_store.calls();
    conversation.send(&lines);
    world.assert_sent(&conversation.sent(), &lines);
    conversation.answer(&replies.concat());
    assert_eq!(conversation.got(), to_client(&names.join(" ")));
    assert_eq!(world.user_store.calls() - before, 1);
    conversation.send(&lines);
    assert_eq!(world.user_store.calls() - before, 1);
}

#[test]
fn a_new_user_gets_a_key_on_the_first_write() {
    let world = World::new();
    let process = world.process();
    let mut conversation = Conversation::of(&process);
    let lines = ["SET wa:1 @wa:1=v", "GET wa:1", "HSET wa:2 f @wa:2/f=w"];
    conversation.send(&lines);
    // One call to read and one to create, for both users.
    assert_eq!((conversation.fetches, world.user_store.calls()), (1, 2));
    let sent = conversation.sent();
    world.assert_sent(&sent, &lines);
    let mut echo = b"+OK\r\n".to_vec();
    write_bulk(&mut echo, &arguments(&sent)[0][2]);
    conversation.answer(&echo);
    assert_eq!(conversation.got(), to_client("+OK @wa:1=v"));
    conversation.answer(b":1\r\n");
    assert_eq!(conversation.got(), ":1\r\n");
}

#[test]
fn reading_creates_no_key() {
    let world = World::new();
    let mut conversation = Conversation::of(&world.process());
    conversation.send(&["GET wa:1", "HGETALL wa:2", "BLPOP wa:3 wa:4 0"]);
    conversation.answer(b"$-1\r\n*0\r\n*-1\r\n");
    assert_eq!(conversation.got(), "$-1\r\n*0\r\n*-1\r\n");
    assert!(world.user_store.backup().is_empty());
    assert_eq!(world.user_store.calls(), 1);
}

#[test]
fn one_request_may_need_keys_of_several_users_and_the_ring() {
    let world = World::new();
    let mut conversation = Conversation::of(&world.process());
    let set = "MSET wa:2 @wa:2=b rg:1 @rg:1=r other clear wa:1 @wa:1=a wa:2 @wa:2=c";
    conversation.exchange(&world, set, "+OK");
    let reply = "*5 @wa:1=a $-1 @rg:1=r 'clear @wa:3=z";
    conversation.exchange(&world, "MGET wa:1 wa:2 rg:1 other wa:3", reply);
    // The key of the third was created by another process after the look-up.
    assert_eq!(conversation.fetches, 3);
    conversation.exchange(&world, "MGET wa:4 wa:5 wa:6", "*3 @wa:4=x @wa:5=y @wa:6=z");
    assert_eq!(conversation.fetches, 5);
}

#[test]
fn every_command_with_values_works_under_users_keys() {
    let world = World::new();
    for (line, reply) in [
        ("SET wa:1 @wa:1=v EX 60 GET", "@wa:1=old"),
        ("GETSET wa:1 @wa:1=v", "$-1"),
        ("GETDEL wa:1", "@wa:1=v"),
        ("HSET wa:h f @wa:h/f=v g @wa:h/g=w", ":2"),
        ("HMGET wa:h f g", "*2 @wa:h/f=v @wa:h/g=w"),
        ("HGETALL wa:h", "*4 'f @wa:h/f=v 'g @wa:h/g=w"),
        ("HSCAN wa:h 0 COUNT 9", "*2 '0 *2 'f @wa:h/f=v"),
        ("RPUSH wa:l @wa:l=v @wa:l=w", ":2"),
        ("LSET wa:l 0 @wa:l=v", "+OK"),
        ("LRANGE wa:l 0 -1", "*2 @wa:l=v @wa:l=w"),
        ("LMPOP 2 wa:l other LEFT", "*2 'wa:l *1 @wa:l=v"),
    ] {
        Conversation::of(&world.process()).exchange(&world, line, reply);
    }
    let mut conversation = Conversation::of(&world.process());
    conversation.send(&["STRLEN wa:1", "GETRANGE wa:1 1 2", "HVALS wa:h"]);
    let reply = world.reply("@wa:1=value @wa:1=value *2 'f @wa:h/f=v");
    conversation.answer(&reply);
    assert_eq!(conversation.got(), to_client(":5 'al *1 'v"));
}

#[test]
fn values_under_the_ring_stay_readable_when_users_have_keys() {
    let world = World::new();
    let mut conversation = Conversation::of(&world.process());
    conversation.exchange(&world, "GET wa:1", "^wa:1=v");
    conversation.exchange(&world, "GET wa:1", "'{\"plain\":1}");
    let classic = Sealer::new(world.ring.keyring(), Mode::On, Format::Classic);
    let mut reply = Vec::new();
    let stored = classic.seal(b"v", Binding::unbound()).unwrap();
    write_bulk(&mut reply, &stored);
    conversation.send(&["GET wa:1"]);
    conversation.sent();
    conversation.answer(&reply);
    assert_eq!(conversation.got(), to_client("'v"));
    // Also with a key.
    conversation.exchange(&world, "SET wa:1 @wa:1=v", "+OK");
    conversation.exchange(&world, "LRANGE wa:1 0 -1", "*3 ^wa:1=v @wa:1=w '7");
}

#[test]
fn a_transaction_waits_for_keys_before_its_commands_and_for_its_replies() {
    let world = World::new();
    let mut conversation = Conversation::of(&world.process());
    let lines = [
        "MULTI",
        "SET wa:1 @wa:1=v",
        "GET wa:1",
        "MGET wa:2 rg:1",
        "EXEC",
    ];
    conversation.send(&lines);
    assert_eq!(conversation.fetches, 1);
    world.assert_sent(&conversation.sent(), &lines);
    let id = world.rotate();
    let reply = "+OK +QUEUED +QUEUED +QUEUED *3 +OK @wa:1=v *2 @wa:2=w @rg:1=r";
    conversation.answer(&world.reply(reply));
    assert_eq!(conversation.got(), to_client(reply), "under {id}");
    assert_eq!(conversation.fetches, 2);
    conversation.exchange(&world, "GET wa:1", "@wa:1=v");
}

#[test]
fn a_reply_that_waits_for_a_key_of_the_ring_delays_those_behind_it() {
    let world = World::new();
    let mut conversation = Conversation::of(&world.process());
    conversation.send(&["GET rg:1", "GET other", "INCREX rg:1", "GET rg:1"]);
    conversation.sent();
    world.rotate();
    conversation.fetching = false;
    conversation.answer(&world.reply("@rg:1=v 'x ^rg:1=w"));
    // A refusal has its turn as well.
    conversation.send(&["INCREX rg:2"]);
    assert_eq!(conversation.got(), "");
    assert!(!conversation.connection.has_all_replies() && !conversation.connection.is_idle());
    conversation.fetching = true;
    conversation.run().unwrap();
    let got = conversation.got();
    let mut parts = got.split("-SEALREFUSED INCREX");
    assert_eq!(parts.next(), Some("$1\r\nv\r\n$1\r\nx\r\n"));
    assert!(parts.next().unwrap().ends_with("\r\n$1\r\nw\r\n"), "{got}");
    assert_eq!(
        (parts.count(), conversation.fetches, conversation.broken()),
        (1, 1, 0)
    );
    assert!(conversation.connection.is_idle());
}

#[test]
fn an_answer_of_the_proxy_comes_after_a_reply_that_waits() {
    let world = World::new();
    let mut conversation = Conversation::of(&world.process());
    conversation.send(&["GET rg:1"]);
    world.rotate();
    conversation.fetching = false;
    conversation.answer(&world.reply("@rg:1=v"));
    conversation.send(&["INCREX rg:1"]);
    assert_eq!(conversation.got(), "");
    conversation.fetching = true;
    conversation.run().unwrap();
    let got = conversation.got();
    assert!(got.starts_with("$1\r\nv\r\n-SEALREFUSED INCREX"), "{got}");
    assert!(conversation.connection.is_idle());
}

#[test]
fn a_blocking_pop_returns_values_of_a_user_whose_key_is_new() {
    for (line, reply) in [
        ("BLPOP wa:9 wa:8 0", "*2 'wa:9 @wa:9=v"),
        (
            "BLMPOP 0 2 wa:9 wa:8 LEFT COUNT 2",
            "*2 'wa:9 *2 @wa:9=v @wa:9=w",
        ),
    ] {
        let world = World::new();
        let mut conversation = Conversation::of(&world.process());
        conversation.send(&[line]);
        world.assert_sent(&conversation.sent(), &[line]);
        assert!(conversation.connection.may_be_blocked());
        conversation.answer(&world.reply(reply));
        assert_eq!(conversation.got(), to_client(reply));
        assert!(
            conversation.connection.has_all_replies() && !conversation.connection.may_be_blocked()
        );
    }
}

#[test]
fn while_keys_are_fetched_nothing_is_sent_and_no_more_keys_are_requested() {
    let world = World::new();
    let mut conversation = Conversation::of(&world.process());
    conversation.fetching = false;
    conversation.send(&["GET other", "GET wa:1"]);
    world.assert_sent(&conversation.sent(), &["GET other"]);
    let request = conversation.connection.take_key_request().unwrap();
    conversation.send(&["GET wa:2"]);
    conversation.answer(b"$1\r\nx\r\n");
    assert_eq!(
        (conversation.sent(), conversation.got()),
        (Vec::new(), to_client("'x"))
    );
    assert!(conversation.connection.take_key_request().is_none());
    conversation.provide(request);
    world.assert_sent(&conversation.sent(), &["GET wa:1"]);
    assert!(conversation.connection.take_key_request().is_some());
}

#[test]
fn a_cache_that_is_too_small_does_not_block_requests() {
    let world = World::new();
    for users in [1, 2, 7] {
        let age = Duration::from_secs(60);
        let bounds = CacheBounds { users, age };
        let process = world.process_with(world.user_store.clone(), bounds);
        let mut conversation = Conversation::of(&process);
        let names: Vec<String> = (0..50).map(|user| format!("wa:{user}")).collect();
        let sets = names.iter().map(|name| format!("SET {name} @{name}=v"));
        let all: Vec<String> = names.iter().map(|name| format!("@{name}=v")).collect();
        let lines: Vec<String> = sets.chain([format!("MGET {}", names.join(" "))]).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        conversation.send(&lines);
        world.assert_sent(&conversation.sent(), &lines);
        assert_eq!(conversation.fetches, 1);
        conversation.answer(&world.reply(&format!(
            "{} *50 {}",
            ["+OK"; 50].join(" "),
            all.join(" ")
        )));
        let got = to_client(&format!("{} *50 {}", ["+OK"; 50].join(" "), all.join(" ")));
        assert_eq!(conversation.got(), got);
    }
}

#[test]
fn a_pattern_without_a_user_cannot_have_user_keys() {
    let process = World::new().process();
    let refused = process
        .protection()
        .user_keys(process.users.clone(), |_| true);
    let error = refused.err().unwrap();
    assert!(error.to_string().contains("rg:*"), "{error}");
}

/// Keys of the ring and of users that are fetched late, with both directions in pieces of every size.
#[test]
fn pieces_of_every_size_have_the_same_result() {
    const LINES: [&str; 8] = [
        "GET wa:1",
        "SET wa:2 @wa:2=v",
        "INCREX wa:2",
        "MGET wa:3 rg:1 other",
        "MULTI",
        "HGETALL wa:4",
        "EXEC",
        "GET other",
    ];
    const REPLY: &str = "@wa:1=v +OK *3 @wa:3=w @rg:1=r 'x +OK +QUEUED *1 *2 'f @wa:4/f=z 'end";
    let requested = requests(&LINES);
    let mut first: Option<String> = None;
    for size in (1..120).chain([requested.len() / 2, 10_000]) {
        let world = World::new();
        let mut conversation = Conversation::of(&world.process());
        requested
            .chunks(size)
            .for_each(|chunk| conversation.send_bytes(chunk));
        assert_eq!(
            arguments(&conversation.sent()).len(),
            LINES.len() - 1,
            "{size}"
        );
        world.rotate();
        world
            .reply(REPLY)
            .chunks(size)
            .for_each(|chunk| conversation.answer(chunk));
        let got = conversation.got();
        assert!(
            got.ends_with("$1\r\nf\r\n$1\r\nz\r\n$3\r\nend\r\n"),
            "{got}"
        );
        assert_eq!(&got, first.get_or_insert_with(|| got.clone()), "{size}");
        assert!(conversation.connection.is_idle());
    }
}
