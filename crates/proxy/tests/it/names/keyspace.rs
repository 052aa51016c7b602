//! Keyspace notifications and the commands about channels: subscribers of a proxy get what those of a server get whose names
//! are plain.

use waxseal_testing::ReplyTree;

use super::world::{Both, Wire, World};

/// Sealed names begin with `k:` or `kk:`, plain ones of protected records with `p:`.
fn world() -> World {
    let world = World::new(&["k:*", "kk:{user}", "!p:*"]);
    world
        .both(false)
        .all_same(["CONFIG SET notify-keyspace-events KEA"]);
    world
}

/// Everything up to a message in the channel `end`, which is published now.
fn messages(wire: &mut Wire, publisher: &mut Wire) -> Vec<ReplyTree> {
    publisher.ask("PUBLISH end now");
    let mut messages = Vec::new();
    loop {
        let message = wire.reply();
        let is_end = message.items.iter().any(|item| item.text == b"end");
        if is_end && message.items.iter().any(|item| item.text == b"now") {
            break;
        }
        messages.push(message);
    }
    // Servers deliver to several patterns in no order.
    messages.sort();
    messages
}

fn subscriber(world: &World, is_resp3: bool) -> Both {
    let mut both = world.both(is_resp3);
    both.all_same(["SUBSCRIBE end"]);
    both
}

#[track_caller]
fn same_messages(both: &mut Both, writer: &mut Both, what: &str) -> usize {
    let direct = messages(&mut both.plain, &mut writer.plain);
    let proxied = messages(&mut both.sealed, &mut writer.sealed);
    assert_eq!(proxied, direct, "{what}");
    direct.len()
}

/// Requests whose notifications are the same through the proxy.
const WRITES: &[&str] = &[
    "SET k:a 1",
    "SET k:ab 1 EX 100",
    "MSET k:b 1 p:1 2 free 3 kk:7 4",
    "LPUSH k:list v",
    "EXPIRE k:b 50",
    "DEL k:a k:ab free",
    "DEL k:list",
    "SELECT 1",
    "SET k:a other",
    "SELECT 0",
];

#[test]
fn a_channel_is_that_of_the_name_that_clients_know() {
    let world = world();
    for is_resp3 in [false, true] {
        let mut writer = world.both(is_resp3);
        for channels in [
            "__keyspace@0__:k:a",
            "__keyspace@0__:k:none",
            "__keyspace@1__:k:a",
            "__keyspace@0__:p:1",
            "__keyspace@0__:free",
            "__keyevent@0__:set",
            "__keyevent@0__:del",
            "__keyevent@1__:set",
            "__keyspace@x__:k:a",
            "news",
        ] {
            let mut both = subscriber(&world, is_resp3);
            both.all_same([&format!("SUBSCRIBE {channels}")[..]]);
            writer.all_same(WRITES.iter().copied());
            same_messages(&mut both, &mut writer, channels);
            both.all_same([
                &format!("SUBSCRIBE {channels}")[..],
                &format!("UNSUBSCRIBE {channels}")[..],
                "UNSUBSCRIBE __keyspace@0__:k:other",
            ]);
            writer.all_same(WRITES.iter().copied());
            assert_eq!(same_messages(&mut both, &mut writer, channels), 0);
        }
    }
}

const PATTERNS: &[&str] = &[
    "__keyspace@0__:*",
    "__keyspace@0__:k:*",
    "__keyspace@0__:k:a*",
    "__keyspace@0__:k:a",
    "__keyspace@0__:k:?",
    "__keyspace@0__:k:[ab]",
    "__keyspace@0__:[k]:b",
    "__keyspace@0__:k\\:b",
    "__keyspace@0__:k:~*",
    "__keyspace@0__:k*",
    "__keyspace@0__:p:*",
    "__keyspace@0__:f*",
    "__keyspace@*__:k:a",
    "__keyspace@*",
    "__key*",
    "__key*__:*del",
    "__keyevent@0__:*",
    "__keyevent@*__:set",
    "*b",
    "**",
    "news*",
];

#[test]
fn a_pattern_means_the_names_that_clients_know() {
    let world = world();
    for is_resp3 in [false, true] {
        let mut writer = world.both(is_resp3);
        let mut found = 0;
        for pattern in PATTERNS {
            let mut both = subscriber(&world, is_resp3);
            both.all_same([&format!("PSUBSCRIBE {pattern}")[..]]);
            writer.all_same(WRITES.iter().copied());
            writer.all_same(["PUBLISH news:b hello"]);
            found += same_messages(&mut both, &mut writer, pattern);
        }
        assert!(found > 100, "{found}");
    }
}

#[test]
fn patterns_that_are_one_at_the_server_stay_several_for_the_client() {
    let world = world();
    for is_resp3 in [false, true] {
        let mut writer = world.both(is_resp3);
        let mut both = subscriber(&world, is_resp3);
        for line in [
            "PSUBSCRIBE __keyspace@0__:k:a*",
            "PSUBSCRIBE __keyspace@0__:k:b*",
            // The very pattern that the server has in place of both.
            "PSUBSCRIBE __keyspace@0__:k:*",
            "PSUBSCRIBE __keyspace@0__:k:a*",
            "PSUBSCRIBE __keyevent@0__:*",
            "SUBSCRIBE __keyspace@0__:k:a",
            "PUNSUBSCRIBE __keyspace@0__:k:none*",
            "PUNSUBSCRIBE __keyspace@0__:k:a*",
            "PUNSUBSCRIBE __keyspace@0__:k:*",
            "UNSUBSCRIBE __keyspace@0__:k:a",
            "PSUBSCRIBE __keyspace@0__:*",
            "PUNSUBSCRIBE __keyspace@0__:k:b*",
            "PUNSUBSCRIBE __keyspace@0__:k:b*",
        ] {
            both.all_same([line]);
            writer.all_same(WRITES.iter().copied());
            assert!(same_messages(&mut both, &mut writer, line) > 0);
        }
        // Several at once, in one chunk with what follows.
        for wire in [&mut both.plain, &mut both.sealed] {
            wire.send("PSUBSCRIBE __keyspace@0__:k:a* __keyspace@0__:k:b* __keyspace@0__:k:c*");
            wire.send("PUNSUBSCRIBE __keyspace@0__:k:b* none __keyspace@0__:k:a*");
            wire.send("PING");
        }
        for _ in 0..7 {
            assert_eq!(both.sealed.reply(), both.plain.reply());
        }
        writer.all_same(WRITES.iter().copied());
        assert!(same_messages(&mut both, &mut writer, "several") > 0);
        // All of them, of which there are three: servers choose the order.
        for wire in [&mut both.plain, &mut both.sealed] {
            wire.send("PUNSUBSCRIBE");
        }
        let ended = |wire: &mut Wire| {
            let ended: Vec<ReplyTree> = (0..3).map(|_| wire.reply()).collect();
            let of = |at: usize| {
                let mut parts: Vec<_> = ended.iter().map(|it| it.items[at].text.clone()).collect();
                parts.sort();
                parts
            };
            (of(1), of(2))
        };
        assert_eq!(ended(&mut both.sealed), ended(&mut both.plain));
        both.all_same(["PUNSUBSCRIBE"]);
        writer.all_same(WRITES.iter().copied());
        assert_eq!(same_messages(&mut both, &mut writer, "none"), 0);
    }
}

#[test]
fn names_that_clients_cannot_use_are_not_announced() {
    let world = world();
    for is_resp3 in [false, true] {
        let mut both = world.both(is_resp3);
        both.all_same(["SUBSCRIBE end", "PSUBSCRIBE __key*"]);
        let mut past = world.past();
        for planted in [
            "SET k:stray 1",
            "SET k:~9VcDEjunk 1",
            "DEL k:~9VcDEjunk k:stray",
        ] {
            past.ask(planted);
        }
        past.ask("SET free 1");
        let seen = messages(&mut both.sealed, &mut world.past());
        let channels: Vec<_> = seen.iter().map(|it| it.items[2].text.clone()).collect();
        assert_eq!(channels.len(), 2, "{seen:?}");
        let of_free = |it: &ReplyTree| it.items.iter().any(|item| item.text.ends_with(b"free"));
        assert!(seen.iter().all(of_free), "{seen:?}");
    }
}

#[test]
fn channels_are_listed_as_clients_know_them() {
    let world = world();
    for is_resp3 in [false, true] {
        let mut both = subscriber(&world, is_resp3);
        both.all_same([
            "SUBSCRIBE __keyspace@0__:k:a",
            "SUBSCRIBE __keyspace@0__:k:b",
            "SUBSCRIBE __keyspace@0__:p:1",
            "SUBSCRIBE __keyevent@0__:set",
            "SUBSCRIBE news",
        ]);
        let mut asking = world.both(is_resp3);
        for glob in [
            "",
            " *",
            " __keyspace@0__:k:*",
            " __keyspace@0__:k:a",
            " __keyspace*b",
            " __key*",
            " n*",
            " none*",
            " *:[^a]",
        ] {
            let line = format!("PUBSUB CHANNELS{glob}");
            let mut direct = asking.plain.ask(&line);
            let mut proxied = asking.sealed.ask(&line);
            direct.items.sort();
            proxied.items.sort();
            assert_eq!(proxied, direct, "{line}");
        }
        asking.all_same([
            "PUBSUB NUMSUB __keyspace@0__:k:a news none __keyspace@0__:k:none",
            "PUBSUB NUMSUB",
            "PUBSUB CHANNELS a b",
            "MULTI",
            "PUBSUB NUMSUB __keyspace@0__:k:a",
            "PUBSUB CHANNELS __keyspace@0__:k:a*",
            "EXEC",
        ]);
        for channel in world.past().ask("PUBSUB CHANNELS __keyspace@0__:k:*").items {
            assert!(channel.text.starts_with(b"__keyspace@0__:k:~"));
        }
    }
}

#[test]
fn a_message_of_a_client_in_such_a_channel_is_delivered() {
    let world = world();
    let mut writer = world.both(false);
    let mut both = subscriber(&world, false);
    both.all_same([
        "SUBSCRIBE __keyspace@0__:k:a",
        "PSUBSCRIBE __keyspace@0__:k:a*",
    ]);
    writer.all_same(["PUBLISH __keyspace@0__:k:a hello", "PUBLISH k:a hello"]);
    assert_eq!(same_messages(&mut both, &mut writer, "published"), 2);
}

/// Within the limit of a reply, which a time that grew with the square of the number would exceed by far.
#[test]
fn a_client_may_have_very_many_patterns() {
    const PATTERNS: usize = 20_000;
    let world = world();
    let mut writer = world.both(false);
    let mut both = subscriber(&world, false);
    let patterns: Vec<_> = (0..PATTERNS)
        .map(|number| format!("__keyspace@0__:k:{number}*"))
        .collect();
    let patterns = patterns.join(" ");
    for command in ["PSUBSCRIBE", "PUNSUBSCRIBE"] {
        for wire in [&mut both.plain, &mut both.sealed] {
            wire.send(&format!("{command} {patterns}"));
        }
        for _ in 0..PATTERNS {
            assert_eq!(both.sealed.reply(), both.plain.reply());
        }
        writer.all_same(["SET k:19999 v"]);
        let expected = if command == "PSUBSCRIBE" { 5 } else { 0 };
        let seen = same_messages(&mut both, &mut writer, command);
        assert_eq!(seen, expected);
    }
}
