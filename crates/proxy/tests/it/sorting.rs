//! Commands that sort: what is read for them, in which steps, and what is sealed to be stored.

use waxseal_core::{Binding, Mode};

use crate::pair::{KEY, Pair, arguments, assert_sent, sealer, text};

/// The arguments of the only request that was sent, a script, behind its text.
#[track_caller]
fn script(pair: &mut Pair) -> Vec<Vec<u8>> {
    let mut sent = arguments(&pair.sent());
    assert_eq!(sent.len(), 1, "one request");
    let sent = sent.pop().unwrap();
    assert_eq!(text(&sent[0]), "eVAL");
    sent[2..].to_vec()
}

#[track_caller]
fn words(pair: &mut Pair) -> String {
    let words: Vec<String> = script(pair).iter().map(|word| text(word)).collect();
    words.join(" ")
}

/// The value in an envelope with this binding.
#[track_caller]
fn opened(stored: &[u8], binding: Binding<'_>) -> String {
    let opened = sealer(KEY, Mode::Required).open(stored, binding);
    text(&opened.unwrap().unwrap().value)
}

/// The answer to the read of a set with these members.
fn members(members: &[&str]) -> String {
    let words: Vec<String> = members.iter().map(|it| format!("'{it}")).collect();
    format!("*4 'set *{} {} 'digest *0", members.len(), words.join(" "))
}

#[test]
fn elements_alone_are_one_read_which_later_requests_do_not_wait_for() {
    let mut pair = Pair::new();
    pair.send(&[
        "SORT wa:1 DESC LIMIT 0 2 GET # GET x",
        "SORT_RO wa:1",
        "PING",
    ]);
    let sent = arguments(&pair.sent());
    let shown = |at: usize| {
        let words = sent[at].iter().skip(2).map(|word| text(word));
        words.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(sent.len(), 3);
    assert_eq!(
        (shown(0), shown(1)),
        ("1 wa:1 SORT  0".into(), "1 wa:1 SORT_RO  0".into())
    );
    pair.answer("*4 'list *3 @wa:1=2 @wa:1=10 @wa:1=9 'digest *0");
    assert_eq!(pair.got(), "*4\r\n$2\r\n10\r\n$-1\r\n$1\r\n9\r\n$-1\r\n");
    // One that someone else wrote in clear is not sorted as a number.
    pair.answer("*4 'list *2 @wa:1=2 'x 'digest *0");
    assert_eq!(
        pair.got(),
        "-ERR One or more scores can't be converted into double\r\n"
    );
    pair.answer("+PONG");
    assert_eq!(pair.got(), "+PONG\r\n");
    pair.assert_usable();
}

#[test]
fn weights_and_results_are_read_in_steps_that_compare() {
    let mut pair = Pair::new();
    pair.send(&["SORT wa:1 BY wa:w* LIMIT 0 1 GET # GET o*->f", "PING"]);
    assert_eq!(words(&mut pair), "1 wa:1 SORT  0");
    pair.answer(&members(&["a", "b"]));
    assert_eq!(words(&mut pair), "3 wa:1 wa:wa wa:wb SORT digest 0  ");
    pair.answer("*4 'set *0 'second *2 @wa:wa=2 @wa:wb=1");
    assert_eq!(words(&mut pair), "4 wa:1 wa:wa wa:wb ob SORT second 2   ff");
    pair.answer("*4 'set *0 'third *1 'plain");
    assert_eq!(pair.got(), "*2\r\n$1\r\nb\r\n$5\r\nplain\r\n");
    assert_sent(&pair.sent(), &["PING"]);
    pair.answer("+PONG");
    pair.got();
    pair.assert_usable();
}

#[test]
fn what_was_changed_meanwhile_is_read_again() {
    let mut pair = Pair::new();
    pair.send(&["SORT wa:1 BY wa:w*"]);
    pair.sent();
    pair.answer(&members(&["a", "b"]));
    pair.sent();
    pair.answer("$-1");
    assert_eq!(pair.got(), "");
    assert_eq!(words(&mut pair), "1 wa:1 SORT  0");
    pair.answer("*4 'none *0 'digest *0");
    assert_eq!(pair.got(), "*0\r\n");
    pair.assert_usable();
}

#[test]
fn a_result_is_stored_sealed_for_its_list() {
    let mut pair = Pair::new();
    pair.send(&["SORT open GET # GET wa:o* GET x STORE wa:2"]);
    pair.sent();
    pair.answer("*4 'list *1 '7 'digest *0");
    pair.sent();
    pair.answer("*4 'list *0 'second *1 @wa:o7=v");
    let sent = script(&mut pair);
    let shown: Vec<String> = sent[..8].iter().map(|word| text(word)).collect();
    assert_eq!(
        shown,
        ["3", "open", "wa:o7", "wa:2", "SORT", "second", "1", ""]
    );
    let stored: Vec<String> = sent[8..]
        .iter()
        .map(|value| match value.is_empty() {
            true => String::new(),
            false => opened(value, Binding::element(b"wa:2")),
        })
        .collect();
    assert_eq!(stored, ["7", "v", ""]);
    pair.answer(":1");
    assert_eq!(pair.got(), ":3\r\n");
    pair.assert_usable();
}

#[test]
fn what_cannot_be_sorted_is_answered_and_nothing_more_is_sent() {
    for line in ["SORT wa:1", "SORT wa:1 BY wa:w*", "SORT wa:1 STORE wa:2"] {
        for (answer, error) in [
            (
                "-WRONGTYPE~of~another~type",
                "-WRONGTYPE of another type\r\n",
            ),
            ("-NOPERM~this~user", "-NOPERM SORT: values are read"),
            (
                "-ERR~The~user~executing~the~script~can't~run~this~command",
                "-NOPERM SORT: values are read",
            ),
            ("*4 'list *1 !wa:1=v 'digest *0", "-SEALNOKEY SORT: "),
            ("*4 'list *1 @wa:9=v 'digest *0", "-SEALBROKEN "),
        ] {
            let mut pair = Pair::new();
            pair.send(&[line]);
            pair.sent();
            pair.answer(answer);
            assert_sent(&pair.sent(), &[]);
            let got = pair.got();
            assert!(got.starts_with(error), "{line}, {answer}: {got}");
            pair.assert_usable();
        }
    }
}

#[test]
fn forms_that_servers_refuse_are_refused_by_them() {
    for (line, sent) in [
        ("SORT wa:1 LIMIT 1", "SORT wa:1 LIMIT"),
        ("SORT wa:1 LIMIT x 1", "SORT wa:1 LIMIT x x"),
        ("SORT wa:1 LIMIT 1 STORE lag", "SORT wa:1 LIMIT x x"),
        ("sort wa:1 GET", "sort wa:1 LIMIT"),
        ("SORT_RO wa:1 STORE wa:2", "SORT_RO wa:1 LIMIT"),
        ("SORT wa:1 ALPHA STORE", "SORT wa:1 LIMIT"),
    ] {
        let mut pair = Pair::new();
        pair.send(&[line]);
        assert_sent(&pair.sent(), &[sent]);
        pair.answer("-ERR~syntax~error");
        assert_eq!(pair.got(), "-ERR syntax error\r\n");
        pair.assert_usable();
    }
}

#[test]
fn in_a_transaction_elements_alone_are_sorted() {
    let mut pair = Pair::new();
    pair.send(&["MULTI", "SORT wa:1 ALPHA", "EXEC"]);
    let sent = arguments(&pair.sent());
    assert_eq!(sent.len(), 3);
    for answer in [
        "+OK",
        "+QUEUED",
        "*1 *4 'list *2 @wa:1=b @wa:1=a 'digest *0",
    ] {
        pair.answer(answer);
    }
    assert_eq!(
        pair.got(),
        "+OK\r\n+QUEUED\r\n*1\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n"
    );
    for line in [
        "SORT wa:1 STORE wa:2",
        "SORT wa:1 BY wa:w*",
        "SORT open GET wa:w*",
    ] {
        let mut pair = Pair::new();
        pair.send(&["MULTI", line]);
        assert_sent(&pair.sent(), &["MULTI"]);
        pair.answer("+OK");
        assert!(pair.got().contains("outside MULTI and EXEC"), "{line}");
    }
}
