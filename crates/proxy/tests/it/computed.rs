//! Commands that compute on a value: it is read, opened, computed and sealed, and written if it has not changed.

use std::sync::Arc;

use waxseal_core::Mode;
use waxseal_proxy::Limits;

use crate::keyed::Conversation;
use crate::pair::{
    KEY, Pair, arguments, assert_sent, envelope, from_server, request, text, to_client,
};

/// A write of a computed value, as it was sent.
struct Write {
    name: String,
    /// What must be stored.
    expected: Option<Vec<u8>>,
    new: Vec<u8>,
    mode: String,
}

/// The only request that was sent, which writes a string.
#[track_caller]
fn written(pair: &mut Pair) -> Write {
    let mut sent = arguments(&pair.sent());
    assert_eq!(sent.len(), 1, "one request");
    let sent = sent.pop().unwrap();
    assert_eq!(text(&sent[0]), "eVAL");
    assert_eq!(text(&sent[2]), "1");
    Write {
        name: text(&sent[3]),
        expected: (sent[4] == b"1").then(|| sent[5].clone()),
        new: sent[6].clone(),
        mode: format!("{} {}", text(&sent[7]), text(&sent[8])),
    }
}

/// The value in an envelope for a record.
#[track_caller]
fn opened(name: &str, stored: &[u8]) -> String {
    let binding = waxseal_core::Binding::record(name.as_bytes());
    let sealer = crate::pair::sealer(KEY, Mode::Required);
    text(&sealer.open(stored, binding).unwrap().unwrap().value)
}

#[test]
fn the_result_replaces_the_bytes_that_were_read() {
    for (line, before, after, mode, reply) in [
        ("INCR wa:1", "41", "42", "KEEPTTL ", ":42"),
        ("decrby wa:1 2", "41", "39", "KEEPTTL ", ":39"),
        ("INCRBYFLOAT wa:1 0.5", "41", "41.5", "KEEPTTL ", "'41.5"),
        ("APPEND wa:1 0", "41", "410", "KEEPTTL ", ":3"),
        ("SETRANGE wa:1 1 99", "41", "499", "KEEPTTL ", ":3"),
        ("SETBIT wa:1 7 1", "4", "5", "KEEPTTL ", ":0"),
    ] {
        let mut pair = Pair::new();
        pair.send(&[line, "PING"]);
        assert_sent(&pair.sent(), &["gET wa:1"]);
        let stored = envelope(&format!("wa:1={before}"), KEY);
        pair.answer_bytes(
            &[
                format!("${}\r\n", stored.len()).as_bytes(),
                &stored,
                b"\r\n",
            ]
            .concat(),
        )
        .unwrap();
        let write = written(&mut pair);
        assert_eq!(
            (write.name.as_str(), write.expected),
            ("wa:1", Some(stored))
        );
        assert_eq!(opened("wa:1", &write.new), after, "{line}");
        assert_eq!(write.mode, mode);
        assert_eq!(pair.got(), "");
        pair.answer(":1");
        assert_eq!(pair.got(), to_client(reply), "{line}");
        assert_sent(&pair.sent(), &["PING"]);
        pair.answer("+PONG");
        assert_eq!(pair.got(), "+PONG\r\n");
        pair.assert_usable();
    }
}

#[test]
fn a_value_that_does_not_exist_is_created_only_where_there_is_none() {
    let mut pair = Pair::new();
    pair.send(&["INCR wa:1"]);
    pair.sent();
    pair.answer("$-1");
    let write = written(&mut pair);
    assert_eq!(
        (write.expected, opened("wa:1", &write.new)),
        (None, "1".to_owned())
    );
    // Another client was quicker: its value is in the answer.
    pair.answer("*1 @wa:1=9");
    let write = written(&mut pair);
    assert_eq!(opened("wa:1", &write.expected.unwrap()), "9");
    assert_eq!(opened("wa:1", &write.new), "10");
    // And it was deleted.
    pair.answer("*1 $-1");
    let write = written(&mut pair);
    assert_eq!(
        (write.expected, opened("wa:1", &write.new)),
        (None, "1".to_owned())
    );
    assert_eq!(pair.got(), "");
    pair.answer(":1");
    assert_eq!(pair.got(), ":1\r\n");
    pair.assert_usable();
}

#[test]
fn a_value_that_was_just_written_is_not_read_again() {
    let mut pair = Pair::new();
    pair.send(&["INCR wa:1"]);
    pair.sent();
    pair.answer("$-1");
    let first = written(&mut pair);
    pair.answer(":1");
    assert_eq!(pair.got(), ":1\r\n");
    pair.send(&["INCR wa:1"]);
    let second = written(&mut pair);
    assert_eq!(second.expected, Some(first.new));
    assert_eq!(opened("wa:1", &second.new), "2");
    pair.answer(":1");
    assert_eq!(pair.got(), ":2\r\n");
    // Where nothing is written, nothing would tell that it has been replaced: it is read.
    pair.send(&["DECRBY wa:1 9223372036854775807"]);
    let write = written(&mut pair);
    pair.answer("*1 'x");
    assert!(pair.got().starts_with("-ERR value is not an integer"));
    drop(write);
    pair.send(&["SET wa:1 x"]);
    pair.sent();
    pair.answer("+OK");
    pair.got();
    pair.send(&["APPEND wa:2 x"]);
    pair.sent();
    pair.answer("$-1");
    pair.sent();
    pair.answer(":1");
    pair.got();
    pair.send(&["INCR wa:2"]);
    assert_sent(&pair.sent(), &["gET wa:2"]);
    pair.answer("'5");
    pair.sent();
    pair.answer(":1");
    assert_eq!(pair.got(), ":6\r\n");
    // A field is not its record.
    pair.send(&["HINCRBY wa:1 f 5"]);
    assert_sent(&pair.sent(), &["hGET wa:1 f"]);
    pair.answer("@wa:1/f=37");
    let sent = arguments(&pair.sent()).pop().unwrap();
    let words: Vec<String> = sent.iter().map(|it| text(it)).collect();
    assert_eq!(
        (&words[3..6], &words[8]),
        (
            &["wa:1".to_owned(), "f".into(), "1".into()][..],
            &"0".into()
        )
    );
    let binding = waxseal_core::Binding::field(b"wa:1", b"f");
    let new = crate::pair::sealer(KEY, Mode::Required).open(&sent[7], binding);
    assert_eq!(text(&new.unwrap().unwrap().value), "42");
    pair.answer(":1");
    assert_eq!(pair.got(), ":42\r\n");
}

#[test]
fn an_error_or_a_result_that_changes_nothing_writes_nothing() {
    for (line, stored, got) in [
        (
            "INCR wa:1",
            "@wa:1=x",
            "-ERR value is not an integer or out of range\r\n",
        ),
        (
            "INCR wa:1",
            "-WRONGTYPE~no",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("INCR wa:1", "-LOADING~wait", "-LOADING wait\r\n"),
        (
            "INCR wa:1",
            "-ERR~Can't~execute~'get':~no",
            "-ERR Can't execute 'incr': no\r\n",
        ),
        ("INCR wa:1", "!wa:1=1", "-SEALNOKEY INCR: "),
        ("INCR wa:1", "@wa:2=1", "-SEALBROKEN INCR: "),
        (
            "INCR wa:1",
            "-NOPERM~no",
            "-NOPERM INCR: the value is read, computed by this proxy and written back, for which this user needs GET, SET, DEL and EVAL on the record\r\n",
        ),
        ("SETRANGE wa:1 0 ", "@wa:1=abc", ":3\r\n"),
    ] {
        let mut pair = Pair::new();
        pair.send(&[line]);
        assert_sent(&pair.sent(), &["gET wa:1"]);
        pair.answer(stored);
        assert_sent(&pair.sent(), &[]);
        let actual = pair.got();
        assert!(actual.starts_with(got), "{line} {stored}: {actual}");
        pair.assert_usable();
    }
    // An error of the write is the command's.
    let mut pair = Pair::new();
    pair.send(&["APPEND wa:1 x"]);
    pair.answer("$-1");
    pair.sent();
    pair.answer("-OOM~command~not~allowed");
    assert_eq!(pair.got(), "-OOM command not allowed\r\n");
    pair.assert_usable();
}

#[test]
fn plain_values_are_sealed_by_the_result_unless_they_are_refused() {
    let mut pair = Pair::new();
    pair.send(&["INCR wa:1"]);
    pair.answer("'41");
    pair.sent();
    let mut pair = Pair::new();
    pair.send(&["INCR wa:1"]);
    pair.sent();
    pair.answer("'41");
    let write = written(&mut pair);
    assert_eq!(write.expected, Some(b"41".to_vec()));
    assert_eq!(opened("wa:1", &write.new), "42");
    let mut pair = Pair::with(Mode::Required, Limits::default());
    pair.send(&["INCR wa:1"]);
    pair.answer("'41");
    assert!(pair.got().starts_with("-SEALPLAIN INCR: "));
    let mut pair = Pair::with(Mode::Off, Limits::default());
    pair.send(&["INCR wa:1"]);
    pair.sent();
    pair.answer("@wa:1=41");
    assert_eq!(text(&written(&mut pair).new), "42");
}

#[test]
fn commands_that_only_read_are_sent_as_reads() {
    for (line, sent, stored, got) in [
        ("GETBIT wa:1 1", "gET wa:1", "@wa:1=a", ":1"),
        ("BITCOUNT wa:1", "gET wa:1", "@wa:1=a", ":3"),
        ("BITCOUNT wa:1", "gET wa:1", "$-1", ":0"),
        ("BITPOS wa:1 1", "gET wa:1", "'a", ":1"),
        ("BITFIELD_RO wa:1 GET u8 0", "gET wa:1", "@wa:1=a", "*1 :97"),
        ("BITFIELD wa:1 GET u8 0", "gET wa:1", "@wa:1=a", "*1 :97"),
        (
            "GETBIT wa:1 x",
            "gET wa:1",
            "$-1",
            "-ERR~bit~offset~is~not~an~integer~or~out~of~range",
        ),
        (
            "INCRBY wa:1 x",
            "gET wa:1",
            "$-1",
            "-ERR~value~is~not~an~integer~or~out~of~range",
        ),
        (
            "INCRBY wa:1 x",
            "gET wa:1",
            "-WRONGTYPE~no",
            "-ERR~value~is~not~an~integer~or~out~of~range",
        ),
        (
            "HINCRBY wa:1 f x",
            "hGET wa:1 f",
            "$-1",
            "-ERR~value~is~not~an~integer~or~out~of~range",
        ),
        (
            "GETBIT wa:1 1",
            "gET wa:1",
            "-MOVED~1~host:1",
            "-MOVED~1~host:1",
        ),
    ] {
        let mut pair = Pair::new();
        pair.send(&[line, "PING"]);
        assert_sent(&pair.sent(), &[sent, "PING"]);
        pair.answer(stored);
        assert_eq!(pair.got(), to_client(got), "{line} {stored}");
        pair.answer("+PONG");
        pair.got();
        // Inside a transaction as well.
        pair.send(&["MULTI", line, "EXEC"]);
        assert_sent(&pair.sent(), &["MULTI", sent, "EXEC"]);
        pair.answer("+OK");
        pair.answer("+QUEUED");
        pair.answer(&format!("*1 {stored}"));
        assert_eq!(
            pair.got(),
            format!("+OK\r\n+QUEUED\r\n*1\r\n{}", to_client(got)),
            "{line} {stored}"
        );
        pair.assert_usable();
    }
}

#[test]
fn requests_that_the_server_refuses_carry_no_value() {
    for (line, sent) in [
        ("APPEND wa:1 secret more", "APPEND"),
        ("HINCRBY wa:1 f", "HINCRBY"),
        ("DELIFEQ wa:1 secret", "DELIFEQ"),
        ("DELEX wa:1 IFEQ secret", "DELEX"),
        ("SET wa:1 secret IFEQ secret", "SET wa:1  IFEQ"),
    ] {
        let mut pair = Pair::new();
        pair.exchange_as(line, sent, "-ERR~no", "-ERR~no");
    }
}

#[test]
fn a_result_that_is_too_large_is_refused_before_it_is_computed() {
    let limits = Limits {
        value: 1000,
        ..Limits::default()
    };
    let mut pair = Pair::with(Mode::On, limits);
    for line in ["SETRANGE wa:1 99999999 x", "SETBIT wa:1 400000000 1"] {
        pair.send(&[line]);
        pair.answer("$-1");
        let got = pair.got();
        assert!(got.ends_with("nothing was written: the value would be larger than 1000 bytes: raise --max-value\r\n"), "{got}");
        assert_sent(&pair.sent(), &["gET wa:1"]);
    }
    pair.assert_usable();
}

#[test]
fn asking_is_said_again_and_replies_may_be_off() {
    let mut pair = Pair::new();
    pair.send(&["ASKING", "INCR wa:1"]);
    pair.sent();
    pair.answer("+OK");
    assert_sent(&pair.sent(), &["aSKING", "gET wa:1"]);
    pair.answer("+OK $-1");
    let sent = arguments(&pair.sent());
    assert_eq!(
        (text(&sent[0][0]), text(&sent[1][0])),
        ("aSKING".into(), "eVAL".into())
    );
    pair.answer("+OK :1");
    assert_eq!(pair.got(), "+OK\r\n:1\r\n");
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&["CLIENT REPLY SKIP", "INCR wa:1", "PING"]);
    assert_sent(&pair.sent(), &["gET wa:1"]);
    pair.answer("$-1");
    pair.sent();
    pair.answer(":1");
    assert_sent(&pair.sent(), &["PING"]);
    pair.answer("+PONG");
    assert_eq!(pair.got(), "+PONG\r\n");
}

#[test]
fn a_request_waits_for_earlier_replies_before_it_reads() {
    let mut pair = Pair::new();
    pair.send(&["SET wa:1 5", "INCR wa:1"]);
    assert_sent(&pair.sent(), &["SET wa:1 @wa:1=5"]);
    pair.answer("+OK");
    assert_sent(&pair.sent(), &["gET wa:1"]);
    pair.answer("@wa:1=5");
    pair.sent();
    pair.answer(":1");
    assert_eq!(pair.got(), "+OK\r\n:6\r\n");
}

#[test]
fn every_chunking_of_requests_and_replies_does_the_same() {
    let requested = request("INCR wa:1");
    let read = from_server("@wa:1=41");
    for size in 1..read.len() {
        let mut pair = Pair::new();
        requested.chunks(size).for_each(|chunk| pair.bytes(chunk));
        read.chunks(size)
            .for_each(|chunk| pair.answer_bytes(chunk).unwrap());
        pair.sent();
        b":1\r\n"
            .chunks(size)
            .for_each(|chunk| pair.answer_bytes(chunk).unwrap());
        assert_eq!(pair.got(), ":42\r\n");
        pair.assert_usable();
    }
}

#[test]
fn the_script_by_which_django_redis_counts_is_computed() {
    let text = "local\texists\t=\tredis.call('EXISTS',\tKEYS[1])\tif\t(exists\t==\t1)\tthen\treturn\tredis.call('INCRBY',\tKEYS[1],\tARGV[1])\telse\treturn\tfalse\tend";
    let always = "return\tredis.call('INCRBY',\tKEYS[1],\tARGV[1])";
    for (script, stored, got) in [
        (text, "@wa:1=40", ":42\r\n"),
        (text, "$-1", "$-1\r\n"),
        (always, "$-1", ":2\r\n"),
    ] {
        let mut pair = Pair::new();
        pair.send(&[&format!("EVAL {script} 1 wa:1 2")]);
        assert_sent(&pair.sent(), &["gET wa:1"]);
        pair.answer(stored);
        if !got.starts_with('$') {
            assert_eq!(written(&mut pair).name, "wa:1");
            pair.answer(":1");
        }
        assert_eq!(pair.got(), got, "{stored}");
        pair.assert_usable();
        pair.send(&["MULTI", &format!("EVAL {script} 1 wa:1 2"), "EXEC"]);
        pair.sent();
        pair.answer("+OK +QUEUED");
        pair.answer("+OK +OK");
        pair.answer(stored);
        pair.sent();
        pair.answer("+OK +QUEUED");
        pair.answer(&format!("*1 {stored}"));
        let all = pair.got();
        assert!(all.ends_with(&format!("*1\r\n{got}")), "{all}");
    }
}

#[test]
fn two_values_are_read_by_one_script() {
    for (line, names, stored, got) in [
        (
            "LCS wa:1 log",
            ["wa:1", "log"],
            "*2 @wa:1=abcd 'xbcx",
            "'bc",
        ),
        (
            "LCS log wa:1 LEN",
            ["log", "wa:1"],
            "*2 $-1 @wa:1=abcd",
            ":0",
        ),
        (
            "LCS log wa:1",
            ["log", "wa:1"],
            "-WRONGTYPE~no",
            "-ERR~The~specified~keys~must~contain~string~values",
        ),
    ] {
        let mut pair = Pair::new();
        pair.send(&[line]);
        let sent = arguments(&pair.sent()).pop().unwrap();
        assert_eq!(text(&sent[0]), "eVAL");
        assert_eq!([text(&sent[3]), text(&sent[4])], names);
        pair.answer(stored);
        assert_eq!(pair.got(), to_client(got), "{line} {stored}");
        pair.assert_usable();
    }
}

#[test]
fn an_error_about_one_command_is_not_the_answer_to_others() {
    let protection = Arc::new(crate::pair::protection(Mode::On));
    let mut first = Conversation::under(protection.clone());
    let mut second = Conversation::under(protection);
    first.send(&["INCR wa:1"]);
    assert_sent(&first.sent(), &["gET wa:1"]);
    second.send(&["INCR wa:1"]);
    assert!(second.sent().is_empty(), "it waits");
    first.answer(b"$-1\r\n");
    let together = arguments(&first.sent());
    assert_eq!(opened("wa:1", &together[0][6]), "2");
    first.answer(b"-ERR invalid expire time\r\n");
    assert_eq!(first.got(), "");
    let alone = arguments(&first.sent());
    assert_eq!(opened("wa:1", &alone[0][6]), "1");
    first.answer(b":1\r\n");
    assert_eq!(first.got(), ":1\r\n");
    second.run().unwrap();
    let write = arguments(&second.sent());
    assert_eq!(opened("wa:1", &write[0][6]), "2");
    second.answer(b"-ERR invalid expire time\r\n");
    let got = second.got();
    assert!(got.starts_with("-ERR"), "{got}");
    assert!(second.sent().is_empty());
}
