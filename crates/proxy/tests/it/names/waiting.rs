//! Commands that wait, transactions that others disturb, and requests in pieces.

use super::world::{World, encoded};

#[test]
fn a_client_that_waits_gets_the_name_that_it_waits_for() {
    let world = World::new(&["*"]);
    for (waiting, woken, reply) in [
        ("BLPOP k:a k:b 0", "RPUSH k:b v", "*[$k:b, $v]"),
        ("BLMPOP 0 2 k:a k:b LEFT", "RPUSH k:a v", "*[$k:a, *[$v]]"),
        ("BZPOPMIN k:z k:y 0", "ZADD k:y 1 m", "*[$k:y, $m, $1]"),
        (
            "XREAD BLOCK 0 STREAMS k:x k:w $ $",
            "XADD k:w 1-1 f v",
            "*[*[$k:w, *[*[$1-1, *[$f, $v]]]]]",
        ),
    ] {
        let (mut client, mut other) = (world.proxied(), world.proxied());
        client.send(waiting);
        world.wait_until_blocked();
        other.ask(woken);
        assert_eq!(format!("{:?}", client.reply()), reply, "{waiting}");
    }
    assert!(
        world
            .stored_names()
            .iter()
            .all(|name| name.starts_with("~9VcDE"))
    );
}

#[test]
fn a_watched_record_that_changes_breaks_the_transaction() {
    let world = World::new(&["*"]);
    for changes in [true, false] {
        let (mut client, mut other) = (world.proxied(), world.proxied());
        client.ask("SET k:n 1");
        client.ask("WATCH k:n k:other");
        if changes {
            other.ask("SET k:n 5");
        }
        client.ask("MULTI");
        client.ask("INCR k:n");
        client.ask("GET k:n");
        let executed = client.ask("EXEC");
        match changes {
            true => assert_eq!(executed.text, b"-1"),
            false => assert_eq!(format!("{executed:?}"), "*[:2, $2]"),
        }
    }
}

#[test]
fn requests_may_arrive_in_pieces() {
    let world = World::new(&["*"]);
    let lines = [
        "MSET k:a 1 k:b 2",
        "MGET k:a k:b k:c",
        "MULTI",
        "INCR k:a",
        "RENAME k:a k:d",
        "EXEC",
        "GET k:d",
        "XREADGROUP GROUP g one STREAMS k:x >",
        "KEYS k:d",
        "LPOP k:none",
    ];
    let bytes: Vec<u8> = lines.iter().flat_map(|line| encoded(line)).collect();
    let mut expected = None;
    for size in [bytes.len(), 64, 7, 1] {
        let mut client = world.proxied();
        client.ask("FLUSHALL");
        for piece in bytes.chunks(size) {
            client.send_bytes(piece);
        }
        let got: Vec<String> = lines
            .iter()
            .map(|_| format!("{:?}", client.reply()))
            .collect();
        let expected = expected.get_or_insert_with(|| got.clone());
        assert_eq!(&got, expected, "in pieces of {size}");
    }
    let expected = expected.unwrap();
    assert_eq!(expected[1], "*[$1, $2, $-1]");
    assert_eq!(expected[5], "*[:2, +OK]");
    assert!(expected[7].contains("k:x"), "{}", expected[7]);
    assert_eq!(expected[8], "*[$k:d]");
}

#[test]
fn inline_requests_have_names_as_well() {
    let world = World::new(&["*"]);
    let mut client = world.proxied();
    client.send_bytes(b"SET k:a inline\r\nget \"k:a\"\r\nEXISTS k:a k:b\r\n");
    let got: Vec<String> = (0..3).map(|_| format!("{:?}", client.reply())).collect();
    assert_eq!(got, ["+OK", "$inline", ":1"]);
    assert!(
        world
            .stored_names()
            .iter()
            .all(|name| name.starts_with("~9VcDE"))
    );
}

#[test]
fn a_name_that_is_too_long_is_not_sent() {
    let world = World::new(&["k:*"]);
    let mut client = world.proxied();
    let longest = format!("k:{}", "n".repeat(64 * 1024 - 2));
    assert_eq!(
        format!("{:?}", client.ask(&format!("SET {longest} v"))),
        "+OK"
    );
    assert_eq!(client.ask(&format!("GET {longest}")).text, b"v");
    assert_eq!(client.ask(&format!("GETDEL {longest}")).text, b"v");
    let too_long = format!("{longest}n");
    for line in [
        format!("SET {too_long} v"),
        format!("GET {too_long}"),
        format!("DEL {too_long} k:1"),
        format!("INCR {too_long}"),
        format!("RENAME k:1 {too_long}"),
        format!("KEYS {too_long}"),
    ] {
        let reply = client.ask(&line);
        assert!(reply.is_refusal(), "{reply:?}");
    }
    client.ask("MULTI");
    assert!(client.ask(&format!("DEL {too_long}")).is_refusal());
    client.ask("SET k:1 v");
    assert!(client.ask("EXEC").is_error_of("EXECABORT"));
    assert_eq!(world.stored_names().len(), 0);
}
