//! Requests and replies that are too large: refused with an error if they must be held, otherwise streamed.

use waxseal_core::Mode;
use waxseal_proxy::{Limits, ServerSettings};

use crate::pair::{Pair, from_server, protection, request, requests, to_client};

fn small() -> Limits {
    Limits {
        value: 100,
        request: 400,
        pending: 8,
        ..Limits::default()
    }
}

fn pair() -> Pair {
    Pair::with(Mode::On, small())
}

#[test]
fn a_value_that_is_too_large_is_refused_and_none_of_it_is_sent() {
    let long = "v".repeat(101);
    let line = format!("SET wa:1 {long}");
    for size in [1, 7, 1000] {
        let mut pair = pair();
        request(&line)
            .chunks(size)
            .for_each(|chunk| pair.bytes(chunk));
        assert!(pair.sent().is_empty());
        let got = pair.got();
        assert!(
            got.starts_with("-SEALREFUSED SET: ") && got.ends_with("\r\n"),
            "{got}"
        );
        assert!(!got.contains("vvv"));
        pair.assert_usable();
    }
}

#[test]
fn a_name_that_every_field_authenticates_is_bounded() {
    let mut pair = Pair::with(Mode::On, Limits::default());
    let name = |length: usize| format!("wa:{}", "n".repeat(length - 3));
    pair.bytes(&request(&format!(
        "HSET {} field value",
        name(64 * 1024 + 1)
    )));
    assert!(pair.sent().is_empty());
    let got = pair.got();
    assert!(
        got.starts_with("-SEALREFUSED HSET: nothing was written"),
        "{got}"
    );
    pair.bytes(&request(&format!("HSET {} field value", name(64 * 1024))));
    assert!(!pair.sent().is_empty());
}

#[test]
fn a_request_that_is_too_large_to_judge_is_refused_and_none_of_it_is_sent() {
    let line = format!("MSET wa:1 v {}", ["other", "clear"].repeat(40).join(" "));
    for size in [1, 7, 1000] {
        let mut pair = pair();
        request(&line)
            .chunks(size)
            .for_each(|chunk| pair.bytes(chunk));
        let got = pair.got();
        if size < 1000 {
            assert!(pair.sent().is_empty());
            assert!(got.starts_with("-SEALREFUSED MSET: "), "{got}");
        } else {
            // It was received in one piece: nothing had to be held.
            pair.sent();
            pair.answer("+OK");
            pair.got();
        }
        pair.assert_usable();
    }
}

#[test]
fn an_inline_line_is_held_at_any_limit_and_is_one_request() {
    for request in [1, 30, 400] {
        let limits = Limits {
            request,
            value: 100,
            ..Limits::default()
        };
        let line = format!("NOSUCH {} SET wa:1 secret\r\n", "x".repeat(500));
        let mut pair = Pair::with(Mode::On, limits);
        for chunk in line.as_bytes().chunks(100) {
            pair.bytes(chunk);
            assert!(pair.got().len() < 500);
        }
        assert!(!String::from_utf8_lossy(&pair.sent()).contains("secret"));
        assert!(!pair.connection.is_in_a_request());
    }
}

#[test]
fn the_smallest_limits_end_nothing_and_repeat_nothing() {
    let limits = Limits {
        value: 1,
        request: 1,
        ..Limits::default()
    };
    let mut pair = Pair::with(Mode::On, limits);
    for byte in request("GET wa:1") {
        pair.bytes(&[byte]);
    }
    let got = pair.got();
    assert_eq!(got.matches("-SEALREFUSED ").count(), 1, "{got}");
    assert!(!pair.connection.is_in_a_request());
}

#[test]
fn large_arguments_of_unprotected_records_are_streamed_unchanged() {
    let long = "v".repeat(5000);
    let lines = [
        &*format!("SET other {long}"),
        &format!("APPEND other {long}"),
        &format!("HSET other f {long} g x"),
        &format!("PUBLISH channel {long}"),
    ];
    for size in [1, 13, 100_000] {
        let mut pair = pair();
        let bytes = requests(&lines);
        bytes.chunks(size).for_each(|chunk| pair.bytes(chunk));
        assert_eq!(pair.sent(), bytes);
        pair.answer("+OK :1 :2 :0");
        assert_eq!(pair.got(), "+OK\r\n:1\r\n:2\r\n:0\r\n");
        pair.assert_usable();
    }
}

#[test]
fn a_malformed_streamed_request_ends_the_connection_with_an_error() {
    let mut pair = pair();
    pair.send(&["GET wa:1"]);
    let mut bytes = request(&format!("SET other {}", "v".repeat(5000)));
    let end = bytes.len() - 2;
    bytes.truncate(end);
    pair.bytes(&bytes);
    assert!(pair.connection.is_streaming());
    pair.bytes(b"xx");
    assert!(pair.ended);
    // The server answers only complete requests.
    pair.answer("@wa:1=v");
    let got = pair.got();
    let error = "$1\r\nv\r\n-ERR Protocol error: ";
    assert!(got.starts_with(error), "{got}");
    assert!(pair.connection.has_all_replies());
}

#[test]
fn only_the_reply_to_a_streamed_request_is_skipped() {
    let mut pair = pair().with_reply_modes();
    let mut bytes = requests(&["GET wa:1", "CLIENT REPLY SKIP"]);
    bytes.extend(request(&format!("SET other {}", "v".repeat(5000))));
    let end = bytes.len() - 2;
    bytes.truncate(end);
    pair.bytes(&bytes);
    pair.bytes(b"xx");
    assert!(pair.ended);
    pair.answer("@wa:1=v");
    let got = pair.got();
    assert!(got.starts_with("$1\r\nv\r\n-ERR Protocol error: "), "{got}");
}

#[test]
fn long_names_of_requests_without_a_reply_are_bounded() {
    let limits = Limits {
        request: 64 * 1024,
        ..Limits::default()
    };
    let name = "n".repeat(1000);
    for line in [
        format!("GET wa:{name}"),
        format!("HGET wa:1 {name}"),
        format!("HMGET wa:{name} f"),
        format!("STRLEN wa:{name}"),
        format!("GETRANGE wa:{name} 0 1"),
        format!("LRANGE wa:{name} 0 1"),
        format!("HGETALL wa:{name}"),
        format!("BLPOP wa:{name} 0"),
        format!("APPEND wa:{name} x"),
    ] {
        let mut pair = Pair::with(Mode::On, limits);
        // A refused request has its turn behind this one.
        pair.send(&["GET open"]);
        for _ in 0..1000 {
            pair.send(&[&line]);
        }
        let sent = pair.sent().len();
        assert!(sent < 200 * 1024, "{line}: {sent}");
    }
}

#[test]
fn a_refused_large_value_discards_its_transaction() {
    let mut pair = pair();
    pair.send(&["MULTI", &format!("SET wa:1 {}", "v".repeat(101)), "EXEC"]);
    assert_eq!(pair.sent(), requests(&["MULTI", "DISCARD"]));
    pair.answer("+OK +OK");
    let got = pair.got();
    assert!(got.starts_with("+OK\r\n-SEALREFUSED SET: "), "{got}");
    assert!(got.contains("\r\n-EXECABORT "));
}

#[test]
fn a_reply_that_is_too_large_to_hold_is_an_error_in_its_place() {
    // Names and lengths may be beside the value.
    let long = from_server(&format!("@wa:1={}", "v".repeat(80_000)));
    let mut pair = pair();
    pair.send(&["GET other", "GET wa:1", "GET wa:2"]);
    pair.answer("'x");
    for chunk in long.chunks(1000) {
        pair.answer_bytes(chunk).unwrap();
    }
    pair.answer("@wa:2=w");
    let got = pair.got();
    assert!(
        got.starts_with("$1\r\nx\r\n-SEALREFUSED GET: the reply "),
        "{got}"
    );
    assert!(got.ends_with(&to_client("@wa:2=w")));
    assert!(got.len() < 400);
}

#[test]
fn large_replies_without_protected_values_are_streamed_unchanged() {
    let long = from_server(&format!("*2 '{} :1", "v".repeat(80_000)));
    let mut pair = pair();
    // The server did not open the transaction: the reply is received at once.
    pair.send(&["LRANGE other 0 -1", "MULTI", "LRANGE other 0 -1"]);
    for bytes in [&long[..], b"-NOAUTH x\r\n", &long] {
        for chunk in bytes.chunks(1000) {
            pair.answer_bytes(chunk).unwrap();
        }
    }
    let expected = [&long[..], b"-NOAUTH x\r\n", &long].concat();
    assert!(pair.got().as_bytes() == expected);
}

#[test]
fn the_number_of_waiting_requests_is_bounded() {
    let mut pair = pair();
    pair.send(&["GET wa:1"; 20]);
    assert_eq!(pair.sent(), requests(&["GET wa:1"; 8]));
    pair.answer("$-1");
    assert_eq!(pair.sent(), requests(&["GET wa:1"]));
}

#[test]
fn a_hundred_thousand_requests_may_wait_for_their_replies() {
    let mut pair = Pair::new();
    let lines = requests(&["GET other"; 100_000]);
    pair.bytes(&lines);
    assert!(pair.sent() == lines);
    assert!(pair.connection.retained_bytes() > 100_000);
    pair.answer_bytes(&b"$-1\r\n".repeat(100_000)).unwrap();
    assert_eq!(pair.got().len(), 500_000);
    assert_eq!(pair.connection.retained_bytes(), 0);
    pair.assert_usable();
}

#[test]
fn a_value_that_the_server_would_not_accept_is_refused_and_nothing_is_sent() {
    for (settings, name) in [
        (
            ServerSettings {
                max_bulk: Some(200),
                ..ServerSettings::default()
            },
            "proto-max-bulk-len",
        ),
        (
            ServerSettings {
                query_buffer: Some(202),
                ..ServerSettings::default()
            },
            "client-query-buffer-limit",
        ),
    ] {
        let protection = protection(Mode::On);
        protection.update_server_limits(&settings);
        let mut pair = Pair::over(protection, Limits::default());
        let (fits, long) = ("v".repeat(50), "v".repeat(201));
        pair.send(&[&format!("SET wa:1 {fits}")]);
        assert!(!pair.sent().is_empty());
        pair.answer("+OK");
        pair.got();
        for line in [
            format!("SET wa:1 {long}"),
            format!("HSET wa:1 f v g {long}"),
            format!("MSET wa:1 v other x wa:2 {long}"),
        ] {
            pair.send(&[&line]);
            assert!(pair.sent().is_empty(), "{line}");
            let got = pair.got();
            assert!(got.contains("nothing was written: a value takes "), "{got}");
            let accepts = format!("the server accepts at most 200 ({name})");
            assert!(
                got.starts_with("-SEALREFUSED ") && got.contains(&accepts),
                "{got}"
            );
            pair.assert_usable();
        }
        pair.send(&["MULTI", &format!("SET wa:1 {long}"), "EXEC"]);
        assert_eq!(pair.sent(), requests(&["MULTI", "DISCARD"]));
        pair.answer("+OK +OK");
        assert!(pair.got().contains("\r\n-EXECABORT "));
    }
}

#[test]
fn pending_replies_are_bounded_by_bytes_as_well() {
    let limits = Limits {
        request: 2048,
        ..Limits::default()
    };
    let mut pair = Pair::with(Mode::On, limits);
    let line = format!("MGET {}", ["wa:1"; 40].join(" "));
    pair.send(&[line.as_str(); 100]);
    let sent = pair.sent().len() / request(&line).len();
    assert!((1..10).contains(&sent), "{sent} requests went out");
}

#[test]
fn a_long_name_is_remembered_once_for_all_its_fields() {
    let name = format!("wa:{}", "n".repeat(60_000));
    let line = format!("HMGET {name} {}", ["f"; 60_000].join(" "));
    let mut pair = Pair::new();
    // Sixty thousand copies of the name would be three gigabytes.
    pair.send(&[&line]);
    pair.answer("-WRONGTYPE~x");
    assert_eq!(pair.got(), "-WRONGTYPE x\r\n");
}

#[test]
fn bytes_that_are_not_a_request_end_the_conversation() {
    for bytes in [
        &b"*1\r\n+OK\r\n"[..],
        b"*x\r\n",
        b"*1\r\n$-5\r\n",
        b"SET 'a\r\n",
        b"*1\r\n$1\r\nabc",
    ] {
        let mut pair = pair();
        pair.send(&["GET other"]);
        pair.bytes(bytes);
        assert!(pair.ended);
        pair.answer("'x");
        let got = pair.got();
        assert!(got.starts_with("$1\r\nx\r\n-ERR "), "{got}");
    }
}
