//! Commands that wait at the server: however they are spelled, no other client waits with them, and none
//! continues waiting for a client that has left. A client that is refused one is held back as if it had
//! waited: it may try again without end.

use std::time::{Duration, Instant};

use super::counts::{blocked_clients, happens};
use super::wire::{Wire, request};
use super::{Pair, UPSTREAMS};

/// Longer than any answer takes that does not wait for another client.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Requests that wait for a new entry of a stream, or are refused.
const READS: [&[&str]; 7] = [
    &["XREAD", "BLOCK\0", "0", "STREAMS", "open:s", "$"],
    &["XREAD", "block\0x", "0", "STREAMS", "open:s", "$"],
    &["XREAD", "block", "0", "STREAMS", "open:s", "$"],
    &[
        "XREAD", "COUNT", "1", "BLOCK", "0", "STREAMS", "open:s", "$",
    ],
    &[
        "XREAD",
        "COUNT\0",
        "1",
        "BLOCK\0",
        "0",
        "STREAMS\0",
        "open:s",
        "$",
    ],
    &[
        "XREADGROUP",
        "GROUP",
        "g",
        "c",
        "BLOCK\0",
        "0",
        "STREAMS",
        "open:s",
        ">",
    ],
    &[
        "XREADGROUP",
        "GROUP\0",
        "g",
        "c",
        "BLOCK",
        "0",
        "STREAMS",
        "open:s",
        ">",
    ],
];

/// Requests that would wait without end on a protected name, and are refused.
const ENDLESS: [&[&str]; 4] = [
    &["BLMOVE", "wa:a", "wa:b", "LEFT", "RIGHT", "0"],
    &["BRPOPLPUSH", "open:a", "wa:b", "0"],
    &["BLMOVE", "wa:a", "open:b", "LEFT", "LEFT", "0"],
    &["BRPOPLPUSH", "wa:a", "wa:b", "0"],
];
/// Those that would wait for a moment.
const SHORT: [&[&str]; 4] = [
    &["BLMOVE", "open:a", "wa:b", "LEFT", "LEFT", "0.01"],
    &["BRPOPLPUSH", "wa:a", "wa:b", "0.05"],
    &["BLMOVE", "wa:a", "wa:b", "LEFT", "LEFT", "0.05"],
    &["BRPOPLPUSH", "open:a", "wa:b", "0.01"],
];

/// A pair with a stream that has a group.
fn pair_of(upstream: &str) -> Pair {
    let pair = Pair::with(upstream, &["--workers", "1"]);
    pair.redis.cli(&["XADD", "open:s", "*", "field", "value"]);
    pair.redis.cli(&["XGROUP", "CREATE", "open:s", "g", "$"]);
    pair
}

/// A client whose request waits at the server, or is answered.
#[track_caller]
fn blocked(pair: &Pair, words: &[&str]) -> Wire {
    let mut wire = pair.wire();
    wire.send(&request(words));
    wire.set_timeout(Duration::from_millis(20));
    let arrived = happens(|| blocked_clients(&pair.redis) == 1 || wire.try_reply().is_ok());
    assert!(arrived, "{words:?}");
    wire
}

#[track_caller]
fn is_answered(wire: &mut Wire, context: &str) {
    for _ in 0..3 {
        wire.send(&request(&["PING"]));
        let reply = wire.try_reply().map_err(|error| error.kind());
        let answered = reply.as_ref().is_ok_and(|reply| *reply == "+PONG\r\n");
        assert!(answered, "{context}: {reply:?}");
    }
}

#[test]
fn reading_a_stream_that_has_no_new_entries_blocks_no_other_client() {
    for words in READS {
        for upstream in UPSTREAMS {
            let pair = pair_of(upstream);
            let mut other = pair.wire();
            other.set_timeout(TIMEOUT);
            is_answered(&mut other, upstream);
            let blocked = blocked(&pair, words);
            is_answered(&mut other, &format!("{upstream}, {words:?}"));
            drop(blocked);
            is_answered(&mut other, &format!("{upstream}, {words:?}, after it left"));
        }
    }
}

#[test]
fn nothing_waits_at_the_server_for_a_client_that_has_left() {
    for words in READS {
        for upstream in UPSTREAMS {
            let pair = pair_of(upstream);
            drop(blocked(&pair, words));
            let ended = happens(|| blocked_clients(&pair.redis) == 0);
            assert!(ended, "{upstream}, {words:?}");
        }
    }
}

#[test]
fn a_refusal_of_a_request_that_would_wait_is_not_given_at_once() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        for (requests, least) in [(&ENDLESS[..], 900), (&SHORT, 95)] {
            for words in requests {
                let mut wire = pair.wire();
                let begin = Instant::now();
                wire.send(&[request(words), request(&["PING"])].concat());
                let reply = wire.reply();
                let time = begin.elapsed();
                assert!(reply.starts_with("-SEALREFUSED "), "{words:?}: {reply:?}");
                let least = Duration::from_millis(least);
                assert!(time >= least, "{upstream}, {words:?}: after {time:?}");
                assert!(time < 2 * TIMEOUT, "{upstream}, {words:?}: after {time:?}");
                assert_eq!(wire.reply(), "+PONG\r\n", "{upstream}, {words:?}");
            }
        }
    }
}

#[test]
fn in_a_transaction_requests_that_would_wait_are_refused_at_once() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        let mut wire = pair.wire();
        assert_eq!(wire.ask(&["MULTI"]), "+OK\r\n");
        let begin = Instant::now();
        for words in ENDLESS.repeat(4) {
            let reply = wire.ask(words);
            assert!(reply.starts_with("-SEALREFUSED "), "{words:?}: {reply:?}");
        }
        // A second for each of them would be more.
        assert!(begin.elapsed() < TIMEOUT, "{upstream}");
        let reply = wire.ask(&["EXEC"]);
        assert!(reply.starts_with("-EXECABORT "), "{upstream}: {reply:?}");
        assert_eq!(wire.ask(&["PING"]), "+PONG\r\n", "{upstream}");
    }
}

#[test]
fn a_refusal_that_is_not_given_at_once_delays_no_other_client() {
    const TIMES: usize = 8;
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1"]);
        let mut other = pair.wire();
        is_answered(&mut other, upstream);
        let mut refused = pair.wire();
        refused.send(&request(ENDLESS[0]).repeat(TIMES));
        let begin = Instant::now();
        for _ in 0..20 {
            is_answered(&mut other, upstream);
        }
        let time = begin.elapsed();
        let others = Duration::from_secs(5);
        assert!(time < others, "{upstream}: after {time:?}");
        for _ in 0..TIMES {
            assert!(refused.reply().starts_with("-SEALREFUSED "), "{upstream}");
        }
        let least = Duration::from_millis(900);
        assert!(begin.elapsed() >= least, "{upstream}");
        // A client that leaves meanwhile does not affect the others either.
        refused.send(&request(ENDLESS[0]));
        drop(refused);
        is_answered(&mut other, upstream);
    }
}
