//! Tests of the state of a connection: databases, transactions, subscriptions, pushed messages,
//! replies switched off. All of it must be as with the server itself, with values sealed and opened.

use super::wire::{Raw, Wire, bulk, contains, request};
use super::{Pair, UPSTREAMS};
use crate::program::wait_until;

const SECRET: &str = "$8\r\namatista\r\n";

#[test]
fn values_are_sealed_in_every_database() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        let (mut there, mut here) = (pair.wire(), pair.wire());
        assert_eq!(here.ask(&["SET", "wa:1", "amatista here"]), "+OK\r\n");
        assert_eq!(there.ask(&["SELECT", "3"]), "+OK\r\n");
        assert_eq!(there.ask(&["GET", "wa:1"]), "$-1\r\n");
        assert_eq!(there.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
        assert_eq!(there.ask(&["GET", "wa:1"]), SECRET);
        // No other client is affected, not even on the connection when it is free again.
        assert_eq!(here.ask(&["GET", "wa:1"]), *bulk("amatista here").as_str());
        let mut direct = pair.redis.client();
        direct.cmd(&["SELECT", "3"]);
        let stored = direct.cmd(&["GET", "wa:1"]).bytes().unwrap();
        assert!(!contains(&stored, b"amatista"));
        assert_eq!(there.ask(&["SELECT", "0"]), "+OK\r\n");
        assert_eq!(there.ask(&["GET", "wa:1"]), *bulk("amatista here").as_str());
        drop(there);
        for _ in 0..5 {
            let value = pair.wire().ask(&["BLPOP", "open:none", "0.001"]);
            assert_eq!(value, "*-1\r\n");
            assert!(pair.wire().ask(&["GET", "wa:1"]).contains("here"));
        }
    }
}

#[test]
fn a_pushed_message_between_replies_is_not_a_reply() {
    let invalidated = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$4\r\nwa:1\r\n";
    for upstream in UPSTREAMS {
        let pair = Pair::start(upstream);
        let mut wire = pair.wire().resp3();
        assert_eq!(wire.ask(&["CLIENT", "TRACKING", "ON"]), "+OK\r\n");
        let mut other = pair.wire();
        for round in 0..20 {
            assert_eq!(other.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
            if round > 0 {
                assert_eq!(wire.reply(), invalidated);
            }
            assert_eq!(wire.ask(&["GET", "wa:1"]), SECRET);
            assert_eq!(other.ask(&["DEL", "wa:1"]), ":1\r\n");
            assert_eq!(wire.ask(&["GET", "open:1"]), invalidated);
            assert_eq!(wire.reply(), "_\r\n");
            // Its own writes are pushed too, around the reply to them.
            assert_eq!(wire.ask(&["GET", "wa:1"]), "_\r\n");
            wire.send(
                &[
                    request(&["SET", "wa:1", "amatista"]),
                    request(&["GET", "wa:1"]),
                ]
                .concat(),
            );
            let mut received = [wire.reply(), wire.reply(), wire.reply()].to_vec();
            received.retain(|reply| *reply != invalidated);
            assert_eq!(received, [Raw(b"+OK\r\n".into()), Raw(SECRET.into())]);
        }
    }
}

#[test]
fn messages_of_subscriptions_come_in_either_protocol() {
    for upstream in UPSTREAMS {
        for resp3 in [false, true] {
            let pair = Pair::start(upstream);
            let mut wire = pair.wire();
            let array = if resp3 {
                wire = wire.resp3();
                ">"
            } else {
                "*"
            };
            let said = |word: &str, channel: &str, count: usize| {
                format!("{array}3\r\n{}{}:{count}\r\n", bulk(word), bulk(channel))
            };
            wire.send(&request(&["SUBSCRIBE", "wa:news", "open:news"]));
            assert_eq!(wire.reply(), *said("subscribe", "wa:news", 1));
            assert_eq!(wire.reply(), *said("subscribe", "open:news", 2));
            assert_eq!(
                wire.ask(&["PSUBSCRIBE", "w?:*"]),
                *said("psubscribe", "w?:*", 3)
            );
            let mut other = pair.wire();
            assert_eq!(other.ask(&["PUBLISH", "wa:news", "hello"]), ":2\r\n");
            let message = [bulk("message"), bulk("wa:news"), bulk("hello")].concat();
            assert_eq!(wire.reply(), *format!("{array}3\r\n{message}"));
            let message = [
                bulk("pmessage"),
                bulk("w?:*"),
                bulk("wa:news"),
                bulk("hello"),
            ]
            .concat();
            assert_eq!(wire.reply(), *format!("{array}4\r\n{message}"));
            if resp3 {
                assert_eq!(wire.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
                assert_eq!(wire.ask(&["GET", "wa:1"]), SECRET);
            } else {
                let refused = wire.ask(&["GET", "wa:1"]);
                assert!(
                    refused.starts_with("-ERR Can't execute 'get': only "),
                    "{refused:?}"
                );
                assert_eq!(wire.ask(&["PING"]), "*2\r\n$4\r\npong\r\n$0\r\n\r\n");
                assert_eq!(other.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
            }
            wire.send(&[request(&["UNSUBSCRIBE"]), request(&["PUNSUBSCRIBE"])].concat());
            let left = [wire.reply(), wire.reply()];
            assert!(left.iter().all(|it| it.contains("unsubscribe")), "{left:?}");
            assert_eq!(wire.reply(), *said("punsubscribe", "w?:*", 0));
            assert_eq!(wire.ask(&["GET", "wa:1"]), SECRET);
        }
    }
}

#[test]
fn what_the_monitor_shows_is_sealed() {
    for upstream in UPSTREAMS {
        let pair = Pair::start(upstream);
        let mut monitor = pair.wire();
        assert_eq!(monitor.ask(&["MONITOR"]), "+OK\r\n");
        let mut other = pair.wire();
        assert_eq!(other.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
        assert_eq!(other.ask(&["SET", "open:1", "obsidiana"]), "+OK\r\n");
        let mut seen = Vec::new();
        wait_until(|| {
            seen.extend(monitor.reply().0);
            contains(&seen, b"\"SET\" \"open:1\" \"obsidiana\"")
        });
        assert!(contains(&seen, b"\"SET\" \"wa:1\""));
        assert!(!contains(&seen, b"amatista"));
        let mut refused = monitor.ask(&["GET", "wa:1"]);
        while refused.0.starts_with(b"+") {
            // A line about the status page, for example.
            refused = monitor.reply();
        }
        assert!(
            refused.starts_with("-SEALREFUSED only RESET and QUIT"),
            "{refused:?}"
        );
        let mut last = monitor.ask(&["RESET"]);
        while last != "+RESET\r\n" {
            last = monitor.reply();
        }
        assert_eq!(monitor.ask(&["GET", "wa:1"]), SECRET);
    }
}

#[test]
fn a_transaction_on_changed_records_is_not_executed() {
    for upstream in UPSTREAMS {
        let pair = Pair::start(upstream);
        for (mut wire, nothing) in [(pair.wire(), "*-1\r\n"), (pair.wire().resp3(), "_\r\n")] {
            let mut other = pair.wire();
            for (changed, outcome) in [(true, nothing), (false, "*2\r\n+OK\r\n$8\r\namatista\r\n")]
            {
                assert_eq!(wire.ask(&["WATCH", "wa:1"]), "+OK\r\n");
                if changed {
                    assert_eq!(other.ask(&["SET", "wa:1", "other"]), "+OK\r\n");
                }
                assert_eq!(wire.ask(&["MULTI"]), "+OK\r\n");
                assert_eq!(wire.ask(&["SET", "wa:1", "amatista"]), "+QUEUED\r\n");
                assert_eq!(wire.ask(&["GET", "wa:1"]), "+QUEUED\r\n");
                assert_eq!(wire.ask(&["EXEC"]), outcome);
                let now = if changed { "$5\r\nother\r\n" } else { SECRET };
                assert_eq!(wire.ask(&["GET", "wa:1"]), now);
            }
        }
    }
}

#[test]
fn a_transaction_with_a_refused_request_is_not_executed() {
    for upstream in UPSTREAMS {
        let pair = Pair::start(upstream);
        for mut wire in [pair.wire(), pair.wire().resp3()] {
            let all = [
                request(&["MULTI"]),
                request(&["SET", "wa:1", "amatista"]),
                request(&["INCR", "open:count"]),
                request(&["PFADD", "wa:1", "x"]),
                request(&["SET", "open:1", "x"]),
                request(&["EXEC"]),
                request(&["EXISTS", "wa:1", "open:count", "open:1"]),
            ];
            wire.send(&all.concat());
            for expected in ["+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n"] {
                assert_eq!(wire.reply(), expected);
            }
            assert!(wire.reply().starts_with("-SEALREFUSED PFADD"));
            assert_eq!(wire.reply(), "+QUEUED\r\n");
            let aborted = "-EXECABORT Transaction discarded because of: SEALREFUSED PFADD ";
            assert!(wire.reply().starts_with(aborted));
            assert_eq!(wire.reply(), ":0\r\n");
            // The next one is none the worse for it.
            for words in [&["MULTI"][..], &["GET", "wa:1"]] {
                wire.ask(words);
            }
            assert!(wire.ask(&["EXEC"]).starts_with("*1\r\n"));
        }
    }
}

#[test]
fn replies_that_are_switched_off_do_not_come_and_the_next_ones_do() {
    for upstream in UPSTREAMS {
        let pair = Pair::start(upstream);
        for mut wire in [pair.wire(), pair.wire().resp3()] {
            let all = [
                request(&["SET", "wa:1", "amatista"]),
                request(&["CLIENT", "REPLY", "OFF"]),
                request(&["GET", "wa:1"]),
                request(&["SET", "wa:2", "amatista"]),
                request(&["APPEND", "wa:1", "x"]),
                request(&["NOSUCHCOMMAND"]),
                request(&["CLIENT", "REPLY", "ON"]),
                request(&["GET", "wa:2"]),
                request(&["CLIENT", "REPLY", "SKIP"]),
                request(&["GET", "wa:1"]),
                request(&["ECHO", "on"]),
                request(&["CLIENT", "REPLY", "SKIP"]),
                request(&["APPEND", "wa:1", "x"]),
                request(&["GET", "wa:1"]),
            ];
            wire.send(&all.concat());
            let appended = "$10\r\namatistaxx\r\n";
            for expected in ["+OK\r\n", "+OK\r\n", SECRET, "$2\r\non\r\n", appended] {
                assert_eq!(wire.reply(), expected, "{upstream}");
            }
            assert_eq!(wire.ask(&["PING"]), "+PONG\r\n");
        }
    }
}

#[test]
fn a_reset_makes_the_connection_new() {
    for upstream in UPSTREAMS {
        let pair = Pair::start(upstream);
        let mut wire = pair.wire().resp3();
        let new = |wire: &mut Wire| {
            assert_eq!(wire.ask(&["RESET"]), "+RESET\r\n");
            assert_eq!(wire.ask(&["GET", "wa:none"]), "$-1\r\n");
            assert_eq!(wire.ask(&["CLIENT", "GETNAME"]), "$-1\r\n");
        };
        assert_eq!(wire.ask(&["CLIENT", "SETNAME", "a-name"]), "+OK\r\n");
        new(&mut wire);
        for words in [
            &["MULTI"][..],
            &["WATCH", "wa:1"],
            &["SELECT", "4"],
            &["SUBSCRIBE", "news"],
            &["CLIENT", "TRACKING", "ON", "BCAST"],
        ] {
            wire.ask(words);
            new(&mut wire);
            assert_eq!(wire.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
            assert_eq!(wire.ask(&["GET", "wa:1"]), SECRET);
        }
        assert_eq!(pair.redis.cli(&["EXISTS", "wa:1"]), "1");
        // With requests around it in one go.
        let all = [
            request(&["HELLO", "3"]),
            request(&["MULTI"]),
            request(&["SET", "wa:1", "other"]),
            request(&["RESET"]),
            request(&["GET", "wa:1"]),
            request(&["QUIT"]),
            request(&["GET", "wa:1"]),
        ];
        wire.send(&all.concat());
        assert!(wire.reply().starts_with("%"));
        for expected in ["+OK\r\n", "+QUEUED\r\n", "+RESET\r\n", SECRET, "+OK\r\n"] {
            assert_eq!(wire.reply(), expected, "{upstream}");
        }
        assert_eq!(wire.until_the_end(), b"");
    }
}

#[test]
fn a_name_given_to_a_connection_stays_with_it() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        let mut first = pair.wire();
        assert_eq!(first.ask(&["CLIENT", "SETNAME", "first"]), "+OK\r\n");
        // Each takes the server's connection that the other one had, where they are shared.
        assert_eq!(first.ask(&["BLPOP", "open:none", "0.001"]), "*-1\r\n");
        assert_eq!(first.ask(&["PING"]), "+PONG\r\n");
        let mut second = pair.wire();
        assert_eq!(second.ask(&["BLPOP", "open:none", "0.001"]), "*-1\r\n");
        assert_eq!(second.ask(&["CLIENT", "GETNAME"]), "$-1\r\n", "{upstream}");
        let mut third = pair.wire();
        assert_eq!(third.ask(&["CLIENT", "SETNAME", "third"]), "+OK\r\n");
        assert_eq!(
            third.ask(&["CLIENT", "GETNAME"]),
            "$5\r\nthird\r\n",
            "{upstream}"
        );
        assert_eq!(
            first.ask(&["CLIENT", "GETNAME"]),
            "$5\r\nfirst\r\n",
            "{upstream}"
        );
    }
}

/// A subscription and a message of another client, sent one after the other without waiting for the
/// acknowledgement: a server that got both directly would nearly always deliver the message. Nothing promises
/// that it does, so half of them will do.
#[test]
fn a_first_subscription_is_not_overtaken_by_messages_that_are_sent_after_it() {
    const ROUNDS: usize = 60;
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        let mut publisher = pair.wire();
        assert_eq!(publisher.ask(&["PING"]), "+PONG\r\n");
        let mut delivered = 0;
        for round in 0..ROUNDS {
            let mut subscriber = pair.wire();
            assert_eq!(subscriber.ask(&["PING"]), "+PONG\r\n");
            let channel = format!("news{round}");
            subscriber.send(&request(&["SUBSCRIBE", &channel]));
            let reply = publisher.ask(&["PUBLISH", &channel, "x"]);
            delivered += usize::from(reply == ":1\r\n");
        }
        assert!(
            delivered >= ROUNDS / 2,
            "{upstream}: {delivered} of {ROUNDS}"
        );
    }
}
