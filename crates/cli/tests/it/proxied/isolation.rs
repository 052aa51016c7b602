//! Tests of what a client leaves behind on a connection that others get afterwards, or have at the same time:
//! nothing. A command that failed at the server changed nothing there, and the proxy must not believe
//! that it did.

use std::sync::atomic::{AtomicBool, Ordering};

use waxseal_testing::RedisServer;

use super::counts::wait_for_clients;
use super::wire::{Raw, Wire, request};
use super::{Pair, UPSTREAMS, proxy_before};

const SECRET: &str = "$8\r\namatista\r\n";

#[track_caller]
fn pair_of(upstream: &str) -> Pair {
    let pair = Pair::with(upstream, &["--workers", "1"]);
    assert_eq!(pair.wire().ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
    pair
}

/// New clients, which get whatever connections were given back, find nothing of an earlier client.
#[track_caller]
fn new_clients_are_unaffected(pair: &Pair, context: &str) {
    wait_for_clients(&pair.proxy, 0);
    let mut clients: Vec<Wire> = (0..3).map(|_| pair.wire()).collect();
    for wire in &mut clients {
        assert_eq!(wire.ask(&["MULTI"]), "+OK\r\n", "{context}");
        assert_eq!(
            wire.ask(&["SET", "open:1", "x"]),
            "+QUEUED\r\n",
            "{context}"
        );
        assert_eq!(wire.ask(&["GET", "wa:1"]), "+QUEUED\r\n", "{context}");
        let executed = ["*2\r\n+OK\r\n", SECRET].concat();
        assert_eq!(wire.ask(&["EXEC"]), *executed, "{context}");
    }
    for wire in &mut clients {
        let reply = wire.ask(&["BLPOP", "open:none", "0.001"]);
        assert_eq!(reply, "*-1\r\n", "{context}");
        assert_eq!(wire.ask(&["GET", "wa:1"]), SECRET, "{context}");
    }
    drop(clients);
    wait_for_clients(&pair.proxy, 0);
}

/// Sends requests one by one through the proxy and directly; the replies must be the same.
#[track_caller]
fn are_answered_as_by_the_server(pair: &Pair, requests: &[&[&str]], context: &str) {
    let (mut through, mut direct) = (pair.wire(), Wire::tcp(pair.redis.port()));
    for words in requests {
        let replies = [through.ask(words), direct.ask(words)];
        if words[0] != "HELLO" {
            let [through, direct] = replies;
            assert_eq!(through, direct, "{context}, {words:?} of {requests:?}");
        }
    }
}

#[test]
fn a_transaction_that_could_not_be_ended_stays_with_its_client() {
    for wrong in [
        &["DISCARD", "x"][..],
        &["MULTI", "x"],
        // The server ends the transaction for it.
        &["EXEC", "x"],
        &["RESET", "x"],
    ] {
        for upstream in UPSTREAMS {
            let pair = pair_of(upstream);
            let context = format!("{upstream}, {wrong:?}");
            let mut wire = pair.wire();
            assert_eq!(wire.ask(&["MULTI"]), "+OK\r\n");
            let reply = wire.ask(wrong);
            let error = "wrong number of arguments";
            assert!(reply.contains(error), "{context}: {reply:?}");
            drop(wire);
            new_clients_are_unaffected(&pair, &context);
        }
    }
}

#[test]
fn a_transaction_continues_after_an_end_with_too_many_arguments() {
    for wrong in [&["DISCARD", "x"][..], &["MULTI", "x"], &["RESET", "x"]] {
        for upstream in UPSTREAMS {
            let context = format!("{upstream}, {wrong:?}");
            let pair = pair_of(upstream);
            let mut wire = pair.wire();
            assert_eq!(wire.ask(&["MULTI"]), "+OK\r\n");
            let reply = wire.ask(wrong);
            assert!(reply.starts_with("-ERR wrong "), "{context}: {reply:?}");
            assert_eq!(wire.ask(&["GET", "wa:1"]), "+QUEUED\r\n", "{context}");
            assert!(wire.ask(&["EXEC"]).starts_with("-EXECABORT "), "{context}");
            assert_eq!(wire.ask(&["GET", "wa:1"]), SECRET, "{context}");
        }
    }
}

#[test]
fn wrong_ends_of_a_transaction_are_answered_as_by_the_server() {
    for wrong in [
        &["DISCARD", "x"][..],
        &["EXEC", "x"],
        &["MULTI", "x"],
        &["MULTI"],
        &["WATCH"],
        &["UNWATCH", "x"],
        &["RESET", "x"],
    ] {
        for end in [&["EXEC"][..], &["DISCARD"]] {
            let requests = [
                &["MULTI"][..],
                &["SET", "open:1", "x"],
                wrong,
                &["GET", "open:1"],
                &["PING"],
                end,
                &["PING"],
                &["GET", "open:1"],
            ];
            for upstream in UPSTREAMS {
                are_answered_as_by_the_server(&pair_of(upstream), &requests, upstream);
            }
        }
    }
}

#[test]
fn records_that_are_still_watched_fail_no_transaction_of_another_client() {
    for wrong in [
        &["UNWATCH", "x"][..],
        &["EXEC"],
        &["EXEC", "x"],
        &["DISCARD"],
        &["DISCARD", "x"],
        &["MULTI", "x"],
        &["RESET", "x"],
    ] {
        for upstream in UPSTREAMS {
            let pair = pair_of(upstream);
            let context = format!("{upstream}, {wrong:?}");
            let mut wire = pair.wire();
            assert_eq!(wire.ask(&["WATCH", "open:watched"]), "+OK\r\n");
            let reply = wire.ask(wrong);
            assert!(reply.starts_with("-E"), "{context}: {reply:?}");
            drop(wire);
            wait_for_clients(&pair.proxy, 0);
            pair.redis.cli(&["SET", "open:watched", "changed"]);
            new_clients_are_unaffected(&pair, &context);
        }
    }
}

#[test]
fn records_stay_watched_after_an_unwatch_with_too_many_arguments() {
    for upstream in UPSTREAMS {
        let pair = pair_of(upstream);
        let mut wire = pair.wire();
        assert_eq!(wire.ask(&["WATCH", "wa:1"]), "+OK\r\n");
        assert!(wire.ask(&["UNWATCH", "x"]).starts_with("-ERR wrong number"));
        // Where the connection is shared again, the transaction would be another one's.
        assert_eq!(wire.ask(&["PING"]), "+PONG\r\n");
        assert_eq!(pair.wire().ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
        assert_eq!(wire.ask(&["MULTI"]), "+OK\r\n");
        assert_eq!(wire.ask(&["SET", "wa:1", "late"]), "+QUEUED\r\n");
        assert_eq!(wire.ask(&["EXEC"]), "*-1\r\n", "{upstream}");
        assert_eq!(wire.ask(&["GET", "wa:1"]), SECRET, "{upstream}");
    }
}

#[test]
fn a_refused_request_aborts_its_transaction_though_it_could_not_be_discarded() {
    for upstream in UPSTREAMS {
        let pair = pair_of(upstream);
        for wrong in [&["DISCARD", "x"][..], &["MULTI", "x"], &["MULTI"]] {
            let mut wire = pair.wire();
            assert_eq!(wire.ask(&["MULTI"]), "+OK\r\n");
            assert_eq!(wire.ask(&["SET", "wa:2", "amatista"]), "+QUEUED\r\n");
            assert!(
                wire.ask(&["PFADD", "wa:1", "x"])
                    .starts_with("-SEALREFUSED ")
            );
            let reply = wire.ask(wrong);
            assert!(reply.starts_with("-ERR "), "{upstream}: {reply:?}");
            let reply = wire.ask(&["EXEC"]);
            assert!(
                reply.starts_with("-EXECABORT "),
                "{upstream}, {wrong:?}: {reply:?}"
            );
            assert_eq!(
                wire.ask(&["EXISTS", "wa:2"]),
                ":0\r\n",
                "{upstream}, {wrong:?}"
            );
            assert_eq!(wire.ask(&["GET", "wa:1"]), SECRET, "{upstream}");
        }
    }
}

#[test]
fn a_reset_with_too_many_arguments_resets_nothing() {
    for upstream in UPSTREAMS {
        let pair = pair_of(upstream);
        for requests in [
            &[&["HELLO", "3"][..], &["RESET", "x"], &["GET", "open:none"]][..],
            &[
                &["CLIENT", "SETNAME", "me"],
                &["RESET", "x"],
                &["CLIENT", "GETNAME"],
            ],
            &[
                &["SELECT", "3"],
                &["SET", "open:3", "x"],
                &["RESET", "x"],
                &["GET", "open:3"],
            ],
            &[
                &["MULTI"],
                &["SET", "open:1", "x"],
                &["RESET", "x", "y"],
                &["EXEC"],
            ],
            &[&["RESET", "x"], &["PING"], &["RESET"], &["PING"]],
        ] {
            are_answered_as_by_the_server(&pair, requests, upstream);
        }
    }
}

#[test]
fn no_invalidation_reaches_a_client_that_does_not_track() {
    // Longer than what is held of a request whose end does not matter.
    let prefix = "open:".to_owned() + &"p".repeat(1_200_000);
    let tracked = prefix.clone() + "1";
    for upstream in UPSTREAMS {
        for tracking in [
            &["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", &prefix][..],
            &["CLIENT", "TRACKING", "ON", "BCAST"],
            &["CLIENT", "TRACKING", "ON"],
        ] {
            let pair = pair_of(upstream);
            let mut wire = pair.wire().resp3();
            assert_eq!(wire.ask(tracking), "+OK\r\n");
            assert_eq!(wire.ask(&["GET", "open:1"]), "_\r\n");
            assert_eq!(wire.ask(&["GET", "wa:1"]), SECRET);
            drop(wire);
            wait_for_clients(&pair.proxy, 0);
            let mut clients: Vec<Wire> = (0..3).map(|_| pair.wire().resp3()).collect();
            for wire in &mut clients {
                assert_eq!(wire.ask(&["WATCH", "open:watched"]), "+OK\r\n");
            }
            for name in ["open:1", "wa:1", tracked.as_str()] {
                pair.redis.cli(&["SET", name, "x"]);
            }
            for wire in &mut clients {
                wire.send(&[request(&["PING"]), request(&["ECHO", "end"])].concat());
                let replies = [wire.reply(), wire.reply()];
                let expected = ["+PONG\r\n", "$3\r\nend\r\n"].map(|it| Raw(it.into()));
                assert_eq!(replies, expected, "{upstream}, {:?}", &tracking[..3]);
            }
        }
    }
}

#[test]
fn invalidations_that_are_redirected_to_a_lane_reach_none_of_its_clients() {
    for upstream in ["shared", "auto"] {
        let pair = pair_of(upstream);
        let mut wire = pair.wire().resp3();
        assert_eq!(wire.ask(&["PING"]), "+PONG\r\n");
        let list = pair.redis.cli(&["CLIENT", "LIST"]);
        let lane = list.lines().find(|line| line.contains(" resp=3"));
        let lane = lane.and_then(|line| line.split_whitespace().next());
        let lane = lane.and_then(|id| id.strip_prefix("id=")).unwrap();
        let mut other = pair.wire();
        let tracking = ["CLIENT", "TRACKING", "ON", "BCAST", "REDIRECT", lane];
        assert_eq!(other.ask(&tracking), "+OK\r\n", "{upstream}");
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut direct = pair.redis.client();
                while !is_over.load(Ordering::Relaxed) {
                    direct.cmd(&["SET", "open:1", "x"]);
                }
            });
            let mut pushed = None;
            for _ in 0..2000 {
                let reply = wire.ask(&["PING"]);
                if reply != "+PONG\r\n" {
                    pushed = Some(reply);
                    break;
                }
            }
            is_over.store(true, Ordering::Relaxed);
            assert_eq!(pushed, None, "{upstream}");
        });
    }
}

/// A server whose user of the proxy may not end what it may begin.
fn limited(upstream: &str) -> Pair {
    let redis = RedisServer::builder()
        .user_acl("user proxy on >open-sesame ~* &* +@all -discard -unwatch")
        .start();
    let url = format!("redis://proxy:open-sesame@127.0.0.1:{}/", redis.port());
    let proxy = proxy_before(&url, upstream, &["--workers", "1"]);
    let pair = Pair { redis, proxy };
    assert_eq!(pair.wire().ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
    pair
}

#[test]
fn what_a_user_may_not_end_stays_with_its_client() {
    for (begin, end) in [
        (&["MULTI"][..], &["DISCARD"][..]),
        (&["WATCH", "open:watched"], &["UNWATCH"]),
    ] {
        for upstream in UPSTREAMS {
            let pair = limited(upstream);
            let context = format!("{upstream}, {end:?}");
            let mut wire = pair.wire();
            assert_eq!(wire.ask(begin), "+OK\r\n", "{context}");
            let reply = wire.ask(end);
            assert!(reply.starts_with("-NOPERM "), "{context}: {reply:?}");
            let reply = if begin == ["MULTI"] {
                "+QUEUED\r\n"
            } else {
                SECRET
            };
            assert_eq!(wire.ask(&["GET", "wa:1"]), reply, "{context}");
            drop(wire);
            wait_for_clients(&pair.proxy, 0);
            pair.redis.cli(&["SET", "open:watched", "changed"]);
            new_clients_are_unaffected(&pair, &context);
        }
    }
}

#[test]
fn a_name_that_the_server_refused_does_not_replace_the_one_before() {
    for upstream in UPSTREAMS {
        let pair = pair_of(upstream);
        let mut wire = pair.wire();
        for (name, fine) in [("good", true), ("a b", false), ("line\n", false)] {
            let reply = wire.ask(&["CLIENT", "SETNAME", name]);
            assert_eq!(reply == "+OK\r\n", fine, "{upstream}: {reply:?}");
            // To another connection, where one is needed, and perhaps back.
            assert_eq!(wire.ask(&["BLPOP", "open:none", "0.001"]), "*-1\r\n");
            let reply = wire.ask(&["CLIENT", "GETNAME"]);
            assert_eq!(reply, "$4\r\ngood\r\n", "{upstream}: after {name:?}");
        }
        let mut wire = pair.wire();
        assert_eq!(wire.ask(&["CLIENT", "SETNAME", "good"]), "+OK\r\n");
        assert!(wire.ask(&["CLIENT", "SETNAME", "a b"]).starts_with("-ERR "));
        assert_eq!(wire.ask(&["BLPOP", "open:none", "0.001"]), "*-1\r\n");
        let reply = wire.ask(&["CLIENT", "GETNAME"]);
        assert_eq!(reply, "$4\r\ngood\r\n", "{upstream}");
    }
}
