//! `CLIENT REPLY`: replies that are switched off are neither delivered nor waited for.

use crate::pair::{Pair, assert_sent, requests, to_client};

#[test]
fn replies_are_dropped_while_they_are_off() {
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&[
        "CLIENT REPLY OFF",
        "SET wa:1 @wa:1=v",
        "GET wa:1",
        "MULTI",
        "GET wa:1",
        "EXEC",
        "LLEN other",
        "CLIENT REPLY ON",
        "GET wa:2",
    ]);
    assert_sent(
        &pair.sent(),
        &[
            "SET wa:1 @wa:1=v",
            "GET wa:1",
            "MULTI",
            "GET wa:1",
            "EXEC",
            "LLEN other",
        ],
    );
    pair.answer("+OK @wa:1=v +OK +QUEUED *1 @wa:1=v -WRONGTYPE~x");
    assert_eq!(pair.got(), "");
    assert_sent(&pair.sent(), &["CLIENT REPLY ON"]);
    pair.answer("+OK");
    assert_sent(&pair.sent(), &["GET wa:2"]);
    pair.answer("@wa:2=b");
    assert_eq!(pair.got(), to_client("+OK @wa:2=b"));
    pair.assert_usable();
}

#[test]
fn one_reply_is_skipped() {
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&["GET wa:1", "CLIENT REPLY SKIP", "GET wa:2", "GET wa:3"]);
    assert_sent(&pair.sent(), &["GET wa:1", "GET wa:2", "GET wa:3"]);
    pair.answer("@wa:1=a @wa:2=b @wa:3=c");
    assert_eq!(pair.got(), to_client("@wa:1=a @wa:3=c"));
    pair.assert_usable();
}

#[test]
fn a_refused_request_uses_up_the_skip() {
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&["CLIENT REPLY SKIP", "INCREX wa:1", "GET wa:2"]);
    assert_sent(&pair.sent(), &["GET wa:2"]);
    pair.answer("@wa:2=b");
    assert_eq!(pair.got(), to_client("@wa:2=b"));
    pair.assert_usable();
}

#[test]
fn the_reply_to_a_rewritten_and_to_a_streamed_request_is_skipped() {
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&["CLIENT REPLY SKIP", "STRLEN wa:1", "GET wa:2"]);
    assert_sent(&pair.sent(), &["GET wa:1", "GET wa:2"]);
    pair.answer("@wa:1=a @wa:2=b");
    assert_eq!(pair.got(), to_client("@wa:2=b"));
    let large = format!("SET other {}", "x".repeat(2 << 20));
    pair.send(&["CLIENT REPLY SKIP", &large, "GET wa:2"]);
    assert_eq!(pair.sent(), requests(&[&large, "GET wa:2"]));
    pair.answer("+OK @wa:2=b");
    assert_eq!(pair.got(), to_client("@wa:2=b"));
}

#[test]
fn several_skips_count_as_one_and_on_cancels_it() {
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&[
        "CLIENT REPLY SKIP",
        "CLIENT REPLY SKIP",
        "GET wa:1",
        "GET wa:2",
    ]);
    assert_sent(&pair.sent(), &["GET wa:1", "GET wa:2"]);
    pair.answer("@wa:1=a @wa:2=b");
    assert_eq!(pair.got(), to_client("@wa:2=b"));
    pair.send(&["CLIENT REPLY SKIP", "CLIENT REPLY ON", "GET wa:1"]);
    pair.answer("+OK");
    pair.answer("@wa:1=a");
    assert_eq!(pair.got(), to_client("+OK @wa:1=a"));
}

#[test]
fn refusals_are_silent_while_replies_are_off() {
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&[
        "CLIENT REPLY OFF",
        "INCREX wa:1",
        "CLIENT REPLY SKIP",
        "GET wa:1",
        "CLIENT REPLY ON",
    ]);
    assert_sent(&pair.sent(), &["GET wa:1", "CLIENT REPLY ON"]);
    pair.answer("@wa:1=a");
    assert_eq!(pair.got(), "");
    pair.answer("+OK");
    assert_eq!(pair.got(), "+OK\r\n");
    pair.assert_usable();
}

#[test]
fn changes_of_the_protocol_take_effect_while_replies_are_off() {
    for mode in ["OFF", "SKIP"] {
        let mode = format!("CLIENT REPLY {mode}");
        let mut pair = Pair::new().with_reply_modes();
        pair.send(&[&mode, "HELLO 3", "CLIENT REPLY ON"]);
        pair.answer("%1 'proto :3");
        pair.answer("+OK");
        assert_eq!(pair.got(), "+OK\r\n", "{mode}");
        // It speaks RESP3: a push message is not a reply.
        pair.send(&["GET wa:1"]);
        pair.answer(">3 'message 'a 'x @wa:1=v");
        assert_eq!(pair.got(), to_client(">3 'message 'a 'x @wa:1=v"), "{mode}");
    }
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&["CLIENT REPLY OFF", "MONITOR"]);
    pair.answer("+OK +1.5~[0~a:1]");
    // Servers send it no reports either.
    assert_eq!(pair.got(), "");
    pair.send(&["RESET"]);
    pair.answer("+RESET");
    assert_eq!(pair.got(), "+RESET\r\n");
    pair.sent();
    pair.assert_usable();
}

#[test]
fn acknowledgements_and_messages_are_delivered_while_replies_are_off() {
    for mode in ["OFF", "SKIP"] {
        for (mut pair, mark) in [(Pair::new(), '*'), (Pair::resp3(), '>')] {
            pair = pair.with_reply_modes();
            let mode = format!("CLIENT REPLY {mode}");
            pair.send(&["GET wa:1", &mode, "PSUBSCRIBE a b"]);
            let pushed = format!(
                "{mark}3 'psubscribe 'a :1 {mark}3 'psubscribe 'b :2 {mark}4 'pmessage 'a 'a 'x"
            );
            pair.answer("@wa:1=v");
            pair.answer(&pushed);
            assert_eq!(pair.got(), to_client(&format!("@wa:1=v {pushed}")));
            pair.send(&["PUNSUBSCRIBE"]);
            let ended = format!("{mark}3 'punsubscribe 'a :1 {mark}3 'punsubscribe 'b :0");
            pair.answer(&ended);
            assert_eq!(pair.got(), to_client(&ended));
            pair.send(&["CLIENT REPLY ON", "GET wa:1"]);
            pair.answer("+OK");
            pair.answer("@wa:1=v");
            assert_eq!(pair.got(), to_client("+OK @wa:1=v"));
        }
    }
}

#[test]
fn a_refused_subscription_is_silent_while_replies_are_off() {
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&["CLIENT REPLY SKIP", "SUBSCRIBE a b", "GET wa:1"]);
    pair.answer("-NOPERM~x @wa:1=v");
    assert_eq!(pair.got(), to_client("@wa:1=v"));
    pair.sent();
    pair.assert_usable();
}

#[test]
fn replies_stay_off_if_the_server_does_not_switch_them_on() {
    // A subscriber of RESP2 may not; the error is as silent as any other.
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&["CLIENT REPLY OFF", "SUBSCRIBE a", "CLIENT REPLY ON", "PING"]);
    pair.answer("*3 'subscribe 'a :1");
    pair.answer("-ERR~only~a~few");
    pair.answer("*2 'pong '");
    assert_eq!(pair.got(), to_client("*3 'subscribe 'a :1"));
    for (mode, reset, after) in [
        ("OFF", "+RESET", "+RESET"),
        ("OFF", "-NOPERM~x", ""),
        ("SKIP", "+RESET", ""),
        ("SKIP", "-NOPERM~x", ""),
    ] {
        let mut pair = Pair::new().with_reply_modes();
        let silence = format!("CLIENT REPLY {mode}");
        pair.send(&[&silence, "RESET", "ECHO x"]);
        pair.answer(reset);
        pair.answer("'x");
        let expected = match (mode, after) {
            ("OFF", "") => String::new(),
            (_, "") => to_client("'x"),
            _ => to_client(&format!("{after} 'x")),
        };
        assert_eq!(pair.got(), expected, "{mode} {reset}");
    }
}

#[test]
fn replies_are_switched_off_only_after_the_server_has_permitted_it() {
    for mode in ["OFF", "SKIP"] {
        let mode = format!("CLIENT REPLY {mode}");
        let mut pair = Pair::new();
        pair.send(&["GET wa:1", &mode, "GET wa:2", "GET wa:3"]);
        assert_sent(&pair.sent(), &["GET wa:1", "cLIENT REPLY ON"]);
        // It may not: this is the reply, and the following requests have their own.
        pair.answer("@wa:1=a -NOPERM~x");
        assert_sent(&pair.sent(), &["GET wa:2", "GET wa:3"]);
        pair.answer("@wa:2=b @wa:3=c");
        assert_eq!(pair.got(), to_client("@wa:1=a -NOPERM~x @wa:2=b @wa:3=c"));
        // Permissions can change: the server is asked again.
        pair.send(&[&mode]);
        assert_sent(&pair.sent(), &["cLIENT REPLY ON"]);
        pair.answer("+OK");
        pair.send(&["CLIENT REPLY ON"]);
        pair.sent();
        pair.answer("+OK");
        assert_eq!(pair.got(), "+OK\r\n");
        pair.assert_usable();
    }
}

#[test]
fn the_permission_to_switch_replies_off_is_requested_again_for_a_subscriber() {
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&["SUBSCRIBE a", "CLIENT REPLY OFF", "PING"]);
    assert_sent(&pair.sent(), &["SUBSCRIBE a", "cLIENT REPLY ON"]);
    pair.answer("*3 'subscribe 'a :1 -ERR~only~a~few");
    assert_sent(&pair.sent(), &["PING"]);
    pair.answer("*2 'pong '");
    assert_eq!(
        pair.got(),
        to_client("*3 'subscribe 'a :1 -ERR~only~a~few *2 'pong '")
    );
}

#[test]
fn a_second_reply_to_a_request_ends_the_connection_before_it_is_paired() {
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
    assert_eq!(result, Err(waxseal_proxy::UnexpectedReply::Pairing));
    assert_eq!(pair.got(), "-ERR Prefix 'b' overlaps\r\n");
}
