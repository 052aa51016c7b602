//! Client-side caching: clients of a proxy are told of the same names as those of a server whose names are plain.

use waxseal_testing::ReplyTree;

use super::world::{Both, Wire, World};

fn world() -> World {
    World::new(&["k:*", "kk:{user}", "!p:*"])
}

/// The names in all invalidations up to a message in the channel `end`, which is published now. Null stands for all names.
fn invalidated(wire: &mut Wire, publisher: &mut Wire) -> Vec<String> {
    publisher.ask("PUBLISH end now");
    let mut names = Vec::new();
    loop {
        let message = wire.reply();
        let [word, .., payload] = &message.items[..] else {
            panic!("{message:?}");
        };
        if payload.text == b"now" {
            break;
        }
        assert!(
            word.text == b"invalidate" || message.items[1].text == b"__redis__:invalidate",
            "{message:?}"
        );
        let shown = |it: &ReplyTree| String::from_utf8_lossy(&it.text).into_owned();
        match payload.items.is_empty() {
            true => names.push("all".to_owned()),
            false => names.extend(payload.items.iter().map(shown)),
        }
    }
    names.sort();
    names
}

#[track_caller]
fn same_invalidations(both: &mut Both, writer: &mut Both, what: &str) -> Vec<String> {
    let direct = invalidated(&mut both.plain, &mut writer.plain);
    let proxied = invalidated(&mut both.sealed, &mut writer.sealed);
    assert_eq!(proxied, direct, "{what}");
    direct
}

fn client(world: &World) -> Both {
    let mut both = world.both(true);
    both.all_same(["SUBSCRIBE end"]);
    both
}

#[test]
fn what_was_read_is_invalidated_by_its_name() {
    let world = world();
    let mut writer = world.both(false);
    let mut both = client(&world);
    both.all_same(["CLIENT TRACKING ON"]);
    for (read, write, expected) in [
        ("GET k:a", "SET k:a 1", "k:a"),
        ("MGET k:a p:1 free kk:1", "DEL k:a", "k:a"),
        ("GET k:none", "SET k:b 1", ""),
        (
            "MGET k:a k:b",
            "MSET k:a 1 k:b 2 free 3 p:1 4",
            "free k:a k:b p:1",
        ),
        ("HGETALL kk:1", "HSET kk:1 f v", "kk:1"),
        ("GET k:a", "FLUSHALL", "all"),
    ] {
        both.all_same([read]);
        writer.all_same([write]);
        let seen = same_invalidations(&mut both, &mut writer, write);
        assert_eq!(seen.join(" "), expected, "{read}, {write}");
    }
    both.all_same([
        "CLIENT TRACKINGINFO",
        "CLIENT TRACKING OFF",
        "CLIENT TRACKINGINFO",
    ]);
}

#[test]
fn prefixes_are_those_of_the_names_that_clients_know() {
    let world = world();
    let mut writer = world.both(false);
    for (prefixes, expected) in [
        ("", "free k:a k:ab k:b kk:1 p:1"),
        (" PREFIX k:", "k:a k:ab k:b"),
        (" PREFIX k:a", "k:a k:ab"),
        (" PREFIX k", "k:a k:ab k:b kk:1"),
        (" PREFIX k:ab PREFIX k:b PREFIX p:", "k:ab k:b p:1"),
        (" PREFIX kk:1 PREFIX fr", "free kk:1"),
        (" PREFIX none", ""),
        (" PREFIX k:~", ""),
    ] {
        let mut both = client(&world);
        let line = format!("CLIENT TRACKING ON BCAST{prefixes}");
        both.all_same([&line[..], "CLIENT TRACKINGINFO"]);
        writer.all_same(["MSET k:a 1 k:ab 1 k:b 1", "MSET kk:1 1 p:1 2 free 3"]);
        let seen = same_invalidations(&mut both, &mut writer, &line);
        assert_eq!(seen.join(" "), expected, "{line}");
        both.all_same([
            "CLIENT TRACKING OFF",
            "CLIENT TRACKINGINFO",
            "CLIENT TRACKING ON BCAST PREFIX k:b",
        ]);
        writer.all_same(["MSET k:a 1 k:b 1"]);
        let seen = same_invalidations(&mut both, &mut writer, "again");
        assert_eq!(seen, ["k:b"]);
        both.all_same(["RESET", "CLIENT TRACKINGINFO"]);
    }
}

/// The same, where one of the two is a client of the server itself, which may answer in a way that a proxy does not follow.
fn client_of_server(world: &World) -> Both {
    let mut both = Both {
        plain: world.directly(),
        sealed: world.proxied(),
    };
    for wire in [&mut both.plain, &mut both.sealed] {
        wire.ask("HELLO 3");
    }
    both
}

#[test]
fn overlapping_prefixes_are_refused_in_the_words_of_servers() {
    let world = world();
    for line in [
        "CLIENT TRACKING ON BCAST PREFIX k:a PREFIX k:ab",
        "CLIENT TRACKING ON BCAST PREFIX k:ab PREFIX none PREFIX k:a",
        "CLIENT TRACKING ON BCAST PREFIX k:a PREFIX k:a",
    ] {
        let mut both = client_of_server(&world);
        both.all_same([line]);
    }
    for (first, second) in [
        ("PREFIX k:a", "PREFIX k:ab"),
        ("PREFIX k:ab PREFIX p:", "PREFIX k:"),
        ("PREFIX p:", "PREFIX p:1"),
    ] {
        let mut both = client_of_server(&world);
        both.all_same([
            &format!("CLIENT TRACKING ON BCAST {first}")[..],
            &format!("CLIENT TRACKING ON BCAST {second}")[..],
        ]);
    }
    // Separate for the client, and one for the server.
    let mut proxied = client(&world).sealed;
    proxied.ask("CLIENT TRACKING ON BCAST PREFIX k:a");
    let refused = proxied.ask("CLIENT TRACKING ON BCAST PREFIX k:b");
    assert!(refused.text.starts_with(b"SEALREFUSED "), "{refused:?}");
    // Other errors are the server's.
    for line in [
        "CLIENT TRACKING ON PREFIX k:a",
        "CLIENT TRACKING ON NEW",
        "CLIENT TRACKING",
        "CLIENT TRACKING MAYBE",
        "CLIENT TRACKING ON REDIRECT 999999",
        "CLIENT TRACKING ON BCAST PREFIX",
    ] {
        client(&world).all_same([line]);
    }
}

#[test]
fn a_client_of_resp2_is_told_on_another_connection() {
    let world = world();
    let mut writer = world.both(false);
    let mut listener = world.both(false);
    let id = |wire: &mut Wire| String::from_utf8(wire.ask("CLIENT ID").text).unwrap();
    let ids = (id(&mut listener.plain), id(&mut listener.sealed));
    listener.all_same(["SUBSCRIBE end", "SUBSCRIBE __redis__:invalidate"]);
    let mut reader = world.both(false);
    for (wire, id) in [(&mut reader.plain, ids.0), (&mut reader.sealed, ids.1)] {
        let reply = wire.ask(&format!("CLIENT TRACKING ON REDIRECT {id}"));
        assert_eq!(reply.text, b"OK");
    }
    for (read, write, expected) in [
        ("MGET k:a p:1 free", "MSET k:a 1 p:1 2 k:b 3", "k:a p:1"),
        ("GET k:b", "DEL k:b", "k:b"),
        ("GET k:b", "FLUSHALL", "all"),
    ] {
        reader.all_same([read]);
        writer.all_same([write]);
        let seen = same_invalidations(&mut listener, &mut writer, write);
        assert_eq!(seen.join(" "), expected);
    }
}
