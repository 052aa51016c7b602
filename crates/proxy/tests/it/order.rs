//! Replies are in the order of their requests, whether the server or the proxy answers, and none interrupts another.

use waxseal_proxy::UnexpectedReply;

use crate::pair::{Pair, from_server, to_client};

#[test]
fn answers_of_the_proxy_wait_for_the_replies_before_them() {
    let mut pair = Pair::new();
    pair.send(&[
        "GET wa:1",
        "INCREX wa:1",
        "GET other",
        "RENAME wa:1 x",
        "PFADD wa:1 m",
    ]);
    assert_eq!(pair.got(), "");
    pair.answer("@wa:1=v");
    let got = pair.got();
    assert!(got.starts_with("$1\r\nv\r\n-SEALREFUSED INCREX "), "{got}");
    assert_eq!(got.matches("\r\n").count(), 3);
    pair.answer("'x");
    let got = pair.got();
    assert!(got.starts_with("$1\r\nx\r\n-SEALREFUSED RENAME "), "{got}");
    assert!(got.contains("\r\n-SEALREFUSED PFADD "), "{got}");
}

/// A request that is refused during a reply, at every position in it.
#[test]
fn answers_of_the_proxy_never_interrupt_a_reply() {
    for (begin, line, reply) in [
        (Pair::new as fn() -> Pair, "GET other", "'text"),
        (Pair::new, "LRANGE other 0 -1", "*2 'a :1"),
        (Pair::new, "GET wa:1", "@wa:1=value"),
        (Pair::resp3, "SUBSCRIBE a", ">3 'subscribe 'a :1"),
    ] {
        let whole = from_server(reply);
        for cut in 1..whole.len() {
            let mut pair = begin();
            pair.send(&[line]);
            pair.answer_bytes(&whole[..cut]).unwrap();
            pair.send(&["INCREX wa:1"]);
            pair.answer_bytes(&whole[cut..]).unwrap();
            let got = pair.got();
            let rest = got.strip_prefix(&to_client(reply));
            assert!(
                rest.is_some_and(|it| it.starts_with("-SEALREFUSED ")),
                "{cut}: {got}"
            );
        }
    }
}

#[test]
fn answers_of_the_proxy_never_interrupt_a_message() {
    let message = from_server(">3 'message 'a 'long");
    for cut in 1..message.len() {
        let mut pair = Pair::resp3();
        pair.answer_bytes(&message[..cut]).unwrap();
        pair.send(&["INCREX wa:1"]);
        let early = pair.got();
        pair.answer_bytes(&message[cut..]).unwrap();
        let got = early + &pair.got();
        let message = to_client(">3 'message 'a 'long");
        assert!(
            got.strip_prefix(&message)
                .is_some_and(|it| it.starts_with("-SEALREFUSED "))
                || got
                    .strip_suffix(&message)
                    .is_some_and(|it| it.ends_with("\r\n") && it.starts_with("-SEALREFUSED ")),
            "{cut}: {got}"
        );
    }
}

#[test]
fn a_blocked_request_is_tracked_until_every_reply_is_received() {
    for lines in [
        ["BLPOP other 0", "GET wa:1"],
        ["BLPOP wa:q 0", "SET wa:1 @wa:1=v"],
        ["BLPOP wa:q 0", "GET other"],
    ] {
        let mut pair = Pair::new();
        pair.send(&lines);
        assert!(pair.connection.may_be_blocked(), "{lines:?}");
        pair.answer("*-1");
        assert!(pair.connection.may_be_blocked(), "{lines:?}");
        pair.answer("$-1");
        assert!(!pair.connection.may_be_blocked(), "{lines:?}");
    }
    let mut pair = Pair::new();
    pair.send(&["MULTI", "BLPOP wa:q 0"]);
    assert!(!pair.connection.may_be_blocked());
}

#[test]
fn a_reply_that_no_request_explains_is_an_error() {
    for reply in ["+OK", "@wa:1=v", "*1 'x", "-ERR~x", "*3 'message 'a 'x"] {
        let mut pair = Pair::new();
        assert_eq!(
            pair.answer_bytes(&from_server(reply)),
            Err(UnexpectedReply::Pairing)
        );
        pair.send(&["INCREX wa:1"]);
        let refused = pair.got();
        assert!(refused.starts_with("-SEALREFUSED "), "{refused}");
    }
}

#[test]
fn a_reply_of_another_shape_is_an_error_and_none_of_it_is_delivered() {
    for (line, reply) in [
        ("GET wa:1", "*1 @wa:1=v"),
        ("GET wa:1", "%1 'f @wa:1=v"),
        ("STRLEN wa:1", ":5"),
        ("STRLEN wa:1", "+QUEUED"),
        ("MGET wa:1 other", "*1 @wa:1=v"),
        ("MGET wa:1 other", "*3 @wa:1=v 'x 'y"),
        ("HMGET wa:h f", "@wa:h/f=v"),
        ("HGETALL wa:h", "*3 'f @wa:h/f=v 'g"),
        ("HGETALL wa:h", "*2 'f *1 @wa:h/f=v"),
        ("HVALS wa:h", "*3 'f @wa:h/f=v 'g"),
        ("HVALS wa:h", "*1 *2 'f @wa:h/f=v"),
        ("HVALS wa:h", ":1"),
        ("HSCAN wa:h 0", "*1 '0"),
        ("HSCAN wa:h 0", "*3 '0 *0 *0"),
        ("LMPOP 1 wa:l LEFT", "*1 'wa:l"),
        ("BLPOP wa:l 0", "'x"),
    ] {
        let mut pair = Pair::new();
        pair.send(&[line]);
        let result = pair.answer_bytes(&from_server(reply));
        assert_eq!(result, Err(UnexpectedReply::Pairing), "{line}: {reply}");
        assert_eq!(pair.got(), "", "{line}: {reply}");
    }
}

#[test]
fn a_name_that_was_not_asked_for_is_unexplained() {
    for (line, reply) in [
        ("BLPOP wa:l 0", "*2 'other 'forged"),
        ("BLPOP wa:l 0", "*2 '0 'forged"),
        ("BLPOP wa:l 0", "*2 'wa:m @wa:m=x"),
        ("LMPOP 1 wa:l LEFT", "*2 'LEFT *1 'forged"),
        ("BLMPOP 0 1 wa:l LEFT", "*2 'other *1 'forged"),
    ] {
        let mut pair = Pair::new();
        pair.send(&[line]);
        let result = pair.answer_bytes(&from_server(reply));
        assert_eq!(result, Err(UnexpectedReply::Pairing), "{line}: {reply}");
        assert_eq!(pair.got(), "");
    }
}
