//! Messages are sent unasked and look like replies; MONITOR, RESET and HELLO change the meaning of replies.

use waxseal_proxy::{Protocol, UnexpectedReply};

use crate::pair::{Pair, assert_sent, at_every_chunking, from_server, to_client};

#[test]
fn acknowledgements_and_messages_are_distinguished_from_replies_in_resp2() {
    let lines = [
        "GET wa:1",
        "SUBSCRIBE a b",
        "PSUBSCRIBE p*",
        "PING",
        "UNSUBSCRIBE",
        "PUNSUBSCRIBE p*",
        "LRANGE other 0 -1",
        "GET wa:2",
    ];
    let reply = "@wa:1=v *3 'subscribe 'a :1 *3 'message 'a 'x *3 'subscribe 'b :2 \
        *3 'psubscribe 'p* :3 *4 'pmessage 'p* 'p1 'x *2 'pong ' *3 'unsubscribe 'a :2 \
        *3 'message 'b 'x *3 'unsubscribe 'b :1 *3 'punsubscribe 'p* :0 *2 'message 'x @wa:2=w";
    at_every_chunking(Pair::new, &lines, &lines, reply, reply);
}

#[test]
fn unsubscribing_from_nothing_is_acknowledged_once() {
    for (line, word) in [
        ("UNSUBSCRIBE", "unsubscribe"),
        ("PUNSUBSCRIBE", "punsubscribe"),
        ("SUNSUBSCRIBE", "sunsubscribe"),
    ] {
        let lines = [line, "GET wa:1"];
        let reply = format!("*3 '{word} $-1 :0 @wa:1=v");
        at_every_chunking(Pair::new, &lines, &lines, &reply, &reply);
        let reply = format!(">3 '{word} _ :0 @wa:1=v");
        at_every_chunking(Pair::resp3, &lines, &lines, &reply, &reply);
    }
}

#[test]
fn shard_channels_are_counted_separately() {
    let lines = [
        "SSUBSCRIBE s t",
        "SUBSCRIBE a",
        "SUNSUBSCRIBE",
        "UNSUBSCRIBE",
        "GET wa:1",
    ];
    let reply = "*3 'ssubscribe 's :1 *3 'ssubscribe 't :2 *3 'subscribe 'a :1 \
        *3 'smessage 's 'x *3 'sunsubscribe 's :1 *3 'sunsubscribe 't :0 *3 'unsubscribe 'a :0 @wa:1=v";
    at_every_chunking(Pair::new, &lines, &lines, reply, reply);
}

#[test]
fn push_messages_may_be_anywhere_between_replies_in_resp3() {
    let lines = ["SUBSCRIBE a", "GET wa:1", "HGETALL wa:h", "UNSUBSCRIBE a"];
    let reply = ">2 'invalidate *1 'x >3 'subscribe 'a :1 >3 'message 'a 'x @wa:1=v \
        >2 'invalidate _ %1 'f @wa:h/f=v >3 'message 'a 'y >3 'unsubscribe 'a :0";
    at_every_chunking(Pair::resp3, &lines, &lines, reply, reply);
}

#[test]
fn a_refused_subscription_is_one_error() {
    let lines = ["SUBSCRIBE a b c", "GET wa:1"];
    let reply = "-NOPERM~x @wa:1=v";
    at_every_chunking(Pair::new, &lines, &lines, reply, reply);
    at_every_chunking(Pair::resp3, &lines, &lines, reply, reply);
    for mut pair in [Pair::new(), Pair::resp3()] {
        pair.exchange("SUBSCRIBE", "-ERR~arity", "-ERR~arity");
        pair.assert_usable();
    }
}

#[test]
fn an_unexpected_acknowledgement_is_unexplained() {
    for reply in ["+OK", ":1", "*3 'other 'a :1"] {
        let mut pair = Pair::new();
        pair.send(&["SUBSCRIBE a"]);
        let result = pair.answer_bytes(&from_server(reply));
        assert_eq!(result, Err(UnexpectedReply::Pairing), "{reply}");
        assert_eq!(pair.got(), "");
    }
}

#[test]
fn monitor_lines_are_delivered_until_reset() {
    let mut pair = Pair::new();
    pair.send(&["MONITOR", "GET wa:1"]);
    assert_sent(&pair.sent(), &["MONITOR"]);
    pair.answer("+OK +1700000000.1~[0~x]~\"GET\" +1700000000.2~x");
    let got = pair.got();
    assert!(got.starts_with("+OK\r\n"), "{got}");
    assert_eq!(got.matches("-SEALREFUSED only RESET").count(), 1, "{got}");
    pair.send(&["RESET"]);
    pair.answer("+1700000000.3~x +RESET");
    assert_eq!(pair.got(), "+1700000000.3 x\r\n+RESET\r\n");
    pair.sent();
    pair.assert_usable();
}

#[test]
fn a_refused_monitor_changes_nothing() {
    let mut pair = Pair::new();
    pair.exchange("MONITOR", "-NOPERM~x", "-NOPERM~x");
    pair.assert_usable();
}

#[test]
fn the_version_of_the_protocol_is_known_only_after_its_reply() {
    let mut pair = Pair::new();
    pair.send(&["HELLO 3", "GET wa:1"]);
    assert_sent(&pair.sent(), &["HELLO 3"]);
    pair.answer("-NOAUTH~x");
    assert_eq!(pair.connection.protocol(), Protocol::Resp2);
    assert_sent(&pair.sent(), &["GET wa:1"]);
    pair.answer("@wa:1=v");
    pair.got();
    pair.exchange("HELLO 3", "%1 'proto :3", "%1 'proto :3");
    assert_eq!(pair.connection.protocol(), Protocol::Resp3);
    pair.exchange("HELLO 4", "-NOPROTO~x", "-NOPROTO~x");
    pair.exchange("HELLO", "%1 'proto :3", "%1 'proto :3");
    assert_eq!(pair.connection.protocol(), Protocol::Resp3);
    pair.exchange("RESET", "+RESET", "+RESET");
    assert_eq!(pair.connection.protocol(), Protocol::Resp2);
    assert!(pair.connection.take_login_reset());
    pair.assert_usable();
}

#[test]
fn quit_is_answered_after_everything_before_it_and_ends() {
    let mut pair = Pair::new();
    pair.send(&["GET wa:1", "QUIT", "GET wa:2"]);
    assert_sent(&pair.sent(), &["GET wa:1"]);
    assert!(pair.ended);
    assert_eq!(pair.got(), "");
    pair.answer("@wa:1=v");
    assert_eq!(pair.got(), to_client("@wa:1=v +OK"));
    assert!(pair.connection.has_all_replies());
}
