//! Names that the server chooses: pages, all names and random ones, among them some that clients cannot use.

use std::collections::BTreeSet;

use waxseal_testing::ReplyTree;

use super::world::{Wire, World};

/// The names in all pages of a scan with these options.
fn scanned(wire: &mut Wire, options: &str) -> BTreeSet<Vec<u8>> {
    let mut names = BTreeSet::new();
    let mut cursor = "0".to_owned();
    loop {
        let page = wire.ask(&format!("SCAN {cursor}{options}"));
        let [next, found] = &page.items[..] else {
            panic!("no page: {page:?}");
        };
        for name in &found.items {
            assert!(names.insert(name.text.clone()), "a name twice");
        }
        cursor = String::from_utf8(next.text.clone()).unwrap();
        if cursor == "0" {
            return names;
        }
    }
}

fn keys(wire: &mut Wire, glob: &str) -> BTreeSet<Vec<u8>> {
    let reply = wire.ask(&format!("KEYS {glob}"));
    assert_eq!(reply.kind, b'*', "{reply:?}");
    reply.items.into_iter().map(|name| name.text).collect()
}

const GLOBS: &[&str] = &[
    "*", "k:*", "k:1*", "k:1?", "k:[12]?", "k:[^1]*", "?:1", "k:\\1", "*1", "[k]:2*", "k:12",
    "w:*", "other*", "o*", "k:~*", "k", "k*", "*~*", "nothing", "\"\"",
];

#[test]
fn pages_and_all_names_are_those_that_clients_know() {
    let world = World::new(&["k:*", "!w:*"]);
    for is_resp3 in [false, true] {
        let mut both = world.both(is_resp3);
        for at in 0..150 {
            both.all_same([&*format!("SET k:{at} v{at}"), &*format!("SET w:{at} v")]);
        }
        both.all_same(["SET other v", "RPUSH k:list a"]);
        for glob in GLOBS {
            let expected = keys(&mut both.plain, glob);
            assert_eq!(keys(&mut both.sealed, glob), expected, "KEYS {glob}");
            for options in [
                format!(" MATCH {glob}"),
                format!(" MATCH {glob} COUNT 1000"),
                format!(" COUNT 7 MATCH ignored MATCH {glob}"),
            ] {
                assert_eq!(scanned(&mut both.sealed, &options), expected, "{options}");
            }
        }
        let lists = BTreeSet::from([b"k:list".to_vec()]);
        assert_eq!(scanned(&mut both.sealed, " TYPE list"), lists);
        both.all_same([
            "SCAN",
            "SCAN none",
            "SCAN 0 COUNT 0",
            "SCAN 0 MATCH",
            "MULTI",
            "KEYS k:11",
            "SCAN 0 MATCH k:11 COUNT 1000",
            "EXEC",
        ]);
    }
}

/// Names that no client can use: one that does not open, one in clear, and one of another prefix.
const UNUSABLE: [&str; 3] = [
    "k:~9VcDEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "k:plain",
    "k:~9VcDE",
];

#[test]
fn names_that_clients_cannot_use_are_left_out() {
    let world = World::new(&["k:*"]);
    let mut client = world.proxied();
    let mut past = world.past();
    for name in UNUSABLE {
        past.ask(&format!("SET {name} v"));
    }
    // With no other name there is none.
    assert_eq!(client.ask("RANDOMKEY").text, b"-1");
    assert_eq!(keys(&mut client, "*"), BTreeSet::new());
    client.ask("SET k:1 v");
    let known = BTreeSet::from([b"k:1".to_vec()]);
    assert_eq!(keys(&mut client, "*"), known);
    assert_eq!(scanned(&mut client, " MATCH k:*"), known);
    assert_eq!(scanned(&mut client, ""), known);
    for name in UNUSABLE {
        assert_eq!(keys(&mut client, name), BTreeSet::new());
        // A client's name of this form is another one.
        assert_eq!(client.ask(&format!("EXISTS {name}")).text, b"0");
    }
    for _ in 0..20 {
        assert_eq!(client.ask("RANDOMKEY").text, b"k:1");
    }
    client.send_bytes(b"RANDOMKEY\r\nPING\r\n");
    assert_eq!(client.reply().text, b"k:1");
    assert_eq!(client.reply(), ReplyTree::simple("PONG"));
    client.ask("MULTI");
    client.ask("RANDOMKEY");
    let executed = client.ask("EXEC");
    assert!([&b"k:1"[..], b"-1"].contains(&&executed.items[0].text[..]));
    past.ask("FLUSHALL");
    assert_eq!(client.ask("RANDOMKEY").text, b"-1");
}

#[test]
fn a_name_that_looks_sealed_is_a_name_like_others() {
    let world = World::new(&["k:*"]);
    let mut client = world.proxied();
    client.ask("SET k:1 one");
    let stored = world.stored_names().pop_first().unwrap();
    client.ask(&format!("SET {stored} two"));
    assert_eq!(client.ask(&format!("GET {stored}")).text, b"two");
    assert_eq!(client.ask("GET k:1").text, b"one");
    assert_eq!(world.stored_names().len(), 2);
    let known = BTreeSet::from([b"k:1".to_vec(), stored.clone().into_bytes()]);
    assert_eq!(keys(&mut client, "*"), known);
    client.ask(&format!("RENAME {stored} k:2"));
    assert_eq!(client.ask("GET k:2").text, b"two");
}

#[test]
fn what_a_request_names_itself_is_no_name_to_leave_out() {
    let world = World::new(&["k:*"]);
    let mut client = world.proxied();
    let asked = client.ask("COMMAND GETKEYS DEL k:1 other");
    assert_eq!(format!("{asked:?}"), "*[$k:1, $other]");
    let asked = client.ask("COMMAND GETKEYSANDFLAGS EXISTS k:1 other");
    assert_eq!(asked.items[0].items[0].text, b"k:1");
    client.ask("ACL SETUSER someone on +get ~nothing:*");
    let answer = client.ask("ACL DRYRUN someone GET k:1");
    let text = String::from_utf8(answer.text).unwrap();
    assert!(text.contains("'k:1'"), "{text}");
}

#[test]
fn a_plain_name_that_looks_sealed_harms_no_one_where_it_belongs_to_no_pattern() {
    let world = World::new(&["k:[0-9]*"]);
    for is_resp3 in [false, true] {
        let mut both = world.both(is_resp3);
        both.all_same(["FLUSHALL", "XADD k:1 1-1 f v", "LPUSH k:2 a b"]);
        let stored = world.stored_names().into_iter().find(|it| it.contains('~'));
        // Of the form of a sealed name, and it does not open; or under a key that nobody knows.
        let stored = stored.unwrap();
        let junk = format!("{}A", &stored[..stored.len() - 1]);
        let key = format!("{}AAAA{}", &stored[..9], &stored[13..]);
        for odd in [junk, key] {
            both.all_same(
                [
                    format!("XADD {odd} 1-1 f v"),
                    format!("XREAD STREAMS k:1 {odd} 0 0"),
                    format!("DEL {odd}"),
                    format!("LPUSH {odd} a b"),
                    format!("LMPOP 2 k:absent {odd} LEFT"),
                    format!("BLPOP k:0 {odd} k:2 1"),
                    "PING".to_owned(),
                ]
                .iter()
                .map(String::as_str),
            );
        }
    }
}
