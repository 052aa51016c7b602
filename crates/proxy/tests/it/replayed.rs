//! Transactions with commands that compute: queued with reads in their places, and sent again with the results at `EXEC`.

use waxseal_core::{Binding, Mode};

use crate::pair::{KEY, Pair, arguments, assert_sent, from_server, sealer, text};

/// Queues a transaction, whose requests go out as `sent`, and gets `+QUEUED` for each command.
#[track_caller]
pub(crate) fn queue(pair: &mut Pair, lines: &[&str], sent: &[&str]) {
    pair.send(&["MULTI"]);
    pair.send(lines);
    let all: Vec<&str> = [&["MULTI"], sent].concat();
    assert_sent(&pair.sent(), &all);
    pair.answer("+OK");
    for _ in lines {
        pair.answer("+QUEUED");
    }
    assert_eq!(
        pair.got(),
        format!("+OK\r\n{}", "+QUEUED\r\n".repeat(lines.len()))
    );
}

/// Asserts that the transaction was sent with these commands, and answers up to its `EXEC`.
#[track_caller]
pub(crate) fn assert_executed(pair: &mut Pair, commands: &[&str]) {
    let all: Vec<&str> = [&["MULTI"], commands, &["EXEC"]].concat();
    assert_sent(&pair.sent(), &all);
    pair.answer("+OK");
    for _ in commands {
        pair.answer("+QUEUED");
    }
    assert_eq!(pair.got(), "");
}

#[test]
fn a_pipeline_of_a_counter_and_its_expiry_is_sent_again_with_the_result() {
    let mut pair = Pair::new();
    // As redis-py's pipelines are: in one piece.
    pair.send(&["MULTI", "INCR wa:1", "EXPIRE wa:1 60", "EXEC", "PING"]);
    assert_sent(&pair.sent(), &["MULTI", "gET wa:1", "EXPIRE wa:1 60"]);
    pair.answer("+OK +QUEUED +QUEUED");
    assert_sent(&pair.sent(), &["DISCARD", "WATCH wa:1", "gET wa:1"]);
    pair.answer("+OK +OK @wa:1=41");
    assert_sent(
        &pair.sent(),
        &[
            "MULTI",
            "sET wa:1 @wa:1=42 KEEPTTL",
            "EXPIRE wa:1 60",
            "EXEC",
        ],
    );
    pair.answer("+OK +QUEUED +QUEUED *2 +OK :1");
    assert_eq!(
        pair.got(),
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:42\r\n:1\r\n"
    );
    assert_sent(&pair.sent(), &["PING"]);
    pair.answer("+PONG");
    assert_eq!(pair.got(), "+PONG\r\n");
    pair.assert_usable();
}

/// Commands; how they are queued; the value that is read; how they are executed, and their replies; the reply to `EXEC`.
type Followed<'t> = (
    &'t [&'t str],
    &'t [&'t str],
    &'t str,
    &'t [&'t str],
    &'t str,
    &'t str,
);

const FOLLOWED: &[Followed<'_>] = &[
    (
        &["INCR wa:1", "INCRBY wa:1 10", "GET wa:1"],
        &["gET wa:1", "gET wa:1", "GET wa:1"],
        "@wa:1=1",
        &["sET wa:1 @wa:1=12 KEEPTTL", "eXISTS wa:1", "GET wa:1"],
        "*3 +OK :1 @wa:1=12",
        "*3\r\n:2\r\n:12\r\n$2\r\n12\r\n",
    ),
    (
        &["SET wa:1 5 EX 9", "INCR wa:1"],
        &["SET wa:1 @wa:1=5 EX 9", "gET wa:1"],
        "-WRONGTYPE~no",
        &[
            "SET wa:1 @wa:1=5 EX 9",
            "eVAL * 1 wa:1 1 @wa:1=5 @wa:1=6 KEEPTTL ",
        ],
        "*2 +OK :1",
        "*2\r\n+OK\r\n:6\r\n",
    ),
    (
        &["SET wa:1 5 NX", "INCR wa:1"],
        &["SET wa:1 @wa:1=5 NX", "gET wa:1"],
        "@wa:1=7",
        &[
            "SET wa:1 @wa:1=5 NX",
            "eVAL * 1 wa:1 1 @wa:1=7 @wa:1=8 KEEPTTL ",
        ],
        "*2 $-1 :1",
        "*2\r\n$-1\r\n:8\r\n",
    ),
    (
        &["DEL other wa:1", "APPEND wa:1 x"],
        &["DEL other wa:1", "gET wa:1"],
        "@wa:1=7",
        &["DEL other wa:1", "eVAL * 1 wa:1 0  @wa:1=x KEEPTTL "],
        "*2 :1 :1",
        "*2\r\n:1\r\n:1\r\n",
    ),
    // Behind `DEL` the value is known, whatever was there.
    (
        &["GETEX wa:1 EX 5", "DEL wa:1", "APPEND wa:1 x"],
        &["GETEX wa:1 EX 5", "DEL wa:1", "gET wa:1"],
        "@wa:1=7",
        &[
            "GETEX wa:1 EX 5",
            "DEL wa:1",
            "eVAL * 1 wa:1 0  @wa:1=x KEEPTTL ",
        ],
        "*3 @wa:1=7 :1 :1",
        "*3\r\n$1\r\n7\r\n:1\r\n:1\r\n",
    ),
    (
        &["MSET wa:2 a wa:1 b", "APPEND wa:1 x"],
        &["MSET wa:2 @wa:2=a wa:1 @wa:1=b", "gET wa:1"],
        "$-1",
        &[
            "MSET wa:2 @wa:2=a wa:1 @wa:1=b",
            "eVAL * 1 wa:1 1 @wa:1=b @wa:1=bx KEEPTTL ",
        ],
        "*2 +OK :1",
        "*2\r\n+OK\r\n:2\r\n",
    ),
    (
        &["HSET wa:1 g 1 f 5", "HINCRBY wa:1 f 2"],
        &["HSET wa:1 g @wa:1/g=1 f @wa:1/f=5", "hGET wa:1 f"],
        "$-1",
        &[
            "HSET wa:1 g @wa:1/g=1 f @wa:1/f=5",
            "eVAL * 1 wa:1 f 1 @wa:1/f=5 @wa:1/f=7 0",
        ],
        "*2 :2 :1",
        "*2\r\n:2\r\n:7\r\n",
    ),
    // Errors, and results that change nothing: nothing is read.
    (
        &["INCR wa:1", "PING"],
        &["gET wa:1", "PING"],
        "@wa:1=x",
        &["eXISTS wa:1", "PING"],
        "*2 :1 +PONG",
        "*2\r\n-ERR value is not an integer or out of range\r\n+PONG\r\n",
    ),
    (
        &["INCR wa:1", "PING"],
        &["gET wa:1", "PING"],
        "-WRONGTYPE~no",
        &["eXISTS wa:1", "PING"],
        "*2 :1 +PONG",
        "*2\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n+PONG\r\n",
    ),
];

#[test]
fn values_are_followed_through_the_commands_of_the_queue() {
    for (lines, queued, read, executed, replies, got) in FOLLOWED {
        let mut pair = Pair::new();
        queue(&mut pair, lines, queued);
        pair.send(&["EXEC"]);
        let reads = if queued.iter().any(|it| it.starts_with("hGET")) {
            "hGET wa:1 f"
        } else {
            "gET wa:1"
        };
        assert_sent(&pair.sent(), &["DISCARD", "WATCH wa:1", reads]);
        pair.answer("+OK +OK");
        pair.answer(read);
        assert_executed(&mut pair, executed);
        pair.answer(replies);
        assert_eq!(pair.got(), *got, "{lines:?}");
        pair.assert_usable();
    }
}

#[test]
fn a_value_that_does_not_open_is_an_error_in_its_place() {
    let mut pair = Pair::new();
    queue(
        &mut pair,
        &["INCR wa:1", "SET wa:2 v"],
        &["gET wa:1", "SET wa:2 @wa:2=v"],
    );
    pair.send(&["EXEC"]);
    pair.sent();
    pair.answer("+OK +OK @wa:2=1");
    assert_executed(&mut pair, &["eXISTS wa:1", "SET wa:2 @wa:2=v"]);
    pair.answer("*2 :1 +OK");
    let got = pair.got();
    assert!(got.starts_with("*2\r\n-SEALBROKEN EXEC: "), "{got}");
    assert!(got.ends_with("\r\n+OK\r\n"));
    pair.assert_usable();
}

#[test]
fn it_is_sent_again_when_the_values_have_changed() {
    let mut pair = Pair::new();
    queue(&mut pair, &["INCR wa:1"], &["gET wa:1"]);
    pair.send(&["EXEC"]);
    assert_sent(&pair.sent(), &["DISCARD", "WATCH wa:1", "gET wa:1"]);
    pair.answer("+OK +OK @wa:1=1");
    for value in 2..5 {
        assert_executed(&mut pair, &[&format!("sET wa:1 @wa:1={value} KEEPTTL")]);
        pair.answer("*-1");
        assert_sent(&pair.sent(), &["WATCH wa:1", "gET wa:1"]);
        pair.answer(&format!("+OK @wa:1={value}"));
    }
    assert_executed(&mut pair, &["sET wa:1 @wa:1=5 KEEPTTL"]);
    pair.answer("*1 +OK");
    assert_eq!(pair.got(), "*1\r\n:5\r\n");
    pair.assert_usable();
}

#[test]
fn a_client_that_watches_records_itself_is_held_back() {
    let mut pair = Pair::new();
    pair.exchange("WATCH wa:1 other", "+OK", "+OK");
    pair.exchange("GET wa:1", "@wa:1=1", "@wa:1=1");
    let lines = ["MULTI", "INCR wa:1", "SET wa:2 v", "MULTI", "WATCH x"];
    pair.send(&lines);
    assert_sent(&pair.sent(), &[]);
    assert_eq!(
        pair.got(),
        "+OK\r\n+QUEUED\r\n+QUEUED\r\n-ERR MULTI calls can not be nested\r\n-ERR WATCH inside MULTI is not allowed\r\n"
    );
    for (exec, got) in [("*2 +OK +OK", "*2\r\n:2\r\n+OK\r\n"), ("*-1", "*-1\r\n")] {
        pair.send(&["EXEC"]);
        assert_sent(&pair.sent(), &["WATCH wa:1", "gET wa:1"]);
        pair.answer("+OK @wa:1=1");
        assert_executed(&mut pair, &["sET wa:1 @wa:1=2 KEEPTTL", "SET wa:2 @wa:2=v"]);
        pair.answer(exec);
        assert_eq!(pair.got(), got);
        pair.assert_usable();
        // The watch is over with EXEC: the next transaction is not held back.
        pair.exchange("MULTI", "+OK", "+OK");
        pair.exchange("DISCARD", "+OK", "+OK");
        pair.exchange("WATCH wa:1", "+OK", "+OK");
        pair.send(&["MULTI", "INCR wa:1", "SET wa:2 v"]);
        pair.got();
    }
    pair.send(&["DISCARD"]);
    assert_sent(&pair.sent(), &["UNWATCH"]);
    pair.answer("+OK");
    assert_eq!(pair.got(), "+OK\r\n");
    pair.assert_usable();
    // One without computed commands, and one with a refusal.
    pair.exchange("WATCH wa:1", "+OK", "+OK");
    pair.send(&["MULTI", "SET wa:1 v", "EXEC"]);
    assert_eq!(pair.got(), "+OK\r\n+QUEUED\r\n");
    assert_executed(&mut pair, &["SET wa:1 @wa:1=v"]);
    pair.answer("*1 +OK");
    assert_eq!(pair.got(), "*1\r\n+OK\r\n");
    pair.exchange("WATCH wa:1", "+OK", "+OK");
    pair.send(&["MULTI", "INCR", "INCR wa:1 2", "EXEC"]);
    assert_sent(&pair.sent(), &["UNWATCH"]);
    pair.answer("+OK");
    let arity = "-ERR wrong number of arguments for 'incr' command\r\n";
    let abort = "-EXECABORT Transaction discarded because of previous errors.\r\n";
    assert_eq!(pair.got(), format!("+OK\r\n{arity}{arity}{abort}"));
    pair.assert_usable();
    pair.exchange("WATCH wa:1", "+OK", "+OK");
    pair.send(&["MULTI", "INCREX wa:1", "EXEC"]);
    assert_sent(&pair.sent(), &["UNWATCH"]);
    pair.answer("+OK");
    let got = pair.got();
    assert!(
        got.contains("-EXECABORT Transaction discarded because of: SEALREFUSED INCREX"),
        "{got}"
    );
    pair.assert_usable();
}

#[test]
fn what_the_server_refuses_to_queue_aborts_the_transaction() {
    let mut pair = Pair::new();
    pair.send(&["MULTI", "INCR wa:1", "APPEND wa:1", "EXEC"]);
    assert_sent(&pair.sent(), &["MULTI", "gET wa:1", "APPEND"]);
    pair.answer("+OK +QUEUED -ERR~arity");
    // In the server's words, which may name another reason.
    assert_sent(&pair.sent(), &["EXEC"]);
    pair.answer("-EXECABORT~because~of~BUSY");
    assert_eq!(
        pair.got(),
        "+OK\r\n+QUEUED\r\n-ERR arity\r\n-EXECABORT because of BUSY\r\n"
    );
    pair.assert_usable();
    // An error when it is sent again is the answer to EXEC.
    queue(&mut pair, &["INCR wa:1"], &["gET wa:1"]);
    pair.send(&["EXEC"]);
    pair.sent();
    pair.answer("+OK +OK $-1");
    assert_sent(&pair.sent(), &["MULTI", "sET wa:1 @wa:1=1 KEEPTTL", "EXEC"]);
    pair.answer("+OK -OOM~no -EXECABORT~no");
    assert_eq!(
        pair.got(),
        "-EXECABORT Transaction discarded because of: OOM no\r\n"
    );
    pair.assert_usable();
    // And one about watching or reading.
    for (watch, read, got) in [
        ("-NOPERM~no", "@wa:1=1", "-NOPERM EXEC: "),
        (
            "+OK",
            "-LOADING~wait",
            "-EXECABORT Transaction discarded because of: LOADING wait\r\n",
        ),
    ] {
        queue(&mut pair, &["INCR wa:1"], &["gET wa:1"]);
        pair.send(&["EXEC"]);
        pair.sent();
        pair.answer("+OK");
        pair.answer(watch);
        pair.answer(read);
        assert_sent(&pair.sent(), &["UNWATCH"]);
        pair.answer("+OK");
        let actual = pair.got();
        assert!(actual.starts_with(got), "{actual}");
        pair.assert_usable();
    }
}

#[test]
fn an_end_that_the_server_refuses_aborts_the_transaction() {
    let mut pair = Pair::new();
    let (arity, nested) = ("-ERR~arity", "-ERR~MULTI~calls~can~not~be~nested");
    for end in ["DISCARD x", "UNWATCH x", "RESET x"] {
        queue(&mut pair, &["INCR wa:1"], &["gET wa:1"]);
        pair.exchange(end, arity, arity);
        pair.send(&["EXEC"]);
        assert_sent(&pair.sent(), &["DISCARD"]);
        pair.answer("+OK");
        assert_eq!(
            pair.got(),
            "-EXECABORT Transaction discarded because of previous errors.\r\n"
        );
        pair.assert_usable();
    }
    // A second MULTI is an error after which servers execute the transaction.
    queue(&mut pair, &["INCR wa:1"], &["gET wa:1"]);
    pair.exchange("MULTI", nested, nested);
    pair.send(&["EXEC"]);
    assert_sent(&pair.sent(), &["DISCARD", "WATCH wa:1", "gET wa:1"]);
    pair.answer("+OK +OK @wa:1=1");
    assert_executed(&mut pair, &["sET wa:1 @wa:1=2 KEEPTTL"]);
    pair.answer("*1 +OK");
    assert_eq!(pair.got(), "*1\r\n:2\r\n");
    pair.assert_usable();
}

#[test]
fn a_wrong_number_of_arguments_aborts_a_transaction_that_is_held_back() {
    let mut pair = Pair::new();
    for end in ["DISCARD x", "UNWATCH x", "MULTI x", "WATCH", "SELECT 3 x"] {
        pair.exchange("WATCH wa:1", "+OK", "+OK");
        pair.send(&["MULTI", end, "EXEC"]);
        assert_sent(&pair.sent(), &["UNWATCH"]);
        pair.answer("+OK");
        let command = end.split(' ').next().unwrap().to_lowercase();
        assert_eq!(
            pair.got(),
            format!(
                "+OK\r\n-ERR wrong number of arguments for '{command}' command\r\n\
                 -EXECABORT Transaction discarded because of previous errors.\r\n"
            )
        );
        pair.assert_usable();
    }
    // EXEC itself ends it.
    pair.exchange("WATCH wa:1", "+OK", "+OK");
    pair.send(&["MULTI", "EXEC x"]);
    assert_sent(&pair.sent(), &["UNWATCH"]);
    pair.answer("+OK");
    assert_eq!(
        pair.got(),
        "+OK\r\n-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command\r\n"
    );
    pair.exchange("EXEC", "-ERR~without", "-ERR~without");
    pair.assert_usable();
}

#[test]
fn what_the_server_does_not_watch_or_begin_is_not_held_back() {
    let mut pair = Pair::new();
    pair.send(&["WATCH wa:1", "MULTI"]);
    assert_sent(&pair.sent(), &["WATCH wa:1"]);
    pair.answer("-NOPERM~no");
    assert_sent(&pair.sent(), &["MULTI"]);
    pair.answer("+OK");
    assert_eq!(pair.got(), "-NOPERM no\r\n+OK\r\n");
    pair.exchange("DISCARD", "+OK", "+OK");
    pair.assert_usable();
    // Subscribers of RESP2 may send no MULTI.
    pair.exchange("WATCH wa:1", "+OK", "+OK");
    pair.exchange(
        "SUBSCRIBE news",
        "*3 'subscribe 'news :1",
        "*3 'subscribe 'news :1",
    );
    pair.exchange("MULTI", "-ERR~context", "-ERR~context");
}

#[test]
fn a_command_behind_one_that_is_not_followed_is_refused() {
    for line in [
        "SELECT 1",
        "FLUSHDB",
        "SWAPDB 0 1",
        "EVAL return 0",
        "NOSUCH wa",
        "GETEX wa:1 EX 5",
        "SET wa:1 v EXAT 1",
        "EXPIRE wa:1 -1",
        "MSETNX wa:1 v",
    ] {
        let mut pair = Pair::new();
        pair.send(&["MULTI", line, "INCR wa:1", "EXEC"]);
        let sent = arguments(&pair.sent());
        assert_eq!(sent.len(), 3, "{line}: MULTI, the command, DISCARD");
        pair.answer("+OK +QUEUED +OK");
        let got = pair.got();
        assert!(
            got.contains("-SEALREFUSED INCR inside a transaction is not possible after"),
            "{line}: {got}"
        );
        assert!(got.contains("-EXECABORT "), "{line}: {got}");
        pair.assert_usable();
    }
    // One with a wrong number of arguments, whose values are not sent, changes nothing: 5 is written behind it.
    let mut pair = Pair::new();
    queue(
        &mut pair,
        &["MSET wa:1 7 x", "INCR wa:1"],
        &["MSET wa:1  ", "gET wa:1"],
    );
    pair.send(&["EXEC"]);
    pair.sent();
    pair.answer("+OK +OK @wa:1=4");
    assert_executed(
        &mut pair,
        &["MSET wa:1  ", "eVAL * 1 wa:1 1 @wa:1=4 @wa:1=5 KEEPTTL "],
    );
    pair.answer("*2 -ERR~arity :1");
    assert_eq!(pair.got(), "*2\r\n-ERR arity\r\n:5\r\n");
    let mut pair = Pair::new();
    queue(
        &mut pair,
        &["GETEX wa:2 EX 5", "EXPIRE wa:1 60", "TTL wa:1", "INCR wa:1"],
        &["GETEX wa:2 EX 5", "EXPIRE wa:1 60", "TTL wa:1", "gET wa:1"],
    );
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&["CLIENT REPLY OFF", "MULTI", "INCR wa:1", "EXEC"]);
    assert_sent(&pair.sent(), &["MULTI", "DISCARD"]);
}

#[test]
fn what_only_reads_two_values_is_followed() {
    let mut pair = Pair::new();
    pair.send(&["MULTI", "LCS wa:1 wa:2", "INCR wa:1"]);
    let sent = arguments(&pair.sent());
    assert_eq!(text(&sent[1][0]), "eVAL");
    assert_eq!(text(&sent[2][0]), "gET");
    pair.answer("+OK +QUEUED +QUEUED");
    assert_eq!(pair.got(), "+OK\r\n+QUEUED\r\n+QUEUED\r\n");
    pair.send(&["EXEC"]);
    assert_sent(&pair.sent(), &["DISCARD", "WATCH wa:1", "gET wa:1"]);
    pair.answer("+OK +OK @wa:1=41");
    assert_eq!(arguments(&pair.sent()).len(), 4);
    pair.answer("+OK +QUEUED +QUEUED *2 *2 @wa:1=41 @wa:2=1 +OK");
    assert_eq!(pair.got(), "*2\r\n$1\r\n1\r\n:42\r\n");
    pair.assert_usable();
}

#[test]
fn client_caching_is_said_again() {
    let mut pair = Pair::new();
    pair.exchange("CLIENT CACHING YES", "+OK", "+OK");
    queue(&mut pair, &["INCR wa:1"], &["gET wa:1"]);
    pair.send(&["EXEC"]);
    pair.sent();
    pair.answer("+OK +OK $-1");
    assert_sent(
        &pair.sent(),
        &[
            "CLIENT CACHING YES",
            "MULTI",
            "sET wa:1 @wa:1=1 KEEPTTL",
            "EXEC",
        ],
    );
    pair.answer("+OK +OK +QUEUED *1 +OK");
    assert_eq!(pair.got(), "*1\r\n:1\r\n");
}

#[test]
fn values_stay_sealed_at_every_moment() {
    let mut pair = Pair::with(Mode::Required, waxseal_proxy::Limits::default());
    let mut all = Vec::new();
    pair.send(&[
        "WATCH wa:1",
        "MULTI",
        "SET wa:1 secreto",
        "APPEND wa:1 secreto",
        "EXEC",
    ]);
    all.extend(pair.sent());
    pair.answer("+OK");
    all.extend(pair.sent());
    pair.answer_bytes(&from_server("+OK")).unwrap();
    pair.answer("$-1");
    let sent = pair.sent();
    let written = arguments(&sent)
        .into_iter()
        .find(|it| text(&it[0]) == "eVAL")
        .unwrap();
    let binding = Binding::record(b"wa:1");
    let opened = sealer(KEY, Mode::Required).open(&written[6], binding);
    assert_eq!(text(&opened.unwrap().unwrap().value), "secretosecreto");
    all.extend(sent);
    assert!(!text(&all).contains("secreto"));
}
