//! What a transaction writes that is sent again: only where the record holds what it was computed from, and each value as
//! seldom as possible.

use waxseal_core::Mode;
use waxseal_proxy::Limits;

use crate::pair::{Pair, arguments, assert_sent, text};
use crate::replayed::{assert_executed, queue};

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";

/// Queues these commands and reads this at `EXEC`.
fn begin(pair: &mut Pair, lines: &[&str], queued: &[&str], read: &str) {
    queue(pair, lines, queued);
    pair.send(&["EXEC"]);
    pair.sent();
    pair.answer("+OK +OK");
    pair.answer(read);
}

#[test]
fn what_another_value_is_found_for_is_not_written_and_is_an_error() {
    let lines = [
        "GETSET wa:1 0",
        "INCR wa:1",
        "DECRBY wa:1 5",
        "EXPIRE wa:1 60",
        "INCR wa:1",
    ];
    let queued = [
        "GETSET wa:1 @wa:1=0",
        "gET wa:1",
        "gET wa:1",
        "EXPIRE wa:1 60",
        "gET wa:1",
    ];
    let executed = [
        "GETSET wa:1 @wa:1=0",
        "eVAL * 1 wa:1 1 @wa:1=0 @wa:1=-4 KEEPTTL ",
        "eXISTS wa:1",
        "EXPIRE wa:1 60",
        "eVAL * 1 wa:1 1 @wa:1=-4 @wa:1=-3 KEEPTTL ",
    ];
    let unforeseen = |command: &str| format!("-SEALREFUSED {command}: it changed nothing: ");
    for (first, error) in [
        ("-WRONGTYPE~no", None),
        ("*1 @wa:1=10", Some(unforeseen("INCR"))),
        ("*1 $-1", Some(unforeseen("INCR"))),
    ] {
        let mut pair = Pair::new();
        begin(&mut pair, &lines, &queued, "@wa:1=10");
        assert_executed(&mut pair, &executed);
        pair.answer(&format!("*5 -WRONGTYPE~no {first} :1 :1 {first}"));
        let got = pair.got();
        let replies: Vec<&str> = got.split_inclusive("\r\n").collect();
        assert_eq!(replies[0], "*5\r\n");
        assert_eq!(replies[4], ":1\r\n");
        for (at, command) in [(2, "INCR"), (3, "DECRBY"), (5, "INCR")] {
            let reply = replies[at];
            match &error {
                None => assert_eq!(reply, WRONG_TYPE),
                Some(_) => assert!(reply.starts_with(&unforeseen(command)), "{reply}"),
            }
        }
        pair.assert_usable();
    }
}

#[test]
fn what_changes_nothing_is_compared_as_well_behind_a_command_that_may_fail() {
    for (lines, queued, read, executed) in [
        (
            ["SETEX wa:1 60 x", "INCR wa:1"],
            ["SETEX wa:1 60 @wa:1=x", "gET wa:1"],
            "@wa:1=7",
            "eVAL * 1 wa:1 1 @wa:1=x",
        ),
        (
            ["HSET wa:1 f x", "HINCRBY wa:1 f 1"],
            ["HSET wa:1 f @wa:1/f=x", "hGET wa:1 f"],
            "$-1",
            "eVAL * 1 wa:1 f 1 @wa:1/f=x",
        ),
    ] {
        let mut pair = Pair::new();
        begin(&mut pair, &lines, &queued, read);
        assert_executed(&mut pair, &[queued[0], executed]);
        pair.answer("*2 -ERR~time *1 $-1");
        let got = pair.got();
        assert!(got.starts_with("*2\r\n-ERR time\r\n-SEALREFUSED "), "{got}");
        pair.assert_usable();
    }
}

#[test]
fn a_command_that_the_server_refuses_when_it_is_executed_leaves_the_value() {
    for line in [
        "SETEX wa:1 0 @wa:1=5",
        "PSETEX wa:1 -5 @wa:1=5",
        "SET wa:1 @wa:1=5 EX 0",
        "SET wa:1 @wa:1=5 EX 9223372036854775807",
        "SET wa:1 @wa:1=5 EX 10 PX 10",
        "SET wa:1 @wa:1=5 NX XX",
        "SET wa:1 @wa:1=5 KEEPTTL EX 10",
    ] {
        let mut pair = Pair::new();
        let sent = line.replace("@wa:1=5", "5");
        begin(
            &mut pair,
            &[&sent, "INCR wa:1"],
            &[line, "gET wa:1"],
            "@wa:1=10",
        );
        let executed = "eVAL * 1 wa:1 1 @wa:1=10 @wa:1=11 KEEPTTL ";
        assert_executed(&mut pair, &[line, executed]);
        pair.answer("*2 -ERR~no :1");
        assert_eq!(pair.got(), "*2\r\n-ERR no\r\n:11\r\n", "{line}");
    }
}

#[test]
fn a_record_has_one_type() {
    // A field where nothing is, and then the record as a string.
    let mut pair = Pair::new();
    let lines = ["HINCRBY wa:1 f 3", "INCR wa:1", "DEL wa:1", "INCR wa:1"];
    let queued = ["hGET wa:1 f", "gET wa:1", "DEL wa:1", "gET wa:1"];
    queue(&mut pair, &lines, &queued);
    pair.send(&["EXEC"]);
    assert_sent(
        &pair.sent(),
        &["DISCARD", "WATCH wa:1", "hGET wa:1 f", "gET wa:1"],
    );
    pair.answer("+OK +OK $-1 $-1");
    assert_executed(
        &mut pair,
        &[
            "hSET wa:1 f @wa:1/f=3",
            "eXISTS wa:1",
            "DEL wa:1",
            "eVAL * 1 wa:1 0  @wa:1=1 KEEPTTL ",
        ],
    );
    pair.answer("*4 :1 :1 :1 :1");
    assert_eq!(pair.got(), format!("*4\r\n:3\r\n{WRONG_TYPE}:1\r\n:1\r\n"));
    pair.assert_usable();
    // And the other way.
    for line in ["RPUSH wa:1 @wa:1=x", "HSET wa:1 f @wa:1/f=3"] {
        let sent = line.replace("@wa:1=", "").replace("@wa:1/f=", "");
        let mut pair = Pair::new();
        let line = line.split(' ').next().unwrap();
        pair.send(&["MULTI", &sent, "INCR wa:1"]);
        let queued = arguments(&pair.sent());
        assert_eq!(text(&queued[1][0]), line);
        pair.answer("+OK +QUEUED +QUEUED");
        pair.send(&["EXEC"]);
        pair.sent();
        pair.answer("+OK +OK $-1");
        let sent = arguments(&pair.sent());
        assert_eq!(text(&sent[2][0]), "eVAL", "{line}");
        assert!(sent[2].len() <= 6, "it writes nothing");
        pair.answer("+OK +QUEUED +QUEUED *2 :1 -WRONGTYPE~no");
        let got = pair.got();
        assert!(got.ends_with(WRONG_TYPE), "{got}");
        pair.assert_usable();
    }
}

#[test]
fn the_queue_is_bounded_before_anything_is_sent() {
    let limits = Limits {
        value: 256 * 1024,
        request: 512 * 1024,
        ..Limits::default()
    };
    let value = format!("@wa:1={}", "x".repeat(200 * 1024));
    for (count, is_refused) in [(1, false), (40, true)] {
        let mut pair = Pair::with(Mode::On, limits);
        let lines = ["SETBIT wa:1 5 1", "EXPIRE wa:1 60"].repeat(count);
        let queued = ["gET wa:1", "EXPIRE wa:1 60"].repeat(count);
        begin(&mut pair, &lines, &queued, &value);
        let sent = arguments(&pair.sent());
        if !is_refused {
            assert_eq!(sent.len(), 4);
            continue;
        }
        assert_eq!(text(&sent[0][0]), "UNWATCH");
        assert_eq!(sent.len(), 1);
        pair.answer("+OK");
        let got = pair.got();
        assert!(got.starts_with("-SEALREFUSED the transaction"), "{got}");
        pair.assert_usable();
    }
    // Without a command between them they are written at once.
    let mut pair = Pair::with(Mode::On, limits);
    let lines = ["SETBIT wa:1 5 1", "SETBIT wa:1 6 1"].repeat(30);
    let queued = ["gET wa:1"; 60];
    begin(&mut pair, &lines, &queued, &value);
    let sent = arguments(&pair.sent());
    let words: Vec<String> = sent.iter().map(|request| text(&request[0])).collect();
    assert_eq!(words[..3], ["MULTI", "sET", "eXISTS"]);
    assert_eq!(words[2..61], ["eXISTS"; 59]);
}

/// Quadratic time would be minutes.
#[test]
fn a_long_transaction_takes_time_in_proportion() {
    const PAIRS: usize = 20_000;
    let mut pair = Pair::new();
    let lines = ["INCR wa:1", "EXPIRE wa:1 60"].repeat(PAIRS);
    let queued = ["gET wa:1", "EXPIRE wa:1 60"].repeat(PAIRS);
    begin(&mut pair, &lines, &queued, "@wa:1=0");
    let sent = arguments(&pair.sent());
    assert_eq!(sent.len(), PAIRS * 2 + 2);
    pair.answer("+OK");
    pair.answer("+QUEUED ".repeat(PAIRS * 2).trim_end());
    let replies = "\u{20}:1 :1".repeat(PAIRS);
    pair.answer(&format!("*{}{replies}", PAIRS * 2));
    assert!(pair.got().ends_with(&format!(":{PAIRS}\r\n:1\r\n")));
    // And many values.
    let mut pair = Pair::new();
    let lines: Vec<String> = (0..PAIRS)
        .map(|it| format!("HINCRBY wa:1 f{it} 1"))
        .collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let queued: Vec<String> = (0..PAIRS).map(|it| format!("hGET wa:1 f{it}")).collect();
    let queued: Vec<&str> = queued.iter().map(String::as_str).collect();
    queue(&mut pair, &lines, &queued);
    pair.send(&["EXEC"]);
    assert_eq!(arguments(&pair.sent()).len(), PAIRS + 2);
    pair.answer("+OK +OK");
    pair.answer("$-1 ".repeat(PAIRS).trim_end());
    assert_eq!(arguments(&pair.sent()).len(), PAIRS + 2);
}
