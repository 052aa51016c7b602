//! Transactions with commands that move values to another record: queued with reads in their places, and sent again with
//! scripts that move the values, sealed for the other record.

use waxseal_core::{Binding, Mode};

use crate::pair::{KEY, Pair, arguments, assert_sent, sealer, text};

/// A request that was sent, with the text of its script left out.
type Sent = Vec<Vec<u8>>;

/// The requests that were sent.
fn sent(pair: &mut Pair) -> Vec<Sent> {
    let mut all = arguments(&pair.sent());
    for request in &mut all {
        if text(&request[0]) == "eVAL" {
            request.remove(1);
        }
    }
    all
}

/// A request in words, with the values that it has opened: `old>new` for each value that moves.
fn shown(request: &Sent) -> String {
    let open = |word: &[u8]| {
        let name = |at: usize| text(&request[at]);
        let is_script = name(0) == "eVAL";
        let candidates = request.iter().filter(|it| it.starts_with(b"wa:"));
        let mut names: Vec<&[u8]> = candidates.map(Vec::as_slice).collect();
        if is_script {
            names.truncate(2);
        }
        let bindings = names.iter().flat_map(|name| {
            [
                Binding::record(name),
                Binding::field(name, b"f"),
                Binding::element(name),
                Binding::member(name),
            ]
        });
        for (at, binding) in bindings.enumerate() {
            if let Ok(Some(opened)) = sealer(KEY, Mode::Required).open(word, binding) {
                return format!("{}={}", text(names[at / 4]), text(&opened.value));
            }
        }
        text(word)
    };
    let words: Vec<String> = request.iter().map(|word| open(word)).collect();
    words.join(" ")
}

/// Queues a transaction, whose requests go out as `queued`, and gets `+QUEUED` for each command.
#[track_caller]
fn queue(pair: &mut Pair, lines: &[&str], queued: &[&str]) {
    pair.send(&["MULTI"]);
    pair.send(lines);
    let all: Vec<&str> = [&["MULTI"], queued].concat();
    assert_sent(&pair.sent(), &all);
    pair.answer("+OK");
    for _ in queued {
        pair.answer("+QUEUED");
    }
    let got = format!("+OK\r\n{}", "+QUEUED\r\n".repeat(lines.len()));
    assert_eq!(pair.got(), got);
}

/// Asserts that these requests were sent.
#[track_caller]
fn assert_shown(pair: &mut Pair, expected: &[&str]) {
    let all: Vec<String> = sent(pair).iter().map(shown).collect();
    assert_eq!(all, expected);
}

/// Asserts that the transaction was sent with these commands, and answers up to its `EXEC`.
#[track_caller]
fn assert_executed(pair: &mut Pair, commands: &[&str]) {
    let all: Vec<&str> = [&["MULTI"], commands, &["EXEC"]].concat();
    assert_shown(pair, &all);
    pair.answer("+OK");
    for _ in commands {
        pair.answer("+QUEUED");
    }
    assert_eq!(pair.got(), "");
}

/// Commands and how they are queued; what is read, and the answers; how they are executed, their replies, and what the client
/// gets.
struct Followed {
    lines: &'static [&'static str],
    queued: &'static [&'static str],
    reads: &'static [&'static str],
    answers: &'static str,
    executed: &'static [&'static str],
    replies: &'static str,
    got: &'static str,
}

const FOLLOWED: &[Followed] = &[
    Followed {
        lines: &["RENAME wa:1 wa:2", "EXPIRE wa:2 60"],
        queued: &["eXISTS wa:1 wa:2", "EXPIRE wa:2 60"],
        reads: &["WATCH wa:1", "eVAL 1 wa:1 50000 67108864"],
        answers: "+OK *2 'string *1 @wa:1=v",
        executed: &[
            "eVAL 2 wa:1 wa:2 RENAME 0 string 1 wa:1=v wa:2=v",
            "EXPIRE wa:2 60",
        ],
        replies: "*2 *1 +OK :1",
        got: "*2\r\n+OK\r\n:1\r\n",
    },
    Followed {
        lines: &[
            "DEL wa:2",
            "RENAMENX wa:1 wa:2",
            "COPY wa:1 wa:3",
            "COPY wa:1 wa:4 REPLACE",
        ],
        queued: &[
            "DEL wa:2",
            "eXISTS wa:1 wa:2",
            "eXISTS wa:1 wa:3",
            "eXISTS wa:1 wa:4",
        ],
        reads: &["WATCH wa:1", "eVAL 1 wa:1 50000 67108864"],
        answers: "+OK *2 'hash *2 'f @wa:1/f=v",
        executed: &[
            "DEL wa:2",
            "eVAL 2 wa:1 wa:2 RENAMENX 0 hash 1 f wa:1=v wa:2=v",
            "eVAL 2 wa:1 wa:3 COPY 0 hash 1 f wa:1=v wa:3=v",
            "eVAL 2 wa:1 wa:4 REPLACE 0 hash 1 f wa:1=v wa:4=v",
        ],
        replies: "*4 :0 *1 :1 *1 :0 *1 -ERR~no~such~key",
        got: "*4\r\n:0\r\n:1\r\n:0\r\n-ERR no such key\r\n",
    },
    // Each takes the next element of its end; the queue is not read.
    Followed {
        lines: &[
            "RPOPLPUSH wa:1 wa:2",
            "LMOVE wa:1 wa:3 RIGHT RIGHT",
            "LMOVE wa:1 wa:2 LEFT RIGHT",
            "SET wa:4 w",
        ],
        queued: &[
            "eXISTS wa:1 wa:2",
            "eXISTS wa:1 wa:3",
            "eXISTS wa:1 wa:2",
            "SET wa:4 @wa:4=w",
        ],
        reads: &["WATCH wa:1", "lRANGE wa:1 0 0", "lRANGE wa:1 -2 -1"],
        answers: "+OK *1 @wa:1=a *2 @wa:1=y @wa:1=z",
        executed: &[
            "eVAL 2 wa:1 wa:2 RIGHT LEFT wa:1=z wa:2=z",
            "eVAL 2 wa:1 wa:3 RIGHT RIGHT wa:1=y wa:3=y",
            "eVAL 2 wa:1 wa:2 LEFT RIGHT wa:1=a wa:2=a",
            "SET wa:4 wa:4=w",
        ],
        replies: "*4 *1 @wa:1=z *1 @wa:1=y *1 $-1 +OK",
        got: "*4\r\n$1\r\nz\r\n$1\r\ny\r\n$-1\r\n+OK\r\n",
    },
    // What a command puts there may be what moves.
    Followed {
        lines: &["LPUSH wa:1 b a", "LMOVE wa:1 wa:2 LEFT LEFT"],
        queued: &["LPUSH wa:1 @wa:1=b @wa:1=a", "eXISTS wa:1 wa:2"],
        reads: &["WATCH wa:1", "lRANGE wa:1 0 0"],
        answers: "+OK *1 @wa:1=c",
        executed: &[
            "LPUSH wa:1 wa:1=b wa:1=a",
            "eVAL 2 wa:1 wa:2 LEFT LEFT wa:1=c wa:2=c wa:1=b wa:2=b wa:1=a wa:2=a",
        ],
        replies: "*2 :3 *1 @wa:1=a",
        got: "*2\r\n:3\r\n$1\r\na\r\n",
    },
    Followed {
        lines: &["LPOP wa:1", "LMOVE wa:1 wa:2 LEFT LEFT"],
        queued: &["LPOP wa:1", "eXISTS wa:1 wa:2"],
        reads: &["WATCH wa:1", "lRANGE wa:1 0 50000"],
        answers: "+OK *2 @wa:1=a @wa:1=b",
        executed: &[
            "LPOP wa:1",
            "eVAL 2 wa:1 wa:2 LEFT LEFT wa:1=a wa:2=a wa:1=b wa:2=b",
        ],
        replies: "*2 @wa:1=a *1 @wa:1=b",
        got: "*2\r\n$1\r\na\r\n$1\r\nb\r\n",
    },
    // From record to record.
    Followed {
        lines: &["RENAME wa:1 wa:2", "SET wa:1 w", "RENAME wa:2 wa:3"],
        queued: &["eXISTS wa:1 wa:2", "SET wa:1 @wa:1=w", "eXISTS wa:2 wa:3"],
        reads: &[
            "WATCH wa:1 wa:2",
            "eVAL 1 wa:1 50000 67108864",
            "eVAL 1 wa:2 50000 67108864",
        ],
        answers: "+OK *2 'string *1 @wa:1=v *2 'none *0",
        executed: &[
            "eVAL 2 wa:1 wa:2 RENAME 0 string 1 wa:1=v wa:2=v",
            "SET wa:1 wa:1=w",
            "eVAL 2 wa:2 wa:3 RENAME 0 string 1 wa:2=v wa:3=v",
        ],
        replies: "*3 *1 +OK +OK *1 +OK",
        got: "*3\r\n+OK\r\n+OK\r\n+OK\r\n",
    },
    // Results that are computed before, and behind: there the script compares.
    Followed {
        lines: &[
            "INCR wa:1",
            "RENAME wa:1 wa:2",
            "INCR wa:1",
            "INCR wa:2",
            "INCR wa:2",
        ],
        queued: &[
            "gET wa:1",
            "eXISTS wa:1 wa:2",
            "gET wa:1",
            "gET wa:2",
            "gET wa:2",
        ],
        reads: &[
            "WATCH wa:1 wa:2",
            "gET wa:1",
            "gET wa:2",
            "eVAL 1 wa:1 50000 67108864",
        ],
        answers: "+OK @wa:1=41 $-1 *2 'string *1 @wa:1=41",
        executed: &[
            "sET wa:1 wa:1=42 KEEPTTL",
            "eVAL 2 wa:1 wa:2 RENAME 0 string 2 wa:1=41 wa:2=41 wa:1=42 wa:2=42",
            "eVAL 1 wa:1 0  wa:1=1 KEEPTTL ",
            "eVAL 1 wa:2 1 wa:2=42 wa:2=44 KEEPTTL ",
            "eXISTS wa:2",
        ],
        replies: "*5 +OK *1 +OK :1 *1 'other :1",
        got: "*5\r\n:42\r\n+OK\r\n:1\r\n-SEALREFUSED INCR: it changed nothing",
    },
    // Nothing there, another type, and a value that does not open.
    Followed {
        lines: &["RENAME wa:1 wa:2", "PING"],
        queued: &["eXISTS wa:1 wa:2", "PING"],
        reads: &["WATCH wa:1", "eVAL 1 wa:1 50000 67108864"],
        answers: "+OK *2 'none *0",
        executed: &["eVAL 2 wa:1 wa:2 RENAME 0", "PING"],
        replies: "*2 -ERR~no~such~key +PONG",
        got: "*2\r\n-ERR no such key\r\n+PONG\r\n",
    },
    Followed {
        lines: &["RENAME wa:1 wa:2", "PING"],
        queued: &["eXISTS wa:1 wa:2", "PING"],
        reads: &["WATCH wa:1", "eVAL 1 wa:1 50000 67108864"],
        answers: "+OK *2 'stream *0",
        executed: &["eVAL 2 wa:1 wa:2 RENAME 0", "PING"],
        replies: "*2 $-1 +PONG",
        got: "*2\r\n-SEALREFUSED RENAME: values of strings, hashes",
    },
    Followed {
        lines: &["LMOVE wa:1 wa:2 LEFT LEFT", "PING"],
        queued: &["eXISTS wa:1 wa:2", "PING"],
        reads: &["WATCH wa:1", "lRANGE wa:1 0 0"],
        answers: "+OK *1 @wa:9=v",
        executed: &["eVAL 2 wa:1 wa:2 LEFT LEFT", "PING"],
        replies: "*2 $-1 +PONG",
        got: "*2\r\n-SEALBROKEN LMOVE: ",
    },
    Followed {
        lines: &["LMOVE wa:1 wa:2 LEFT LEFT", "PING"],
        queued: &["eXISTS wa:1 wa:2", "PING"],
        reads: &["WATCH wa:1", "lRANGE wa:1 0 0"],
        answers: "+OK -WRONGTYPE~no",
        executed: &["eVAL 2 wa:1 wa:2 LEFT LEFT", "PING"],
        replies: "*2 -WRONGTYPE~no +PONG",
        got: "*2\r\n-WRONGTYPE no\r\n+PONG\r\n",
    },
    // A record that is not protected, from which values may come.
    Followed {
        lines: &["EXPIRE tmp 60", "RENAME tmp wa:2"],
        queued: &["EXPIRE tmp 60", "eXISTS tmp wa:2"],
        reads: &["WATCH tmp", "eVAL 1 tmp 50000 67108864"],
        answers: "+OK *2 'string *1 'v",
        executed: &[
            "EXPIRE tmp 60",
            "eVAL 2 tmp wa:2 RENAME 0 string 1 v wa:2=v",
        ],
        replies: "*2 :1 -NOPERM~no",
        got: "*2\r\n:1\r\n-NOPERM RENAME: the values are read",
    },
];

#[test]
fn values_are_moved_and_followed_through_the_commands_of_the_queue() {
    for case in FOLLOWED {
        let mut pair = Pair::new();
        queue(&mut pair, case.lines, case.queued);
        pair.send(&["EXEC"]);
        assert_shown(&mut pair, &[&["DISCARD"], case.reads].concat());
        pair.answer("+OK");
        pair.answer(case.answers);
        assert_executed(&mut pair, case.executed);
        pair.answer(case.replies);
        let got = pair.got();
        assert!(got.starts_with(case.got), "{:?}: {got}", case.lines);
        pair.assert_usable();
    }
}

#[test]
fn it_is_sent_again_when_a_record_has_changed() {
    let mut pair = Pair::new();
    queue(&mut pair, &["RENAME wa:1 wa:2"], &["eXISTS wa:1 wa:2"]);
    pair.send(&["EXEC"]);
    assert_shown(
        &mut pair,
        &["DISCARD", "WATCH wa:1", "eVAL 1 wa:1 50000 67108864"],
    );
    pair.answer("+OK");
    for value in ["a", "b", "c"] {
        pair.answer(&format!("+OK *2 'string *1 @wa:1={value}"));
        let script = format!("eVAL 2 wa:1 wa:2 RENAME 0 string 1 wa:1={value} wa:2={value}");
        assert_executed(&mut pair, &[&script]);
        pair.answer("*-1");
        assert_shown(&mut pair, &["WATCH wa:1", "eVAL 1 wa:1 50000 67108864"]);
    }
    pair.answer("+OK *2 'string *1 @wa:1=v");
    sent(&mut pair);
    pair.answer("+OK +QUEUED *1 *1 +OK");
    assert_eq!(pair.got(), "*1\r\n+OK\r\n");
    pair.assert_usable();
}

#[test]
fn a_client_that_watches_records_itself_is_held_back() {
    for (exec, got) in [("*1 *1 @wa:1=v", "*1\r\n$1\r\nv\r\n"), ("*-1", "*-1\r\n")] {
        let mut pair = Pair::new();
        pair.exchange("WATCH wa:1", "+OK", "+OK");
        pair.send(&["MULTI", "RPOPLPUSH wa:1 wa:2"]);
        assert_eq!(pair.got(), "+OK\r\n+QUEUED\r\n");
        pair.send(&["EXEC"]);
        assert_shown(&mut pair, &["WATCH wa:1", "lRANGE wa:1 -1 -1"]);
        pair.answer("+OK *1 @wa:1=v");
        assert_executed(&mut pair, &["eVAL 2 wa:1 wa:2 RIGHT LEFT wa:1=v wa:2=v"]);
        pair.answer(exec);
        assert_eq!(pair.got(), got);
        pair.assert_usable();
    }
}

#[test]
fn what_cannot_be_read_is_the_answer_to_exec_and_nothing_is_executed() {
    for (read, got) in [
        ("-NOPERM~no", "-NOPERM RENAME: the values are read"),
        ("-LOADING~wait", "-LOADING wait\r\n"),
    ] {
        let mut pair = Pair::new();
        queue(&mut pair, &["RENAME wa:1 wa:2"], &["eXISTS wa:1 wa:2"]);
        pair.send(&["EXEC"]);
        pair.sent();
        pair.answer("+OK +OK");
        pair.answer(read);
        assert_shown(&mut pair, &["UNWATCH"]);
        pair.answer("+OK");
        let actual = pair.got();
        assert!(actual.starts_with(got), "{actual}");
        pair.assert_usable();
    }
    // Of many values, only so many bytes.
    let limits = waxseal_proxy::Limits {
        value: 1000,
        ..waxseal_proxy::Limits::default()
    };
    let mut pair = Pair::with(Mode::On, limits);
    queue(&mut pair, &["RENAME wa:1 wa:2"], &["eXISTS wa:1 wa:2"]);
    pair.send(&["EXEC"]);
    pair.sent();
    pair.answer("+OK +OK *2 'set *6 'a 'b 'c 'd 'e 'f");
    assert_shown(&mut pair, &["UNWATCH"]);
    pair.answer("+OK");
    let got = pair.got();
    assert!(
        got.starts_with("-SEALREFUSED ") && got.contains("--max-value"),
        "{got}"
    );
    pair.assert_usable();
}

#[test]
fn a_move_behind_a_command_that_leaves_unknown_values_is_refused() {
    for line in [
        "SELECT 1",
        "SWAPDB 0 1",
        "EVAL return 0",
        "NOSUCH wa",
        "LPUSH tmp v",
    ] {
        let mut pair = Pair::new();
        pair.send(&["MULTI", line, "RENAME tmp wa:1", "EXEC"]);
        let sent = arguments(&pair.sent());
        assert_eq!(sent.len(), 3, "{line}: MULTI, the command, DISCARD");
        pair.answer("+OK +QUEUED +OK");
        let got = pair.got();
        let refusal = "-SEALREFUSED RENAME inside a transaction is not possible after";
        assert!(got.contains(refusal), "{line}: {got}");
        assert!(got.contains("-EXECABORT "), "{line}: {got}");
        pair.assert_usable();
    }
    // And what is computed behind a move whose outcome is not known.
    for (line, computed) in [
        ("RENAMENX wa:1 wa:2", "INCR wa:2"),
        ("RENAMENX wa:1 wa:2", "INCR wa:1"),
        ("COPY wa:1 wa:2", "INCR wa:2"),
        ("RENAME tmp wa:2", "INCR wa:2"),
        ("RENAME wa:1 wa:2", "HINCRBY wa:2 f 1"),
        ("LMOVE wa:1 wa:2 LEFT LEFT", "APPEND wa:1 x"),
    ] {
        let mut pair = Pair::new();
        pair.send(&["MULTI", line, computed, "EXEC"]);
        assert_eq!(arguments(&pair.sent()).len(), 3, "{line}");
        pair.answer("+OK +QUEUED +OK");
        let got = pair.got();
        assert!(
            got.contains("inside a transaction is not possible after"),
            "{line}: {got}"
        );
        pair.assert_usable();
    }
    let mut pair = Pair::new().with_reply_modes();
    pair.send(&["CLIENT REPLY OFF", "MULTI", "RENAME wa:1 wa:2", "EXEC"]);
    assert_shown(&mut pair, &["MULTI", "DISCARD"]);
}

#[test]
fn what_the_server_refuses_to_queue_aborts_the_transaction() {
    let mut pair = Pair::new();
    pair.send(&["MULTI", "RENAME wa:1 wa:2", "EXEC"]);
    pair.answer("+OK -CROSSSLOT~no");
    assert_shown(&mut pair, &["MULTI", "eXISTS wa:1 wa:2", "EXEC"]);
    pair.answer("-EXECABORT~no");
    let got = pair.got();
    assert!(got.contains("-CROSSSLOT no\r\n-EXECABORT no\r\n"), "{got}");
    pair.assert_usable();
}
