//! Commands that are answered from the whole value, compared with the simplest implementation.

use crate::pair::{Pair, Side, assert_sent, at_every_chunking, reply, text};

#[test]
fn lengths_are_those_of_the_opened_values() {
    let cases = [
        ("STRLEN wa:1", "GET wa:1", "@wa:1=hello"),
        ("HSTRLEN wa:h f", "HGET wa:h f", "@wa:h/f=hello"),
    ];
    for begin in [Pair::new as fn() -> Pair, Pair::resp3] {
        for (line, sent, stored) in cases {
            at_every_chunking(begin, &[line], &[sent], stored, ":5");
            for (answer, got) in [
                ("$-1", ":0"),
                ("_", ":0"),
                ("'", ":0"),
                ("-WRONGTYPE~x", "-WRONGTYPE~x"),
            ] {
                at_every_chunking(begin, &[line], &[sent], answer, got);
            }
        }
    }
}

/// The bytes between two positions, each counted from either end.
fn naive(value: &str, start: i64, end: i64) -> String {
    let len = i64::try_from(value.len()).unwrap();
    // Redis compares both as written first, and clamps positions before the first byte.
    if start < 0 && end < 0 && start > end {
        return String::new();
    }
    let location = |at: i64| {
        (if at < 0 {
            i128::from(at) + i128::from(len)
        } else {
            i128::from(at)
        })
        .max(0)
    };
    let (start, end) = (location(start), location(end));
    let request = value.bytes().enumerate().filter(|(at, _)| {
        let at = i128::try_from(*at).unwrap();
        start <= at && at <= end
    });
    request.map(|(_, byte)| char::from(byte)).collect()
}

#[test]
fn ranges_are_those_of_getrange() {
    let mut numbers: Vec<i64> = (-8..=8).collect();
    numbers.extend([i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX]);
    for value in ["", "a", "hello"] {
        let stored = match value {
            "" => reply("'", Side::Server),
            value => reply(&format!("@wa:1={value}"), Side::Server),
        };
        let mut pair = Pair::new();
        for start in &numbers {
            for end in &numbers {
                for command in ["GETRANGE", "SUBSTR"] {
                    pair.send(&[&format!("{command} wa:1 {start} {end}")]);
                    assert_sent(&pair.sent(), &["GET wa:1"]);
                    pair.answer_bytes(&stored).unwrap();
                    let part = naive(value, *start, *end);
                    let expected = text(&reply(&format!("'{part}"), Side::Client));
                    assert_eq!(pair.got(), expected, "{value:?} {start} {end}");
                }
            }
        }
    }
}

#[test]
fn a_range_of_a_missing_value_is_empty_and_an_invalid_number_is_sent_to_the_server() {
    let mut pair = Pair::new();
    for nothing in ["$-1", "_"] {
        pair.send(&["GETRANGE wa:1 0 -1"]);
        pair.answer(nothing);
        assert_eq!(pair.got(), "$0\r\n\r\n");
    }
    pair.sent();
    pair.exchange(
        "GETRANGE wa:1 zero 1",
        "-ERR~not~an~integer",
        "-ERR~not~an~integer",
    );
}
