//! Members under keys of users: compared and moved among the records of one user, and unreadable once the user is erased.

use waxseal_testing::{Client, Reply};

use super::super::one_form::INIT;
use super::super::{Lies, World};
use crate::program::wait_until;
use crate::proxy::Proxy;

const CONFIG: &str = "[[protect]]\nname = \"Index\"\nrecords = \"wa:{user}:*\"\nper_user_keys = true\n\
                      group = \"index\"\nbind = \"group\"\nmembers = \"deterministic\"\nplain_values = \"any\"\n";

fn members(reply: Reply) -> Vec<String> {
    let members = reply.array().into_iter().filter_map(Reply::bytes);
    let mut members: Vec<_> = members
        .map(|it| String::from_utf8_lossy(&it).into_owned())
        .collect();
    members.sort();
    members
}

fn stored(client: &mut Client, name: &str) -> Vec<Vec<u8>> {
    let members = client.cmd(&["SMEMBERS", name]).array();
    members.into_iter().filter_map(Reply::bytes).collect()
}

#[test]
fn sets_of_one_user_are_compared_and_those_of_two_users_are_not() {
    let world = World::with(Lies::InAFile, CONFIG);
    world.ring(&INIT).done();
    let proxy = Proxy::start_configured(&world.program, &[]);
    let mut client = proxy.client();
    for (name, elements) in [
        ("wa:ana:a", ["x", "y"]),
        ("wa:ana:b", ["y", "z"]),
        ("wa:bob:a", ["x", "y"]),
    ] {
        assert_eq!(
            client.cmd(&["SADD", name, elements[0], elements[1]]).int(),
            2
        );
    }
    let union = client.cmd(&["SUNION", "wa:ana:a", "wa:ana:b"]);
    assert_eq!(members(union), ["x", "y", "z"]);
    let store = ["SINTERSTORE", "wa:ana:c", "wa:ana:a", "wa:ana:b"];
    assert_eq!(client.cmd(&store).int(), 1);
    assert_eq!(members(client.cmd(&["SMEMBERS", "wa:ana:c"])), ["y"]);
    assert_eq!(client.cmd(&["SMOVE", "wa:ana:a", "wa:ana:b", "x"]).int(), 1);
    assert_eq!(client.cmd(&["SISMEMBER", "wa:ana:b", "x"]).int(), 1);
    assert_eq!(
        client.cmd(&["ZADD", "wa:ana:z", "1", "x", "2", "y"]).int(),
        2
    );
    let zunion = ["ZUNIONSTORE", "wa:ana:y", "2", "wa:ana:z", "wa:ana:b"];
    assert_eq!(client.cmd(&zunion).int(), 3);
    assert_eq!(client.cmd(&["RPUSH", "wa:ana:l", "x", "y"]).int(), 2);
    assert_eq!(client.cmd(&["LREM", "wa:ana:l", "0", "x"]).int(), 1);
    for request in [
        &["SUNION", "wa:ana:a", "wa:bob:a"][..],
        &["SINTERSTORE", "wa:ana:c", "wa:ana:a", "wa:bob:a"],
        &["SMOVE", "wa:ana:a", "wa:bob:a", "y"],
        &["ZUNIONSTORE", "wa:bob:y", "1", "wa:ana:z"],
    ] {
        let refused = client.cmd(request);
        assert!(refused.error().is_some(), "{request:?}: {refused:?}");
    }
    // Of equal members of two users nothing is equal.
    let mut server = world.server.client();
    let (of_ana, of_bob) = (
        stored(&mut server, "wa:ana:b"),
        stored(&mut server, "wa:bob:a"),
    );
    assert!(
        of_ana
            .iter()
            .all(|it| !of_bob.contains(it) && it.len() > 24)
    );
    proxy.stop();
}

#[test]
fn members_of_an_erased_user_do_not_open_and_are_counted_so() {
    let world = World::with(Lies::InAFile, CONFIG);
    world.ring(&INIT).done();
    let proxy = Proxy::start_configured(&world.program, &[]);
    let mut client = proxy.client();
    for user in ["ana", "bob"] {
        let (set, sorted) = (format!("wa:{user}:s"), format!("wa:{user}:z"));
        assert_eq!(client.cmd(&["SADD", &set, "x", "y"]).int(), 2);
        assert_eq!(client.cmd(&["ZADD", &sorted, "1", "x"]).int(), 1);
    }
    let mut server = world.server.client();
    // As a backup of the server has them.
    let (of_set, of_sorted) = (stored(&mut server, "wa:ana:s"), {
        let range = server.cmd(&["ZRANGE", "wa:ana:z", "0", "-1"]).array();
        range.into_iter().filter_map(Reply::bytes).next().unwrap()
    });
    world.run(&["forget", "ana", "--yes"]).done();
    assert_eq!(server.cmd(&["EXISTS", "wa:ana:s", "wa:ana:z"]).int(), 0);
    for member in &of_set {
        let add = [&b"SADD"[..], b"wa:ana:s", member];
        assert_eq!(server.cmd(&add).int(), 1);
    }
    let add = [&b"ZADD"[..], b"wa:ana:z", b"1", &of_sorted];
    assert_eq!(server.cmd(&add).int(), 1);

    for request in [
        &["SMEMBERS", "wa:ana:s"][..],
        &["ZRANGE", "wa:ana:z", "0", "-1"],
        &["SRANDMEMBER", "wa:ana:s"],
    ] {
        // Once the proxy has read the ledger of erasures.
        wait_until(|| {
            let reply = client.cmd(request);
            let refused = reply.error();
            refused.is_some_and(|it| it.starts_with("SEALERASED"))
        });
    }
    let of_bob = client.cmd(&["SMEMBERS", "wa:bob:s"]);
    assert_eq!(members(of_bob), ["x", "y"]);
    for deep in [&["audit", "--json"][..], &["audit", "--deep", "--json"]] {
        let report = world.run(deep).done().json();
        let counts = &report["patterns"][0];
        assert_eq!(
            (&counts["erased"], &counts["sealed"]),
            (&3.into(), &3.into())
        );
        assert_eq!(counts["unopenable"], 0, "{counts}");
    }
    // What is left of an erased user is in no form: it is not looked up.
    let swept = world.run(&["rotate", "--json"]).done().json();
    assert_eq!(swept["patterns"][0]["erased"], 3);
    proxy.stop();
}
