//! Commands that move values to another record: they are read, opened, sealed for it, and sent with what was read.

use waxseal_core::{Binding, Mode};

use crate::pair::{KEY, Pair, arguments, assert_sent, sealer, text};

/// The arguments of the only request that was sent, a script.
#[track_caller]
fn script(pair: &mut Pair) -> Vec<Vec<u8>> {
    let mut sent = arguments(&pair.sent());
    assert_eq!(sent.len(), 1, "one request");
    let sent = sent.pop().unwrap();
    assert_eq!(text(&sent[0]), "eVAL");
    sent[2..].to_vec()
}

/// The value in an envelope with this binding.
#[track_caller]
fn opened(stored: &[u8], binding: Binding<'_>) -> String {
    let opened = sealer(KEY, Mode::Required).open(stored, binding);
    text(&opened.unwrap().unwrap().value)
}

#[test]
fn a_string_is_sealed_for_the_new_name() {
    for (line, word, reply) in [
        ("RENAME wa:1 wa:2", "RENAME", "+OK"),
        ("renamenx wa:1 wa:2", "RENAMENX", ":0"),
        ("COPY wa:1 wa:2", "COPY", ":1"),
        ("COPY wa:1 wa:2 REPLACE", "REPLACE", ":1"),
    ] {
        let mut pair = Pair::new();
        pair.send(&[line, "PING"]);
        assert_eq!(script(&mut pair)[..2], [b"1".to_vec(), b"wa:1".to_vec()]);
        pair.answer("*2 'string *1 @wa:1=v");
        let write = script(&mut pair);
        let words: Vec<String> = write[..7].iter().map(|word| text(word)).collect();
        assert_eq!(words, ["2", "wa:1", "wa:2", word, "0", "string", "1"]);
        assert_eq!(opened(&write[7], Binding::record(b"wa:1")), "v");
        assert_eq!(opened(&write[8], Binding::record(b"wa:2")), "v");
        assert_eq!(pair.got(), "");
        pair.answer(&format!("*1 {reply}"));
        assert_eq!(pair.got(), format!("{reply}\r\n"), "{line}");
        assert_sent(&pair.sent(), &["PING"]);
        pair.answer("+PONG");
        assert_eq!(pair.got(), "+PONG\r\n");
        pair.assert_usable();
    }
}

#[test]
fn each_value_keeps_its_field_and_its_kind() {
    let mut pair = Pair::new();
    pair.send(&["RENAME wa:1 wa:2"]);
    pair.sent();
    pair.answer("*2 'hash *4 'a @wa:1/a=v 'b @wa:1/b=w");
    let write = script(&mut pair);
    assert_eq!(
        (text(&write[5]), text(&write[6])),
        ("hash".into(), "2".into())
    );
    assert_eq!(
        (text(&write[7]), text(&write[10])),
        ("a".into(), "b".into())
    );
    assert_eq!(opened(&write[9], Binding::field(b"wa:2", b"a")), "v");
    assert_eq!(opened(&write[12], Binding::field(b"wa:2", b"b")), "w");
    pair.answer("*1 +OK");
    assert_eq!(pair.got(), "+OK\r\n");
    // Plain members, as someone may have written them before.
    pair.send(&["RENAME wa:1 wa:2"]);
    pair.sent();
    pair.answer("*2 'zset *1 'm");
    let write = script(&mut pair);
    assert_eq!(text(&write[7]), "m");
    assert_eq!(opened(&write[8], Binding::member(b"wa:2")), "m");
    pair.answer("*1 +OK");
    assert_eq!(pair.got(), "+OK\r\n");
    pair.assert_usable();
}

#[test]
fn a_record_that_was_changed_is_read_again() {
    let mut pair = Pair::new();
    pair.send(&["RENAME wa:1 wa:2"]);
    pair.sent();
    pair.answer("*2 'string *1 @wa:1=v");
    pair.sent();
    pair.answer("$-1");
    assert_eq!(pair.got(), "");
    assert_eq!(script(&mut pair)[..2], [b"1".to_vec(), b"wa:1".to_vec()]);
    // It is gone: the server says so.
    pair.answer("*2 'none *0");
    assert_eq!(script(&mut pair).len(), 5, "no value is named");
    pair.answer("-ERR~no~such~key");
    assert_eq!(pair.got(), "-ERR no such key\r\n");
    pair.assert_usable();
}

#[test]
fn an_element_is_sealed_for_the_other_list_and_returned() {
    for (line, index, ends) in [
        ("LMOVE wa:1 wa:2 LEFT RIGHT", "0", ["LEFT", "RIGHT"]),
        ("LMOVE wa:1 wa:2 right left", "-1", ["RIGHT", "LEFT"]),
        ("RPOPLPUSH wa:1 wa:2", "-1", ["RIGHT", "LEFT"]),
    ] {
        let mut pair = Pair::new();
        pair.send(&[line]);
        assert_sent(&pair.sent(), &[&format!("lINDEX wa:1 {index}")]);
        pair.answer("'v");
        let write = script(&mut pair);
        assert_eq!([text(&write[3]), text(&write[4])], ends);
        assert_eq!(text(&write[5]), "v");
        assert_eq!(opened(&write[6], Binding::element(b"wa:2")), "v");
        pair.answer("*1 'v");
        assert_eq!(pair.got(), "$1\r\nv\r\n");
        // It has gone in between.
        pair.send(&[line]);
        pair.sent();
        pair.answer("'v");
        pair.sent();
        pair.answer("*1 $-1");
        assert_eq!(pair.got(), "$-1\r\n");
        pair.send(&[line]);
        pair.sent();
        pair.answer("$-1");
        assert_eq!(pair.got(), "$-1\r\n");
        pair.assert_usable();
    }
}

#[test]
fn what_cannot_be_moved_is_answered_and_nothing_is_sent() {
    for (answer, error) in [
        ("*2 'stream *0", "-SEALREFUSED RENAME: values of strings"),
        ("*2 'string *1 !wa:1=v", "-SEALNOKEY RENAME: "),
        ("*2 'string *1 @wa:9=v", "-SEALBROKEN "),
        ("-NOPERM~this~user", "-NOPERM RENAME: the values are read"),
        (
            "-ERR~The~user~executing~the~script~can't~run~this~command",
            "-NOPERM RENAME: the values are read",
        ),
        ("-LOADING~soon", "-LOADING soon"),
    ] {
        let mut pair = Pair::new();
        pair.send(&["RENAME wa:1 wa:2"]);
        pair.sent();
        pair.answer(answer);
        assert_sent(&pair.sent(), &[]);
        let got = pair.got();
        assert!(got.starts_with(error), "{answer}: {got}");
        pair.assert_usable();
    }
}

#[test]
fn a_move_to_itself_or_without_protected_names_is_forwarded() {
    let mut pair = Pair::new();
    for line in [
        "RENAME wa:1 wa:1",
        "RENAME a b",
        "LMOVE a b LEFT LEFT",
        "COPY a b DB 1",
    ] {
        pair.send(&[line]);
        assert_sent(&pair.sent(), &[line]);
        pair.answer("+OK");
        pair.got();
    }
    // A plain record becomes a protected one: sealed.
    pair.send(&["RENAME a wa:2"]);
    pair.sent();
    pair.answer("*2 'string *1 'v");
    let write = script(&mut pair);
    assert_eq!(text(&write[7]), "v");
    assert_eq!(opened(&write[8], Binding::record(b"wa:2")), "v");
    pair.answer("*1 +OK");
    assert_eq!(pair.got(), "+OK\r\n");
    // A protected one stays so.
    pair.send(&["RENAME wa:1 a"]);
    assert_sent(&pair.sent(), &[]);
    assert!(pair.got().starts_with("-SEALREFUSED RENAME"));
}
