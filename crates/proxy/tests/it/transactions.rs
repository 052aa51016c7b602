//! MULTI and EXEC: every shape in one reply, and everything that can fail before it.

use waxseal_core::Mode;
use waxseal_proxy::{Limits, UnexpectedReply};

use crate::pair::{Pair, assert_sent, at_every_chunking, from_server, to_client};

const LINES: &[&str] = &[
    "MULTI",
    "SET wa:1 @wa:1=v",
    "GET wa:1",
    "STRLEN wa:1",
    "GETRANGE wa:1 0 0",
    "MGET wa:1 other",
    "HMGET wa:h f g",
    "HGETALL wa:h",
    "HVALS wa:h",
    "HSCAN wa:h 0",
    "LRANGE wa:l 0 -1",
    "LMPOP 1 wa:l LEFT",
    "SMEMBERS other",
    "EXEC",
];

const SENT: &[&str] = &[
    "MULTI",
    "SET wa:1 @wa:1=v",
    "GET wa:1",
    "GET wa:1",
    "GET wa:1",
    "MGET wa:1 other",
    "HMGET wa:h f g",
    "HGETALL wa:h",
    "HGETALL wa:h",
    "HSCAN wa:h 0",
    "LRANGE wa:l 0 -1",
    "LMPOP 1 wa:l LEFT",
    "SMEMBERS other",
    "EXEC",
];

const STORED: [&str; 12] = [
    "+OK",
    "@wa:1=v",
    "@wa:1=v",
    "@wa:1=v",
    "*2 @wa:1=v 'clear",
    "*2 @wa:h/f=v $-1",
    "*2 'f @wa:h/f=v",
    "*2 'f @wa:h/f=v",
    "*2 '0 *2 'f @wa:h/f=v",
    "*1 @wa:l=v",
    "*2 'wa:l *1 @wa:l=v",
    "*2 *1 :1 'x",
];

fn replies(queued: &str, each: &[&str]) -> String {
    format!(
        "+OK {} *{} {}",
        [queued; 12].join(" "),
        each.len(),
        each.join(" ")
    )
}

#[test]
fn every_shape_is_opened_in_the_reply_of_exec() {
    let mut got = STORED;
    got[2] = ":1";
    got[3] = "'v";
    got[7] = "*1 @wa:h/f=v";
    let (stored, got) = (replies("+QUEUED", &STORED), replies("+QUEUED", &got));
    at_every_chunking(Pair::new, LINES, SENT, &stored, &got);
    at_every_chunking(Pair::resp3, LINES, SENT, &stored, &got);
}

#[test]
fn an_aborted_transaction_answers_null_or_its_error() {
    for outcome in ["*-1", "_", "-EXECABORT~x"] {
        let lines = ["MULTI", "GET wa:1", "NOSUCH x", "EXEC"];
        let reply = format!("+OK +QUEUED -ERR~unknown~command {outcome}");
        at_every_chunking(Pair::new, &lines, &lines, &reply, &reply);
    }
}

#[test]
fn an_error_in_the_middle_does_not_shift_later_replies() {
    let lines = ["MULTI", "GET wa:1", "GET", "GET wa:2", "EXEC", "GET wa:3"];
    let reply = "+OK +QUEUED -ERR~arity +QUEUED *2 @wa:1=a @wa:2=b @wa:3=c";
    at_every_chunking(Pair::new, &lines, &lines, reply, reply);
}

#[test]
fn commands_after_a_failed_multi_are_answered_at_once() {
    let lines = [
        "MULTI",
        "GET wa:1",
        "STRLEN wa:1",
        "MGET other wa:2",
        "EXEC",
        "GET wa:3",
    ];
    let sent = [
        "MULTI",
        "GET wa:1",
        "GET wa:1",
        "MGET other wa:2",
        "EXEC",
        "GET wa:3",
    ];
    let reply = "-NOAUTH~x @wa:1=a @wa:1=a *2 'x @wa:2=b -ERR~EXEC~without~MULTI @wa:3=c";
    let got = "-NOAUTH~x @wa:1=a :1 *2 'x @wa:2=b -ERR~EXEC~without~MULTI @wa:3=c";
    at_every_chunking(Pair::new, &lines, &sent, reply, got);
}

#[test]
fn a_failed_multi_begins_no_transaction_for_requests_after_its_reply() {
    let mut pair = Pair::new();
    pair.exchange("MULTI", "-NOAUTH~x", "-NOAUTH~x");
    pair.exchange("HELLO 3 AUTH u p", "%1 'proto :3", "%1 'proto :3");
    assert!(pair.connection.has_all_replies());
    pair.assert_usable();
}

#[test]
fn a_second_multi_begins_a_transaction_if_the_first_failed() {
    let mut pair = Pair::new();
    pair.send(&["MULTI", "AUTH p", "MULTI", "GET wa:1"]);
    pair.answer("-NOAUTH~x +OK +OK +QUEUED");
    pair.send(&["EXEC"]);
    pair.got();
    pair.answer("*1 @wa:1=v");
    assert_eq!(pair.got(), to_client("*1 @wa:1=v"));
    pair.sent();
    pair.assert_usable();
}

#[test]
fn nested_multi_and_watch_are_answered_by_the_server_and_keep_the_transaction() {
    let lines = [
        "MULTI",
        "MULTI",
        "WATCH wa:1",
        "GET wa:1",
        "EXEC",
        "EXEC",
        "DISCARD",
    ];
    let reply = "+OK -ERR~nested -ERR~WATCH~inside +QUEUED *1 @wa:1=v -ERR~without -ERR~without";
    at_every_chunking(Pair::new, &lines, &lines, reply, reply);
}

#[test]
fn a_discarded_transaction_leaves_nothing_behind() {
    let lines = ["MULTI", "GET wa:1", "DISCARD", "MULTI", "GET other", "EXEC"];
    let reply = "+OK +QUEUED +OK +OK +QUEUED *1 'x";
    at_every_chunking(Pair::new, &lines, &lines, reply, reply);
}

#[test]
fn a_refused_command_discards_the_transaction() {
    let mut pair = Pair::new();
    pair.send(&[
        "MULTI",
        "SET wa:1 @wa:1=v",
        "INCREX wa:1",
        "GET other",
        "EXEC",
        "GET wa:2",
    ]);
    let sent = ["MULTI", "SET wa:1 @wa:1=v", "GET other", "DISCARD"];
    assert_sent(&pair.sent(), &sent);
    // Further requests wait until the server has discarded it.
    pair.answer("+OK +QUEUED +QUEUED +OK");
    assert_sent(&pair.sent(), &["GET wa:2"]);
    pair.answer("@wa:2=x");
    let got = pair.got();
    let lines: Vec<&str> = got.split("\r\n").collect();
    assert_eq!(lines[..2], ["+OK", "+QUEUED"]);
    assert!(lines[2].starts_with("-SEALREFUSED INCREX "), "{got}");
    assert_eq!(lines[3], "+QUEUED");
    assert!(lines[4].starts_with("-EXECABORT "), "{got}");
    assert_eq!(lines[5..], ["$1", "x", ""]);
}

#[test]
fn the_next_transaction_is_executed_after_a_refused_one() {
    let mut pair = Pair::new();
    pair.send(&["MULTI", "INCREX wa:1", "EXEC"]);
    pair.answer("+OK +OK");
    pair.got();
    pair.sent();
    let lines = ["MULTI", "GET wa:1", "EXEC"];
    pair.send(&lines);
    assert_sent(&pair.sent(), &lines);
    pair.answer("+OK +QUEUED *1 @wa:1=v");
    assert_eq!(pair.got(), to_client("+OK +QUEUED *1 @wa:1=v"));
}

#[test]
fn one_broken_value_is_one_error_in_the_reply_of_exec() {
    let mut pair = Pair::new();
    pair.send(&["MULTI", "GET wa:1", "GET wa:2", "MGET wa:1 wa:2", "EXEC"]);
    pair.answer("+OK +QUEUED +QUEUED +QUEUED *3 @wa:9=secret @wa:2=b *2 @wa:1=a !wa:2=b");
    let got = pair.got();
    let parts: Vec<&str> = got.split("\r\n").collect();
    assert_eq!(parts[4], "*3");
    assert!(parts[5].starts_with("-SEALBROKEN "), "{got}");
    assert_eq!(parts[6..8], ["$1", "b"]);
    assert!(parts[8].starts_with("-SEALNOKEY "), "{got}");
    assert_eq!(parts.len(), 10);
    pair.sent();
    pair.assert_usable();
}

#[test]
fn a_reply_of_exec_with_another_number_of_elements_is_unexplained_and_not_delivered() {
    for wrong in [
        "*1 @wa:1=a",
        "*3 @wa:1=a @wa:2=b 'x",
        "*2 @wa:1=a *1 'x",
        "'x",
    ] {
        let mut pair = Pair::new();
        pair.send(&["MULTI", "GET wa:1", "GET wa:2", "EXEC"]);
        pair.answer("+OK +QUEUED +QUEUED");
        pair.got();
        let result = pair.answer_bytes(&from_server(wrong));
        assert_eq!(result, Err(UnexpectedReply::Pairing), "{wrong}");
        assert_eq!(pair.got(), "", "{wrong}");
    }
}

#[test]
fn attributes_before_the_reply_of_exec_are_forwarded() {
    let lines = ["MULTI", "GET wa:1", "EXEC"];
    let reply = "+OK +QUEUED |1 'a :1 *1 |1 'b :2 @wa:1=v";
    at_every_chunking(Pair::resp3, &lines, &lines, reply, reply);
}

#[test]
fn commands_that_change_the_connection_are_refused_inside_and_abort() {
    for line in [
        "HELLO 3",
        "SUBSCRIBE a",
        "UNSUBSCRIBE",
        "MONITOR",
        "CLIENT REPLY OFF",
    ] {
        let mut pair = Pair::new();
        pair.send(&["MULTI", line, "EXEC"]);
        assert_sent(&pair.sent(), &["MULTI", "DISCARD"]);
        pair.answer("+OK +OK");
        let got = pair.got();
        assert!(got.starts_with("+OK\r\n-SEALREFUSED "), "{got}");
        assert!(got.contains("\r\n-EXECABORT "), "{got}");
        pair.assert_usable();
    }
}

#[test]
fn reset_ends_a_transaction() {
    let mut pair = Pair::new();
    pair.send(&["MULTI", "GET wa:1", "RESET", "GET wa:2"]);
    assert_sent(&pair.sent(), &["MULTI", "GET wa:1", "RESET"]);
    pair.answer("+OK +QUEUED +RESET");
    // Only now is it known not to be part of the transaction.
    assert_sent(&pair.sent(), &["GET wa:2"]);
    pair.answer("@wa:2=v");
    assert_eq!(pair.got(), to_client("+OK +QUEUED +RESET @wa:2=v"));
}

#[test]
fn the_state_of_a_transaction_is_bounded() {
    let names = format!("MGET {}", ["wa:1"; 2000].join(" "));
    for (line, times) in [(names.as_str(), 100), ("GET other", 30_000)] {
        let limits = Limits {
            request: 65_536,
            ..Limits::default()
        };
        let mut pair = Pair::with(Mode::On, limits);
        pair.send(&["MULTI"]);
        pair.answer("+OK");
        pair.sent();
        for _ in 0..times {
            pair.send(&[line]);
            if !pair.sent().is_empty() {
                pair.answer("+QUEUED");
            }
        }
        let got = pair.got();
        let refused = got.matches("-SEALREFUSED the transaction").count();
        assert!(
            (times / 3..times).contains(&refused),
            "{refused} of {times}"
        );
        assert!(got.contains("+QUEUED"));
        pair.send(&["EXEC"]);
        assert_sent(&pair.sent(), &["DISCARD"]);
        pair.answer("+OK");
        pair.got();
        pair.assert_usable();
    }
}

#[test]
fn only_the_servers_reply_ends_a_transaction() {
    // In a form that servers refuse, the transaction stays open.
    let mut pair = Pair::new();
    pair.send(&["MULTI", "INCREX wa:1", "SET other x", "DISCARD now", "EXEC"]);
    assert_sent(&pair.sent(), &["MULTI", "SET other x", "DISCARD now"]);
    pair.answer("+OK +QUEUED -ERR~arity");
    assert_sent(&pair.sent(), &["DISCARD"]);
    pair.answer("+OK");
    let got = pair.got();
    assert!(
        got.contains("-EXECABORT Transaction discarded because of: SEALREFUSED INCREX "),
        "{got}"
    );
    pair.assert_usable();

    // A server may refuse the right form as well.
    let mut pair = Pair::new();
    pair.send(&["MULTI", "INCREX wa:1", "SET other x", "DISCARD", "EXEC"]);
    assert_sent(&pair.sent(), &["MULTI", "SET other x", "DISCARD"]);
    pair.answer("+OK +QUEUED -NOPERM~x");
    assert_sent(&pair.sent(), &["DISCARD"]);
    // Nor does it discard it: a refused command must not be executed.
    let result = pair.answer_bytes(b"-NOPERM x\r\n");
    assert_eq!(result, Err(UnexpectedReply::Pairing));
}

#[test]
fn a_transaction_without_refusals_continues_if_its_end_fails() {
    let mut pair = Pair::new();
    pair.send(&["MULTI", "GET wa:1", "DISCARD"]);
    pair.answer("+OK +QUEUED -NOPERM~x");
    assert!(!pair.connection.is_movable());
    pair.send(&["GET wa:2", "EXEC"]);
    pair.answer("+QUEUED *2 @wa:1=a @wa:2=b");
    assert_eq!(
        pair.got(),
        to_client("+OK +QUEUED -NOPERM~x +QUEUED *2 @wa:1=a @wa:2=b")
    );
    assert!(pair.connection.is_traceless());
}

#[test]
fn an_exec_with_arguments_ends_the_transaction_if_the_server_says_so() {
    let mut pair = Pair::new();
    pair.send(&["MULTI", "GET wa:1", "EXEC now", "GET wa:2"]);
    pair.answer("+OK +QUEUED -EXECABORT~x");
    pair.answer("@wa:2=b");
    assert_eq!(pair.got(), to_client("+OK +QUEUED -EXECABORT~x @wa:2=b"));
    assert!(!pair.connection.is_traceless());
    // An older server leaves it open.
    let mut pair = Pair::new();
    pair.send(&["MULTI", "GET wa:1", "EXEC now", "GET wa:2"]);
    pair.answer("+OK +QUEUED -ERR~arity");
    pair.answer("+QUEUED");
    pair.send(&["EXEC"]);
    pair.answer("-EXECABORT~x");
    assert_eq!(
        pair.got(),
        to_client("+OK +QUEUED -ERR~arity +QUEUED -EXECABORT~x")
    );
    pair.sent();
    pair.assert_usable();
}

#[test]
fn the_servers_replies_decide_when_a_connection_may_serve_others() {
    for (lines, replies, traceless) in [
        (&["GET open", "SET wa:1 @wa:1=v"][..], "$-1 +OK", true),
        (&["MULTI", "GET open", "EXEC"], "+OK +QUEUED *1 $-1", true),
        (&["MULTI", "GET open", "DISCARD"], "+OK +QUEUED +OK", true),
        (&["WATCH open", "UNWATCH"], "+OK +OK", true),
        (&["BLPOP open 1"], "*-1", true),
        (&["EVAL code 0"], ":1", true),
        (&["MULTI"], "+OK", false),
        (&["MULTI", "DISCARD now"], "+OK -ERR~x", false),
        (&["WATCH open"], "+OK", false),
        (&["WATCH open", "UNWATCH now"], "+OK -ERR~x", false),
        (&["WATCH open", "UNWATCH"], "+OK -NOPERM~x", false),
        (
            &["WATCH open", "EXEC"],
            "+OK -ERR~EXEC~without~MULTI",
            false,
        ),
        (&["CLIENT TRACKING ON"], "+OK", false),
        (&["CLIENT SETNAME me"], "+OK", false),
        (&["CLIENT GETNAME"], "$-1", false),
        (&["SELECT 0"], "+OK", false),
        (&["AUTH secret"], "-WRONGPASS~x", false),
        (&["HELLO 2"], "*0", false),
        (&["RESET"], "+RESET", false),
        (&["SUBSCRIBE a"], "-NOPERM~x", false),
        (&["FUTURE open"], "+OK", false),
        (&["MULTI now"], "-ERR~x", false),
    ] {
        let mut pair = Pair::new();
        pair.send(lines);
        pair.answer(replies);
        assert_eq!(pair.connection.is_traceless(), traceless, "{lines:?}");
    }
    // A transaction that is held back is sent at its end.
    let mut pair = Pair::new();
    pair.send(&["WATCH open", "MULTI", "EXEC"]);
    assert_sent(&pair.sent(), &["WATCH open"]);
    pair.answer("+OK");
    assert!(!pair.connection.is_traceless());
    assert_sent(&pair.sent(), &["MULTI", "EXEC"]);
    pair.answer("+OK *-1");
    assert!(pair.connection.is_traceless());
    // Nor may one on which a request was streamed that can leave a trace.
    let large = format!("CLIENT NO-EVICT {}", "x".repeat(2 << 20));
    let mut pair = Pair::new();
    pair.send(&[&large]);
    pair.answer("+OK");
    assert!(!pair.connection.is_movable() && !pair.connection.is_traceless());
    let large = format!("SET open {}", "x".repeat(2 << 20));
    let mut pair = Pair::new();
    pair.send(&[&large]);
    pair.answer("+OK");
    assert!(pair.connection.is_traceless());
}

#[test]
fn a_reset_that_servers_refuse_resets_nothing() {
    let mut pair = Pair::resp3();
    pair.send(&["RESET now", "GET wa:1"]);
    assert_sent(&pair.sent(), &["RESET now"]);
    pair.answer("-ERR~arity");
    pair.answer("@wa:1=v");
    assert_eq!(pair.got(), to_client("-ERR~arity @wa:1=v"));
    assert_eq!(pair.connection.protocol(), waxseal_proxy::Protocol::Resp3);
}

#[test]
fn queued_commands_count_also_if_their_replies_were_waited_for() {
    let mut pair = Pair::new();
    pair.send(&["MULTI", "CLIENT TRACKING ON", "GET wa:1", "EXEC"]);
    pair.answer("+OK +QUEUED");
    pair.answer("+QUEUED");
    pair.answer("*2 +OK @wa:1=v");
    assert_eq!(pair.got(), to_client("+OK +QUEUED +QUEUED *2 +OK @wa:1=v"));
    pair.sent();
    pair.exchange("CLIENT TRACKING ON", "+OK", "+OK");
    pair.assert_usable();
}

#[test]
fn a_refused_transaction_with_replies_off_ends() {
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&[
        "CLIENT REPLY OFF",
        "MULTI",
        "INCREX wa:1",
        "EXEC",
        "CLIENT REPLY ON",
    ]);
    assert_sent(&pair.sent(), &["MULTI", "DISCARD"]);
    pair.answer("+OK +OK");
    assert_sent(&pair.sent(), &["CLIENT REPLY ON"]);
    pair.answer("+OK");
    assert_eq!(pair.got(), "+OK\r\n");
    // No command of it is left to be executed.
    pair.exchange("HELLO 2", "*0", "*0");
    pair.assert_usable();
}

#[test]
fn a_reply_under_way_may_end_a_transaction() {
    let mut pair = Pair::new();
    pair.send(&["MULTI", "DISCARD"]);
    pair.answer("+OK");
    pair.answer_bytes(b"-NOPERM no").unwrap();
    pair.send(&["HELLO 3"]);
    assert_sent(&pair.sent(), &["MULTI", "DISCARD"]);
    pair.answer_bytes(b" rights\r\n").unwrap();
    // Within the transaction it is refused.
    assert!(pair.sent().is_empty());
    assert!(
        pair.got()
            .contains("-SEALREFUSED HELLO inside a transaction")
    );
}

#[test]
fn a_discard_that_fails_leaves_the_transaction_open() {
    let mut pair = Pair::new();
    pair.send(&["MULTI", "DISCARD", "GET other"]);
    pair.answer("+OK -NOPERM~x");
    pair.sent();
    pair.send(&["HELLO 3"]);
    // It is inside the transaction, and not sent.
    assert!(pair.sent().is_empty());
    pair.answer("+QUEUED");
    assert!(
        pair.got()
            .contains("-SEALREFUSED HELLO inside a transaction")
    );
}
