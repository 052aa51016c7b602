//! Commands that wait at the server: however they are spelled, nobody else waits with them, and none
//! goes on waiting for a client that has left.

use std::time::Duration;

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
    wire.patience(Duration::from_millis(20));
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
fn reading_a_stream_that_has_no_new_entries_holds_up_nobody_else() {
    for words in READS {
        for upstream in UPSTREAMS {
            let pair = pair_of(upstream);
            let mut other = pair.wire();
            other.patience(TIMEOUT);
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
