//! Requests and replies that wait for keys: how often keys are got, what is sent meanwhile, and that
//! every reply comes once and in its turn.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use waxseal_core::{Binding, Format, Keyring, Mode, Sealer, SecretKey};
use waxseal_keys::{CacheBounds, Change};
use waxseal_resp::write_bulk;

use crate::keyed::{ConnectionState, World};
use crate::pair::{arguments, requests, to_client};

#[test]
fn a_pipeline_of_cold_reads_costs_one_round_trip() {
    let world = World::new();
    let names: Vec<String> = (0..100).map(|user| format!("@wa:{user}=v{user}")).collect();
    let replies: Vec<Vec<u8>> = names.iter().map(|name| world.reply(name)).collect();
    let lines: Vec<String> = (0..100).map(|user| format!("GET wa:{user}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut talk = ConnectionState::of(&world.process());
    let before = world.user_place.calls();
    talk.send(&lines);
    world.assert_sent(&talk.sent(), &lines);
    talk.answer(&replies.concat());
    assert_eq!(talk.got(), to_client(&names.join(" ")));
    assert_eq!(world.user_place.calls() - before, 1);
    talk.send(&lines);
    assert_eq!(world.user_place.calls() - before, 1);
}

#[test]
fn a_new_user_gets_a_key_on_the_first_write() {
    let world = World::new();
    let process = world.process();
    let mut talk = ConnectionState::of(&process);
    let lines = ["SET wa:1 @wa:1=v", "GET wa:1", "HSET wa:2 f @wa:2/f=w"];
    talk.send(&lines);
    // One to look, one to make, for both.
    assert_eq!((talk.fetches, world.user_place.calls()), (1, 2));
    let sent = talk.sent();
    world.assert_sent(&sent, &lines);
    let mut echo = b"+OK\r\n".to_vec();
    write_bulk(&mut echo, &arguments(&sent)[0][2]);
    talk.answer(&echo);
    assert_eq!(talk.got(), to_client("+OK @wa:1=v"));
    talk.answer(b":1\r\n");
    assert_eq!(talk.got(), ":1\r\n");
}

#[test]
fn reading_makes_no_key() {
    let world = World::new();
    let mut talk = ConnectionState::of(&world.process());
    talk.send(&["GET wa:1", "HGETALL wa:2", "BLPOP wa:3 wa:4 0"]);
    talk.answer(b"$-1\r\n*0\r\n*-1\r\n");
    assert_eq!(talk.got(), "$-1\r\n*0\r\n*-1\r\n");
    assert!(world.user_place.backup().is_empty());
    assert_eq!(world.user_place.calls(), 1);
}

#[test]
fn one_request_can_concern_several_users_and_the_ring() {
    let world = World::new();
    let mut talk = ConnectionState::of(&world.process());
    let set = "MSET wa:2 @wa:2=b rg:1 @rg:1=r other clear wa:1 @wa:1=a wa:2 @wa:2=c";
    talk.exchange(&world, set, "+OK");
    let reply = "*5 @wa:1=a $-1 @rg:1=r 'clear @wa:3=z";
    talk.exchange(&world, "MGET wa:1 wa:2 rg:1 other wa:3", reply);
    // The key of the third was made by another process after it was looked for.
    assert_eq!(talk.fetches, 3);
    talk.exchange(&world, "MGET wa:4 wa:5 wa:6", "*3 @wa:4=x @wa:5=y @wa:6=z");
    assert_eq!(talk.fetches, 5);
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
        ConnectionState::of(&world.process()).exchange(&world, line, reply);
    }
    let mut talk = ConnectionState::of(&world.process());
    talk.send(&["STRLEN wa:1", "GETRANGE wa:1 1 2", "HVALS wa:h"]);
    let reply = world.reply("@wa:1=value @wa:1=value *2 'f @wa:h/f=v");
    talk.answer(&reply);
    assert_eq!(talk.got(), to_client(":5 'al *1 'v"));
}

#[test]
fn values_under_the_ring_stay_readable_where_users_have_keys() {
    let world = World::new();
    let mut talk = ConnectionState::of(&world.process());
    talk.exchange(&world, "GET wa:1", "^wa:1=v");
    talk.exchange(&world, "GET wa:1", "'{\"plain\":1}");
    let classic = Sealer::new(world.ring.keyring(), Mode::On, Format::Classic);
    let mut reply = Vec::new();
    let stored = classic.seal(b"v", Binding::unbound()).unwrap();
    write_bulk(&mut reply, &stored);
    talk.send(&["GET wa:1"]);
    talk.sent();
    talk.answer(&reply);
    assert_eq!(talk.got(), to_client("'v"));
    // Also with a key.
    talk.exchange(&world, "SET wa:1 @wa:1=v", "+OK");
    talk.exchange(&world, "LRANGE wa:1 0 -1", "*3 ^wa:1=v @wa:1=w '7");
}

#[test]
fn a_transaction_has_its_keys_before_and_its_values_after() {
    let world = World::new();
    let mut talk = ConnectionState::of(&world.process());
    let lines = [
        "MULTI",
        "SET wa:1 @wa:1=v",
        "GET wa:1",
        "MGET wa:2 rg:1",
        "EXEC",
    ];
    talk.send(&lines);
    assert_eq!(talk.fetches, 1);
    world.assert_sent(&talk.sent(), &lines);
    let id = world.rotate();
    let reply = "+OK +QUEUED +QUEUED +QUEUED *3 +OK @wa:1=v *2 @wa:2=w @rg:1=r";
    talk.answer(&world.reply(reply));
    assert_eq!(talk.got(), to_client(reply), "under {id}");
    assert_eq!(talk.fetches, 2);
    talk.exchange(&world, "GET wa:1", "@wa:1=v");
}

#[test]
fn a_reply_waits_for_a_key_of_the_ring_and_so_do_those_behind_it() {
    let world = World::new();
    let mut talk = ConnectionState::of(&world.process());
    talk.send(&["GET rg:1", "GET other", "INCR rg:1", "GET rg:1"]);
    talk.sent();
    world.rotate();
    talk.fetching = false;
    talk.answer(&world.reply("@rg:1=v 'x ^rg:1=w"));
    // What is refused here comes in its turn too.
    talk.send(&["INCR rg:2"]);
    assert_eq!(talk.got(), "");
    assert!(!talk.connection.has_all_replies() && !talk.connection.is_idle());
    talk.fetching = true;
    talk.go_on().unwrap();
    let got = talk.got();
    let mut parts = got.split("-SEALREFUSED INCR");
    assert_eq!(parts.next(), Some("$1\r\nv\r\n$1\r\nx\r\n"));
    assert!(parts.next().unwrap().ends_with("\r\n$1\r\nw\r\n"), "{got}");
    assert_eq!((parts.count(), talk.fetches, talk.broken()), (1, 1, 0));
    assert!(talk.connection.is_idle());
}

#[test]
fn what_is_answered_here_comes_behind_a_reply_that_waits() {
    let world = World::new();
    let mut talk = ConnectionState::of(&world.process());
    talk.send(&["GET rg:1"]);
    world.rotate();
    talk.fetching = false;
    talk.answer(&world.reply("@rg:1=v"));
    talk.send(&["INCR rg:1"]);
    assert_eq!(talk.got(), "");
    talk.fetching = true;
    talk.go_on().unwrap();
    let got = talk.got();
    assert!(got.starts_with("$1\r\nv\r\n-SEALREFUSED INCR"), "{got}");
    assert!(talk.connection.is_idle());
}

#[test]
fn a_key_that_nobody_has_is_looked_for_once_and_is_an_error() {
    let world = World::new();
    let mut talk = ConnectionState::of(&world.process());
    talk.send(&["GET rg:1", "LRANGE wa:1 0 -1", "LPOP wa:1 2", "GET other"]);
    talk.sent();
    let fetches = talk.fetches;
    let nobodys = Keyring::new(SecretKey::generate().unwrap()).unwrap();
    let nobodys = Sealer::new(Arc::new(nobodys), Mode::On, Format::Sealed);
    let mut stored = Vec::new();
    write_bulk(
        &mut stored,
        &nobodys.seal(b"v", Binding::record(b"rg:1")).unwrap(),
    );
    let popped = [&b"*2\r\n"[..], &world.reply("@wa:1=a"), &stored].concat();
    talk.answer(&[&stored[..], &popped, &popped, b"$1\r\nx\r\n"].concat());
    let got = talk.got();
    let lines: Vec<&str> = got.split("\r\n").collect();
    assert!(lines[0].starts_with("-SEALNOKEY GET: "), "{got}");
    assert!(lines[0].ends_with("not in the keyring"), "{got}");
    assert!(lines[1].starts_with("-SEALNOKEY LRANGE: "), "{got}");
    assert_eq!(lines[2..5], ["*2", "$1", "a"], "{got}");
    assert!(lines[5].starts_with("-SEALNOKEY LPOP: "), "{got}");
    assert_eq!(lines[6..], ["$1", "x", ""], "{got}");
    assert_eq!((talk.fetches - fetches, talk.broken()), (3, 3));
}

#[test]
fn a_blocking_pop_gives_what_a_user_pushed_who_had_no_key_before() {
    for (line, reply) in [
        ("BLPOP wa:9 wa:8 0", "*2 'wa:9 @wa:9=v"),
        (
            "BLMPOP 0 2 wa:9 wa:8 LEFT COUNT 2",
            "*2 'wa:9 *2 @wa:9=v @wa:9=w",
        ),
    ] {
        let world = World::new();
        let mut talk = ConnectionState::of(&world.process());
        talk.send(&[line]);
        world.assert_sent(&talk.sent(), &[line]);
        assert!(talk.connection.may_be_blocked());
        talk.answer(&world.reply(reply));
        assert_eq!(talk.got(), to_client(reply));
        assert!(talk.connection.has_all_replies() && !talk.connection.may_be_blocked());
    }
}

#[test]
fn what_needs_a_key_out_of_reach_is_refused_and_everything_else_passes() {
    let world = World::new();
    let mut talk = ConnectionState::of(&world.process());
    world.user_place.set_out_of_reach(true);
    let lines = [
        "GET wa:1",
        "SET wa:2 @wa:2=v",
        "GET other",
        "SET rg:1 @rg:1=v",
    ];
    talk.send(&lines);
    world.assert_sent(&talk.sent(), &lines[2..]);
    talk.answer(b"$1\r\nx\r\n+OK\r\n");
    let got = talk.got();
    let lines: Vec<&str> = got.split("\r\n").collect();
    assert!(lines[0].starts_with("-SEALNOKEY GET: "), "{got}");
    assert!(lines[1].starts_with("-SEALNOKEY SET: "), "{got}");
    assert!(lines[0].contains("nothing was sent"), "{got}");
    assert_eq!(lines[2..], ["$1", "x", "+OK", ""]);
    // A transaction that lacks one request is not executed.
    talk.send(&["MULTI", "SET wa:2 @wa:2=v", "EXEC"]);
    world.assert_sent(&talk.sent(), &["MULTI", "DISCARD"]);
    talk.answer(b"+OK\r\n+OK\r\n");
    let got = talk.got();
    assert!(got.starts_with("+OK\r\n-SEALNOKEY SET: "), "{got}");
    assert!(got.contains("\r\n-EXECABORT "), "{got}");
    world.user_place.set_out_of_reach(false);
    talk.exchange(&world, "SET wa:2 @wa:2=v", "+OK");
}

#[test]
fn a_reply_whose_users_key_is_out_of_reach_is_an_error_and_not_a_missing_value() {
    let world = World::new();
    let mut talk = ConnectionState::of(&world.process());
    talk.send(&["GET wa:1", "GET other"]);
    talk.sent();
    let reply = world.reply("@wa:1=v 'x");
    world.user_place.set_out_of_reach(true);
    talk.answer(&reply);
    let got = talk.got();
    assert!(got.starts_with("-SEALNOKEY GET: "), "{got}");
    assert!(
        got.ends_with("cannot be reached: try again\r\n$1\r\nx\r\n"),
        "{got}"
    );
    world.user_place.set_out_of_reach(false);
    talk.exchange(&world, "GET wa:1", "@wa:1=v");
}

#[test]
fn the_damaged_key_of_one_user_is_in_nobody_elses_way() {
    let world = World::new();
    let users = ["1", "2", "3", "4", "5", "6", "7"];
    for user in users {
        world.envelope(&format!("wa:{user}=v"));
    }
    let process = world.process();
    let mut records = world.user_place.backup();
    let record = records.get_mut(&process.users.record_name(b"5")).unwrap();
    *record.last_mut().unwrap() ^= 1;
    world.user_place.restore(records);
    let mut talk = ConnectionState::of(&process);
    let lines = users.map(|user| format!("GET wa:{user}"));
    talk.send(&lines.each_ref().map(String::as_str));
    assert_eq!(arguments(&talk.sent()).len(), users.len() - 1);
    for user in ["1", "2", "3", "4"] {
        talk.answer(&world.reply(&format!("@wa:{user}=v")));
        assert_eq!(talk.got().find("$1\r\nv\r\n"), Some(0), "{user}");
    }
}

#[test]
fn the_values_of_an_erased_user_are_gone_and_new_ones_are_not() {
    let world = World::new();
    let old = world.reply("@wa:1=v");
    world.erase("1");
    let mut talk = ConnectionState::of(&world.process());
    let ask = |talk: &mut ConnectionState| {
        talk.send(&["GET wa:1"]);
        talk.sent();
        talk.answer(&old);
        talk.got()
    };
    let got = ask(&mut talk);
    assert!(got.starts_with("-SEALERASED GET: "), "{got}");
    talk.exchange(&world, "SET wa:1 @wa:1=w", "+OK");
    talk.exchange(&world, "GET wa:1", "@wa:1=w");
    let got = ask(&mut talk);
    assert!(got.starts_with("-SEALERASED GET: "), "{got}");
}

#[test]
fn an_erased_user_who_comes_back_elsewhere_is_readable_at_once() {
    let world = World::new();
    world.envelope("wa:1=v");
    world.erase("1");
    let mut talk = ConnectionState::of(&world.process());
    talk.exchange(&world, "GET wa:1", "$-1");
    // The new key is made by the other process now.
    talk.exchange(&world, "GET wa:1", "@wa:1=w");
}

#[test]
fn a_users_key_that_is_gone_is_not_looked_for_again_and_again() {
    let world = World::new();
    let old = world.reply("@wa:1=v");
    world.erase("1");
    let protection = Arc::new(world.process().protection());
    let mut talk = ConnectionState::under(protection.clone());
    talk.send(&["GET wa:1"]);
    let calls = world.user_place.calls();
    talk.answer(&old);
    assert_eq!(world.user_place.calls() - calls, 1);
    // Nor for another client.
    for mut talk in [talk, ConnectionState::under(protection.clone())] {
        talk.send(&["GET wa:1"]);
        talk.answer(&old);
        let got = talk.got();
        assert!(got.contains("-SEALERASED GET: "), "{got}");
    }
    assert_eq!(world.user_place.calls() - calls, 1);
    // A key that is new is found all the same.
    ConnectionState::under(protection).exchange(&world, "GET wa:1", "@wa:1=w");
}

#[test]
fn a_value_under_a_compromised_key_is_not_opened() {
    let world = World::new();
    let old = world.ring.ring().sealing().id;
    let stored = world.reply("@rg:1=v");
    world.rotate();
    world.change(&Change::Compromise(old));
    let mut talk = ConnectionState::of(&world.process());
    talk.send(&["GET rg:1"]);
    talk.answer(&stored);
    let got = talk.got();
    assert!(got.starts_with("-SEALBROKEN GET: "), "{got}");
    assert!(got.contains("compromised"), "{got}");
}

#[test]
fn nothing_is_sealed_when_the_ring_was_out_of_reach_for_too_long() {
    let world = World::new();
    let process = world.process();
    let mut talk = ConnectionState::of(&process);
    talk.exchange(&world, "SET wa:1 @wa:1=v", "+OK");
    let stored = world.reply("@rg:1=v");
    world.ring_place.set_out_of_reach(true);
    let rest = world.ring.ring().settings().retention_ms;
    let propagation = world.ring.ring().settings().propagation_ms;
    // Not confirmed any more, and not lost either.
    world.clock.fetch_add(propagation + 1000, Ordering::SeqCst);
    assert!(!process.ring.is_confirmed());
    talk.exchange(&world, "SET rg:1 @rg:1=v", "+OK");
    world.clock.fetch_add(rest, Ordering::SeqCst);
    talk.send(&["SET rg:1 @rg:1=v", "LPUSH wa:1 @wa:1=v", "GET rg:1"]);
    world.assert_sent(&talk.sent(), &["GET rg:1"]);
    talk.answer(&stored);
    let got = talk.got();
    let lines: Vec<&str> = got.split("\r\n").collect();
    assert!(lines[0].starts_with("-SEALNOKEY SET: the keyring"), "{got}");
    assert!(
        lines[1].starts_with("-SEALNOKEY LPUSH: the keyring"),
        "{got}"
    );
    assert_eq!(lines[2..], ["$1", "v", ""]);
    world.ring_place.set_out_of_reach(false);
    talk.exchange(&world, "SET rg:1 @rg:1=v", "+OK");
}

#[test]
fn while_keys_are_awaited_nothing_is_sent_and_nothing_more_is_asked() {
    let world = World::new();
    let mut talk = ConnectionState::of(&world.process());
    talk.fetching = false;
    talk.send(&["GET other", "GET wa:1"]);
    world.assert_sent(&talk.sent(), &["GET other"]);
    let wanted = talk.connection.take_key_request().unwrap();
    talk.send(&["GET wa:2"]);
    talk.answer(b"$1\r\nx\r\n");
    assert_eq!((talk.sent(), talk.got()), (Vec::new(), to_client("'x")));
    assert!(talk.connection.take_key_request().is_none());
    talk.provide(wanted);
    world.assert_sent(&talk.sent(), &["GET wa:1"]);
    assert!(talk.connection.take_key_request().is_some());
}

#[test]
fn a_cache_that_is_too_small_makes_nobody_wait_for_ever() {
    let world = World::new();
    for users in [1, 2, 7] {
        let age = Duration::from_secs(60);
        let bounds = CacheBounds { users, age };
        let process = world.process_with(world.user_place.clone(), bounds);
        let mut talk = ConnectionState::of(&process);
        let names: Vec<String> = (0..50).map(|user| format!("wa:{user}")).collect();
        let sets = names.iter().map(|name| format!("SET {name} @{name}=v"));
        let all: Vec<String> = names.iter().map(|name| format!("@{name}=v")).collect();
        let lines: Vec<String> = sets.chain([format!("MGET {}", names.join(" "))]).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        talk.send(&lines);
        world.assert_sent(&talk.sent(), &lines);
        assert_eq!(talk.fetches, 1);
        talk.answer(&world.reply(&format!("{} *50 {}", ["+OK"; 50].join(" "), all.join(" "))));
        let got = to_client(&format!("{} *50 {}", ["+OK"; 50].join(" "), all.join(" ")));
        assert_eq!(talk.got(), got);
    }
}

#[test]
fn a_pattern_without_a_user_cannot_have_users_keys() {
    let process = World::new().process();
    let refused = process
        .protection()
        .user_keys(process.users.clone(), |_| true);
    let error = refused.err().unwrap();
    assert!(error.to_string().contains("rg:*"), "{error}");
}

/// Keys of the ring and of users that come late, in pieces of every size, both ways.
#[test]
fn pieces_of_every_size_come_to_the_same() {
    const LINES: [&str; 8] = [
        "GET wa:1",
        "SET wa:2 @wa:2=v",
        "INCR wa:2",
        "MGET wa:3 rg:1 other",
        "MULTI",
        "HGETALL wa:4",
        "EXEC",
        "GET other",
    ];
    const REPLY: &str = "@wa:1=v +OK *3 @wa:3=w @rg:1=r 'x +OK +QUEUED *1 *2 'f @wa:4/f=z 'end";
    let outward = requests(&LINES);
    let mut first: Option<String> = None;
    for size in (1..120).chain([outward.len() / 2, 10_000]) {
        let world = World::new();
        let mut talk = ConnectionState::of(&world.process());
        outward
            .chunks(size)
            .for_each(|chunk| talk.send_bytes(chunk));
        assert_eq!(arguments(&talk.sent()).len(), LINES.len() - 1, "{size}");
        world.rotate();
        world
            .reply(REPLY)
            .chunks(size)
            .for_each(|chunk| talk.answer(chunk));
        let got = talk.got();
        assert!(
            got.ends_with("$1\r\nf\r\n$1\r\nz\r\n$3\r\nend\r\n"),
            "{got}"
        );
        assert_eq!(&got, first.get_or_insert_with(|| got.clone()), "{size}");
        assert!(talk.connection.is_idle());
    }
}

/// Compare and delete, without blanks.
const RELEASE: &str =
    "if\tredis.call('get',KEYS[1])==ARGV[1]\tthen\treturn\tredis.call('del',KEYS[1])\tend";
/// Takes a lock that is free, or sets its lifetime.
const SAVE: &str = "if\tredis.call('get',KEYS[1])==ARGV[1]\tthen\treturn\tredis.call('expire',KEYS[1],ARGV[2])\telse\treturn\tredis.call('set',KEYS[1],ARGV[1],'EX',ARGV[2],'NX')\tend";

#[test]
fn a_known_script_waits_for_the_keys_of_its_record() {
    let world = World::new();
    let stored = world.reply("@wa:1=v");
    let mut talk = ConnectionState::of(&world.process());
    let release = |name: &str, token: &str| format!("EVAL {RELEASE} 1 {name} {token}");
    // The user's key is not at hand.
    talk.send(&[&release("wa:1", "v"), "GET other"]);
    world.assert_sent(&talk.sent(), &["gET wa:1"]);
    assert_eq!(talk.fetches, 1);
    talk.answer(&stored);
    world.assert_sent(&talk.sent(), &[&release("wa:1", "@wa:1=v")]);
    talk.answer(b":1\r\n");
    world.assert_sent(&talk.sent(), &["GET other"]);
    talk.answer(b"$1\r\nx\r\n");
    assert_eq!(talk.got(), ":1\r\n$1\r\nx\r\n");
    // The value that is read is under a key of the ring that is not at hand.
    talk.send(&[&release("rg:1", "v")]);
    world.assert_sent(&talk.sent(), &["gET rg:1"]);
    world.rotate();
    talk.fetching = false;
    talk.answer(&world.reply("@rg:1=v"));
    assert!(talk.connection.is_stalled() && !talk.connection.is_idle());
    assert!(talk.sent().is_empty());
    talk.fetching = true;
    talk.go_on().unwrap();
    world.assert_sent(&talk.sent(), &[&release("rg:1", "@rg:1=v")]);
    talk.answer(b":1\r\n");
    assert_eq!((talk.got(), talk.broken()), (":1\r\n".to_owned(), 0));
    assert!(talk.connection.is_idle());
}

#[test]
fn a_known_script_whose_keys_are_out_of_reach_is_done_with() {
    let world = World::new();
    let mut talk = ConnectionState::of(&world.process());
    let save = |token: &str| format!("EVAL {SAVE} 1 wa:new {token} 9");
    // A new user gets a key.
    talk.send(&[&save("v")]);
    world.assert_sent(&talk.sent(), &["gET wa:new"]);
    talk.answer(b"$-1\r\n");
    world.assert_sent(&talk.sent(), &[&save("@wa:new=v")]);
    talk.answer(b"+OK\r\n");
    assert_eq!(talk.got(), "+OK\r\n");
    // Nothing may be sealed once the value has been read.
    let mut talk = ConnectionState::of(&world.process());
    world.user_place.set_out_of_reach(true);
    talk.send(&[&save("v"), "GET other"]);
    world.assert_sent(&talk.sent(), &["GET other"]);
    talk.answer(b"$1\r\nx\r\n");
    let got = talk.got();
    assert!(got.starts_with("-SEALNOKEY EVAL: "), "{got}");
    assert!(got.ends_with("$1\r\nx\r\n"), "{got}");
    world.user_place.set_out_of_reach(false);
    let mut talk = ConnectionState::of(&world.process());
    talk.send(&["GET rg:1"]);
    talk.answer(b"$-1\r\n");
    talk.send(&[&format!("EVAL {SAVE} 1 rg:1 v 9"), "GET other"]);
    talk.sent();
    talk.got();
    world.clock.fetch_add(7 * 24 * 3_600_000, Ordering::SeqCst);
    world.ring_place.set_out_of_reach(true);
    talk.answer(b"$-1\r\n");
    let got = talk.got();
    assert!(got.starts_with("-SEALNOKEY EVAL: "), "{got}");
    world.assert_sent(&talk.sent(), &["GET other"]);
    talk.answer(b"$1\r\nx\r\n");
    assert_eq!(talk.got(), "$1\r\nx\r\n");
    assert!(talk.connection.is_idle());
}
