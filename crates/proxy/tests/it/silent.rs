//! `CLIENT REPLY`: what is answered to nobody must neither come nor be waited for.

use crate::pair::{Pair, assert_sent, requests, to_client};

#[test]
fn nothing_is_waited_for_while_replies_are_off() {
    let mut pair = Pair::new().with_reply_modes();
    let lines = [
        "CLIENT REPLY OFF",
        "SET wa:1 @wa:1=v",
        "GET wa:1",
        "MULTI",
        "GET wa:1",
        "EXEC",
        "CLIENT REPLY ON",
        "GET wa:2",
    ];
    pair.send(&lines);
    assert_sent(&pair.sent(), &lines);
    pair.answer("+OK @wa:2=b");
    assert_eq!(pair.got(), to_client("+OK @wa:2=b"));
    pair.goes_on();
}

#[test]
fn one_reply_is_skipped() {
    let lines = ["GET wa:1", "CLIENT REPLY SKIP", "GET wa:2", "GET wa:3"];
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&lines);
    assert_sent(&pair.sent(), &lines);
    pair.answer("@wa:1=a @wa:3=c");
    assert_eq!(pair.got(), to_client("@wa:1=a @wa:3=c"));
    pair.goes_on();
}

#[test]
fn a_refused_request_uses_up_the_skip_and_the_server_skips_no_other() {
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&["CLIENT REPLY SKIP", "INCR wa:1", "GET wa:2"]);
    assert_sent(&pair.sent(), &["GET wa:2"]);
    pair.answer("@wa:2=b");
    assert_eq!(pair.got(), to_client("@wa:2=b"));
    pair.goes_on();
}

#[test]
fn a_skip_goes_out_with_the_rewritten_and_with_the_streamed_request() {
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&["CLIENT REPLY SKIP", "STRLEN wa:1", "GET wa:2"]);
    assert_sent(&pair.sent(), &["CLIENT REPLY SKIP", "GET wa:1", "GET wa:2"]);
    pair.answer("@wa:2=b");
    assert_eq!(pair.got(), to_client("@wa:2=b"));
    let large = format!("SET other {}", "x".repeat(2 << 20));
    let lines = ["CLIENT REPLY SKIP", &large, "GET wa:2"];
    pair.send(&lines);
    assert_eq!(pair.sent(), requests(&lines));
    pair.answer("@wa:2=b");
    assert_eq!(pair.got(), to_client("@wa:2=b"));
}

#[test]
fn several_skips_are_one_and_on_takes_it_back() {
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&[
        "CLIENT REPLY SKIP",
        "CLIENT REPLY SKIP",
        "GET wa:1",
        "GET wa:2",
    ]);
    assert_sent(&pair.sent(), &["CLIENT REPLY SKIP", "GET wa:1", "GET wa:2"]);
    pair.answer("@wa:2=b");
    assert_eq!(pair.got(), to_client("@wa:2=b"));
    pair.send(&["CLIENT REPLY SKIP", "CLIENT REPLY ON", "GET wa:1"]);
    pair.answer("+OK @wa:1=a");
    assert_eq!(pair.got(), to_client("+OK @wa:1=a"));
}

#[test]
fn refusals_are_silent_too_while_replies_are_off() {
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&[
        "CLIENT REPLY OFF",
        "INCR wa:1",
        "CLIENT REPLY SKIP",
        "GET wa:1",
        "CLIENT REPLY ON",
    ]);
    assert_sent(
        &pair.sent(),
        &["CLIENT REPLY OFF", "GET wa:1", "CLIENT REPLY ON"],
    );
    assert_eq!(pair.got(), "");
    pair.answer("+OK");
    assert_eq!(pair.got(), "+OK\r\n");
    pair.goes_on();
}

#[test]
fn what_changes_the_meaning_of_replies_ends_a_connection_that_hears_none() {
    for mode in ["OFF", "SKIP"] {
        for line in ["HELLO 3", "MONITOR", "SUBSCRIBE a", "UNSUBSCRIBE"] {
            let mut pair = Pair::new().with_reply_modes();
            let mode = format!("CLIENT REPLY {mode}");
            pair.send(&[&mode, line, "GET wa:1"]);
            let got = pair.got();
            assert!(got.starts_with("-SEALREFUSED "), "{mode} {line}: {got}");
            assert_eq!(got.matches("\r\n").count(), 1);
            assert!(pair.ended);
        }
    }
}

#[test]
fn acknowledgements_are_pushed_in_resp3_while_replies_are_off() {
    let mut pair = Pair::resp3().with_reply_modes();
    pair.send(&["CLIENT REPLY OFF", "SUBSCRIBE a"]);
    let pushed = ">3 'subscribe 'a :1 >3 'message 'a 'x";
    pair.answer(pushed);
    assert_eq!(pair.got(), to_client(pushed));
    pair.send(&["CLIENT REPLY ON", "GET wa:1"]);
    pair.answer("+OK @wa:1=v");
    assert_eq!(pair.got(), to_client("+OK @wa:1=v"));
}

#[test]
fn reset_switches_replies_on_again() {
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&["CLIENT REPLY OFF", "RESET"]);
    pair.answer("+RESET");
    assert_eq!(pair.got(), "+RESET\r\n");
    pair.sent();
    pair.goes_on();
}

#[test]
fn replies_are_not_switched_off_before_the_server_has_said_that_they_may_be() {
    for mode in ["OFF", "SKIP"] {
        let mode = format!("CLIENT REPLY {mode}");
        let mut pair = Pair::new();
        pair.send(&["GET wa:1", &mode, "GET wa:2", "GET wa:3"]);
        assert_sent(&pair.sent(), &["GET wa:1", "CLIENT REPLY ON"]);
        // It may not: that is the answer, and what follows has its own.
        pair.answer("@wa:1=a -NOPERM~x");
        assert_sent(&pair.sent(), &["GET wa:2", "GET wa:3"]);
        pair.answer("@wa:2=b @wa:3=c");
        assert_eq!(pair.got(), to_client("@wa:1=a -NOPERM~x @wa:2=b @wa:3=c"));
        // Rights can change: it is asked again.
        pair.send(&[&mode]);
        assert_sent(&pair.sent(), &["CLIENT REPLY ON"]);
        pair.answer("+OK");
        pair.send(&["CLIENT REPLY ON"]);
        pair.sent();
        pair.answer("+OK");
        assert_eq!(pair.got(), "+OK\r\n");
        pair.goes_on();
    }
}

#[test]
fn a_subscriber_is_asked_for_again_whether_replies_may_be_switched_off() {
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&["SUBSCRIBE a", "CLIENT REPLY OFF", "PING"]);
    assert_sent(&pair.sent(), &["SUBSCRIBE a", "CLIENT REPLY ON"]);
    pair.answer("*3 'subscribe 'a :1 -ERR~only~a~few");
    assert_sent(&pair.sent(), &["PING"]);
    pair.answer("*2 'pong '");
    assert_eq!(
        pair.got(),
        to_client("*3 'subscribe 'a :1 -ERR~only~a~few *2 'pong '")
    );
}

#[test]
fn a_request_that_is_answered_twice_ends_the_connection_before_anything_is_paired_with_it() {
    let mut pair = Pair::new();
    pair.send(&[
        "CLIENT TRACKING ON BCAST PREFIX a PREFIX b PREFIX b",
        "GET wa:1",
    ]);
    let sent = pair.sent();
    assert_sent(
        &sent,
        &["CLIENT TRACKING ON BCAST PREFIX a PREFIX b PREFIX b"],
    );
    let result = pair.answer_bytes(b"-ERR Prefix 'b' overlaps\r\n+OK\r\n");
    assert_eq!(result, Err(waxseal_proxy::Unexplained::Pairing));
    assert_eq!(pair.got(), "-ERR Prefix 'b' overlaps\r\n");
}
