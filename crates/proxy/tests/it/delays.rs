//! Refused requests that would have blocked: the error is delayed as long as they would have waited, within bounds,
//! and no request behind them is taken meanwhile.

use std::time::Duration;

use crate::pair::{Pair, assert_sent};

#[test]
fn a_refusal_is_delayed_for_as_long_as_the_request_would_wait() {
    for (line, milliseconds) in [
        ("BLMOVE wa:1 wa:2 LEFT LEFT 0.25", 250),
        ("BRPOPLPUSH wa:1 wa:2 0", 1000),
        ("BLMOVE wa:1 wa:2 LEFT LEFT 0", 1000),
        ("BLMOVEM wa:1 wa:2 LEFT LEFT 0.01", 100),
        ("BRPOPLPUSH wa:1 wa:2 30", 1000),
        // With an option that is not known.
        ("XREAD BLOCK 400 NEW 1 STREAMS wa:1 $", 400),
        ("XREAD NEW 1 block 0 STREAMS wa:1 $", 1000),
        ("XREADGROUP GROUP g c BLOCK 1 NEW 1 STREAMS wa:1 >", 100),
    ] {
        let mut pair = Pair::new();
        pair.send(&["GET wa:1", line, "GET wa:2"]);
        assert_sent(&pair.sent(), &["GET wa:1"]);
        let by = Duration::from_millis(milliseconds);
        assert_eq!(pair.connection.delay(), Some(by), "{line}");
        pair.answer("@wa:1=a");
        assert_eq!(pair.got(), "$1\r\na\r\n");
        assert!(!pair.connection.is_idle() && !pair.connection.is_movable());
        // Further requests are not read.
        pair.send(&["GET wa:3"]);
        assert!(pair.sent().is_empty());
        pair.end_delay();
        assert!(pair.got().starts_with("-SEALREFUSED "), "{line}");
        assert_sent(&pair.sent(), &["GET wa:2", "GET wa:3"]);
        assert_eq!(pair.connection.delay(), None);
    }
}

#[test]
fn a_delayed_refusal_keeps_its_turn() {
    let mut pair = Pair::new();
    pair.send(&["GET wa:1", "BLMOVE wa:1 wa:2 LEFT LEFT 0"]);
    pair.end_delay();
    assert_eq!(pair.got(), "");
    pair.answer("@wa:1=a");
    let got = pair.got();
    assert!(got.starts_with("$1\r\na\r\n-SEALREFUSED BLMOVE "), "{got}");
    pair.sent();
    pair.assert_usable();
}

#[test]
fn requests_that_do_not_block_are_refused_at_once() {
    for line in [
        // Servers answer these at once, with an error.
        "BLMOVE wa:1 wa:2 LEFT LEFT -1",
        "XREAD BLOCK x NEW 1 STREAMS wa:1 $",
        "XREAD NEW 1 STREAMS wa:1 0",
        "PFADD wa:1 a",
        "VADD wa:1 CAS x",
        "LMOVE wa:1 a LEFT LEFT",
    ] {
        let mut pair = Pair::new();
        pair.send(&[line]);
        assert!(pair.got().starts_with("-SEALREFUSED "), "{line}");
        pair.assert_usable();
    }
    // In a transaction nothing blocks on the server; a client that retries at once is delayed nevertheless.
    for line in [
        "BLMOVE wa:1 wa:2 LEFT LEFT 0",
        "XREAD BLOCK 5000 NEW 1 STREAMS wa:1 $",
    ] {
        let mut pair = Pair::new();
        pair.send(&["MULTI", line, "EXEC"]);
        assert_eq!(pair.connection.delay(), Some(Duration::from_millis(100)));
        assert_sent(&pair.sent(), &["MULTI"]);
        pair.end_delay();
        assert_sent(&pair.sent(), &["DISCARD"]);
        pair.answer("+OK +OK");
        let got = pair.got();
        let command = line.split(' ').next().unwrap();
        assert!(
            got.starts_with(&format!("+OK\r\n-SEALREFUSED {command} ")),
            "{got}"
        );
        assert!(got.contains("\r\n-EXECABORT "), "{got}");
    }
}
