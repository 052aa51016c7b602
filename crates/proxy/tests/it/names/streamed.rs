//! `KEYS` with more names than are held at once, in parts that end anywhere.

use std::collections::BTreeSet;

use waxseal_proxy::Limits;
use waxseal_resp::{write_array_head, write_bulk};

use super::world::{World, protection_and_table};
use crate::pair::Pair;

/// Stored names and their logical ones, among them some that clients cannot use.
fn reply(names: &[&str], planted: &[&str]) -> Vec<u8> {
    let (_, table) = protection_and_table(&["k:*", "!w:*"]);
    let mut out = Vec::new();
    write_array_head(&mut out, names.len() + planted.len());
    for name in names {
        let stored = table.view().stored(name.as_bytes()).unwrap();
        write_bulk(&mut out, stored.as_deref().unwrap_or(name.as_bytes()));
    }
    for name in planted {
        write_bulk(&mut out, name.as_bytes());
    }
    out
}

fn pair(limits: Limits) -> Pair {
    Pair::over(protection_and_table(&["k:*", "!w:*"]).0, limits)
}

const NAMES: &[&str] = &[
    "k:1",
    "w:1",
    "k:22",
    "other",
    "k:",
    "k:333333333333333333333333333333",
];

#[test]
fn the_names_are_the_same_in_parts_of_every_length() {
    let whole = reply(NAMES, &["k:stray", "k:~9VcDEjunk"]);
    for (glob, expected) in [
        ("*", NAMES),
        (
            "k:*",
            &["k:1", "k:22", "k:", "k:333333333333333333333333333333"][..],
        ),
        ("k:?", &["k:1"]),
        ("none", &[]),
    ] {
        let mut written = Vec::new();
        write_array_head(&mut written, expected.len());
        for name in expected {
            write_bulk(&mut written, name.as_bytes());
        }
        let written = String::from_utf8(written).unwrap();
        for len in 1..=whole.len() {
            let mut pair = pair(Limits::default());
            pair.send(&[&format!("KEYS {glob}"), "PING"]);
            for part in whole.chunks(len) {
                pair.answer_bytes(part).unwrap();
            }
            pair.answer("+PONG");
            assert_eq!(pair.got(), format!("{written}+PONG\r\n"), "{glob} in {len}");
        }
    }
}

#[test]
fn more_names_than_may_wait_for_a_client_are_an_error() {
    let limits = Limits {
        client_buffer: 64,
        ..Limits::default()
    };
    let whole = reply(NAMES, &[]);
    for len in [1, 7, whole.len()] {
        let mut pair = pair(limits);
        pair.send(&["KEYS *", "PING", "KEYS w*"]);
        for part in whole.chunks(len) {
            pair.answer_bytes(part).unwrap();
        }
        pair.answer("+PONG");
        pair.answer("*1 'w:1");
        let got = pair.got();
        assert!(got.starts_with("-SEALREFUSED KEYS: the names "), "{got}");
        assert!(
            got.ends_with("use SCAN\r\n+PONG\r\n*1\r\n$3\r\nw:1\r\n"),
            "{got}"
        );
    }
}

#[test]
fn a_reply_that_is_none_of_names_ends_the_connection() {
    for other in ["*1 *1 'k:1", "*2 'w:1 :1", "*-1"] {
        let mut pair = pair(Limits::default());
        pair.send(&["KEYS *"]);
        assert!(
            pair.answer_bytes(&crate::pair::from_server(other)).is_err(),
            "{other}"
        );
    }
    let mut pair = pair(Limits::default());
    pair.send(&["KEYS *"]);
    pair.answer("-ERR~wrong");
    assert_eq!(pair.got(), "-ERR wrong\r\n");
}

#[test]
fn twenty_thousand_names_are_those_of_a_server_with_plain_names() {
    let world = World::new(&["k:*", "!w:*"]);
    for is_resp3 in [false, true] {
        let mut both = world.both(is_resp3);
        for first in (0..20_000).step_by(5_000) {
            let pairs = (first..first + 5_000).map(|at| format!(" k:{at:06} v"));
            let line = format!("MSET{}", pairs.collect::<String>());
            both.all_same([&line[..]]);
        }
        both.all_same(["MSET w:1 v other v"]);
        for (glob, count) in [("*", 20_002), ("k:00001*", 10), ("k:000010", 1), ("w*", 1)] {
            let line = format!("KEYS {glob}");
            let names = |wire: &mut super::world::Wire| {
                let items = wire.ask(&line).items;
                items.into_iter().map(|it| it.text).collect::<BTreeSet<_>>()
            };
            let (plain, sealed) = (names(&mut both.plain), names(&mut both.sealed));
            assert!(sealed == plain, "{line}");
            assert_eq!(sealed.len(), count, "{line}");
        }
        // Inside a transaction it is held, as all replies are.
        both.all_same(["MULTI", "KEYS k:00001?"]);
        let mut replies = [both.plain.ask("EXEC"), both.sealed.ask("EXEC")];
        for reply in &mut replies {
            reply.items[0].items.sort();
        }
        assert_eq!(replies[0], replies[1]);
        both.all_same(["PING"]);
    }
}
