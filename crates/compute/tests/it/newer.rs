//! Commands that only Redis from 8.4 on has, which tests cannot start: their rules as its documentation and its own
//! tests give them, each in one line.

use waxseal_compute::{ApplyError, Dialect, Operation, Protocol, Rejected, Write};

/// A reply and what the record holds afterwards. `None`: no record.
fn carry_out(words: &str, value: Option<&str>) -> (String, Option<String>) {
    let arguments: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    let mut after = value.map(str::to_owned);
    let operation = Operation::parse(&arguments, Dialect::redis(8, 4));
    let result = match &operation {
        Ok(operation) => operation.apply(&[value.map(str::as_bytes)], 1_000),
        Err(Rejected::Arity(error) | Rejected::Arguments(error)) => Err(ApplyError::Server(*error)),
        Err(Rejected::NotComputed) => return ("not computed".into(), after),
    };
    let reply = match result {
        Err(error) => return (error.to_string(), after),
        Ok(outcome) => {
            match outcome.write {
                Write::Keep => {}
                Write::Put(new) => after = Some(String::from_utf8(new).unwrap()),
                Write::Delete => after = None,
            }
            outcome.reply
        }
    };
    let mut written = Vec::new();
    reply.write(&mut written, Protocol::Resp3);
    (String::from_utf8(written).unwrap(), after)
}

fn check(cases: &[(&str, Option<&str>, &str, Option<&str>)]) {
    for (words, before, reply, after) in cases {
        let (replied, left) = carry_out(words, *before);
        assert_eq!(
            (replied.as_str(), left.as_deref()),
            (*reply, *after),
            "{words} on {before:?}"
        );
    }
}

#[test]
fn set_compares_the_value_or_its_digest() {
    let hello = Some("hello");
    check(&[
        ("SET k new IFEQ hello", hello, "+OK\r\n", Some("new")),
        ("SET k new IFEQ other", hello, "_\r\n", hello),
        ("SET k new IFEQ hello", None, "_\r\n", None),
        ("SET k new IFNE other", hello, "+OK\r\n", Some("new")),
        ("SET k new IFNE hello", hello, "_\r\n", hello),
        ("SET k new IFNE hello", None, "+OK\r\n", Some("new")),
        (
            "SET k new IFDEQ 9555e8555c62dcfd",
            hello,
            "+OK\r\n",
            Some("new"),
        ),
        (
            "SET k new IFDEQ 9555E8555C62DCFD",
            hello,
            "+OK\r\n",
            Some("new"),
        ),
        ("SET k new IFDEQ 0000000000000000", hello, "_\r\n", hello),
        ("SET k new IFDEQ 9555e8555c62dcfd", None, "_\r\n", None),
        (
            "SET k new IFDNE 0000000000000000",
            hello,
            "+OK\r\n",
            Some("new"),
        ),
        ("SET k new IFDNE 9555e8555c62dcfd", hello, "_\r\n", hello),
        (
            "SET k new IFDNE 0000000000000000",
            None,
            "+OK\r\n",
            Some("new"),
        ),
        // The old value, whether or not it is replaced.
        (
            "SET k new IFEQ hello GET",
            hello,
            "$5\r\nhello\r\n",
            Some("new"),
        ),
        ("SET k new GET IFEQ other", hello, "$5\r\nhello\r\n", hello),
        ("SET k new IFNE hello GET", None, "_\r\n", Some("new")),
    ]);
}

#[test]
fn the_length_of_a_digest_is_checked_where_there_is_a_value() {
    let error = "ERR must be exactly 16 hexadecimal characters";
    let hello = Some("hello");
    check(&[
        ("SET k new IFDEQ 9555e8555c62dcf", hello, error, hello),
        ("SET k new IFDNE x", hello, error, hello),
        ("SET k new IFDNE x", None, "+OK\r\n", Some("new")),
        ("SET k new IFDEQ x", None, "_\r\n", None),
        ("DELEX k IFDEQ 09555e8555c62dcfd", hello, error, hello),
        ("DELEX k IFDEQ x", None, ":0\r\n", None),
        // Digits are not checked: they only differ.
        ("DELEX k IFDEQ zzzzzzzzzzzzzzzz", hello, ":0\r\n", hello),
        ("DELEX k IFDNE zzzzzzzzzzzzzzzz", hello, ":1\r\n", None),
    ]);
}

#[test]
fn comparisons_exclude_each_other_and_other_conditions() {
    let hello = Some("hello");
    for options in [
        "IFEQ a NX",
        "NX IFEQ a",
        "IFEQ a XX",
        "XX IFNE a",
        "IFEQ a IFNE b",
        "IFDEQ a IFEQ b",
        "IFEQ",
        "IFEQ a BOGUS",
        "IFEQ a EX 1 PX 1",
        "IFEQ a EX 1 KEEPTTL",
        "KEEPTTL IFEQ a PX 1",
        "IFEQ a EX",
    ] {
        let words = format!("SET k new {options}");
        check(&[(&words, hello, "ERR syntax error", hello)]);
    }
    check(&[
        (
            "SET k new IFEQ a EX 0",
            hello,
            "ERR invalid expire time in 'set' command",
            hello,
        ),
        (
            "SET k new IFEQ a PX x",
            hello,
            "ERR value is not an integer or out of range",
            hello,
        ),
        (
            "SET k new IFEQ a EX 9223372036854776",
            hello,
            "ERR invalid expire time in 'set' command",
            hello,
        ),
    ]);
}

#[test]
fn delex_deletes_a_value_that_compares() {
    let hello = Some("hello");
    let arity = "ERR wrong number of arguments for 'delex' command";
    check(&[
        ("DELEX k IFEQ hello", hello, ":1\r\n", None),
        ("DELEX k IFEQ other", hello, ":0\r\n", hello),
        ("DELEX k IFEQ hello", None, ":0\r\n", None),
        ("DELEX k IFNE other", hello, ":1\r\n", None),
        ("DELEX k IFNE hello", hello, ":0\r\n", hello),
        ("DELEX k IFNE other", None, ":0\r\n", None),
        ("DELEX k IFDEQ 9555e8555c62dcfd", hello, ":1\r\n", None),
        ("DELEX k IFDNE 9555e8555c62dcfd", hello, ":0\r\n", hello),
        ("DELEX k", hello, "not computed", hello),
        ("DELEX k IFEQ", hello, arity, hello),
        ("DELEX k IFEQ hello more", None, arity, None),
        (
            "DELEX k FOO hello",
            hello,
            "ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE",
            hello,
        ),
        ("DELEX k FOO hello", None, ":0\r\n", None),
    ]);
    let operation =
        Operation::parse(&[b"delex", b"k", b"FOO", b"x"], Dialect::redis(8, 4)).unwrap();
    assert_eq!(
        operation.wrong_type().to_string(),
        "ERR Key should be of string type if conditions are specified"
    );
}

#[test]
fn a_digest_is_sixteen_digits() {
    check(&[
        (
            "DIGEST k",
            Some("hello"),
            "$16\r\n9555e8555c62dcfd\r\n",
            Some("hello"),
        ),
        ("DIGEST k", None, "_\r\n", None),
    ]);
    let empty = carry_out("DIGEST k", Some("")).0;
    // The published vector of XXH3 for no bytes.
    assert_eq!(empty, "$16\r\n2d06800538d394c2\r\n");
}

#[test]
fn other_servers_do_not_know_them() {
    for dialect in [Dialect::redis(8, 2), Dialect::valkey(9, 1)] {
        for arguments in [
            &[&b"DIGEST"[..], b"k"][..],
            &[b"DELEX", b"k", b"IFEQ", b"a"],
            &[b"SET", b"k", b"v", b"IFNE", b"a"],
            &[b"SET", b"k", b"v", b"IFDEQ", b"a"],
        ] {
            let result = Operation::parse(arguments, dialect).map(|_| ());
            assert_eq!(result, Err(Rejected::NotComputed));
        }
    }
    let delete = Operation::parse(&[b"DELIFEQ", b"k", b"a"], Dialect::redis(8, 4)).map(|_| ());
    assert_eq!(delete, Err(Rejected::NotComputed));
}
