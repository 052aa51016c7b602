//! What an operation says of itself, and the effects of commands that random cases do not show: fields that expire,
//! requests that are queued in a transaction.

use waxseal_compute::{Dialect, Expiry, ExpiryOption, Operation, Rejected, ServerError, Write};
use waxseal_testing::Flavor;

use crate::wire::{Server, servers};

const NEWEST: [Dialect; 2] = [Dialect::redis(8, 4), Dialect::valkey(9, 1)];

fn parse(words: &str, dialect: Dialect) -> Result<Operation, Rejected> {
    let arguments: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    Operation::parse(&arguments, dialect)
}

#[test]
fn an_operation_names_its_records_and_its_field() {
    for (words, names, field, can_write) in [
        ("INCR a", vec!["a"], None, true),
        ("HINCRBY a f 1", vec!["a"], Some("f"), true),
        ("HINCRBYFLOAT a f 1", vec!["a"], Some("f"), true),
        ("HSTRLEN a f", vec!["a"], Some("f"), false),
        ("LCS a b LEN", vec!["a", "b"], None, false),
        ("STRLEN a", vec!["a"], None, false),
        ("BITFIELD a GET u8 0", vec!["a"], None, false),
        ("BITFIELD a SET u8 0 1", vec!["a"], None, true),
        ("BITPOS a 1", vec!["a"], None, false),
        ("SETBIT a 1 1", vec!["a"], None, true),
        ("SET a b IFEQ c", vec!["a"], None, true),
    ] {
        let operation = parse(words, NEWEST[0]).unwrap();
        let named: Vec<_> = operation
            .names()
            .map(|it| std::str::from_utf8(it).unwrap())
            .collect();
        assert_eq!(named, names, "{words}");
        assert_eq!(operation.field(), field.map(str::as_bytes), "{words}");
        assert_eq!(operation.can_write(), can_write, "{words}");
        let command = words.split(' ').next().unwrap().to_lowercase();
        assert_eq!(operation.command(), command);
        // Neither names nor arguments.
        assert_eq!(format!("{operation:?}"), format!("Operation({command})"));
    }
}

#[test]
fn what_does_not_compute_is_left_to_the_caller() {
    for words in [
        "GET a",
        "SET a b",
        "SET a b NX EX 10",
        "SET a b EX IFEQ",
        "SET a",
        "DELEX a",
        "GETDEL a",
        "BITOP AND a b",
        "HGET a f",
        "",
        "INCRX a",
    ] {
        for dialect in NEWEST {
            let result = parse(words, dialect).map(|_| ());
            if words == "SET a" {
                assert_eq!(result, Err(Rejected::Arity(ServerError::Arity("set"))));
            } else {
                assert_eq!(result, Err(Rejected::NotComputed), "{words}");
            }
        }
    }
    assert_eq!(
        Operation::parse(&[], NEWEST[0]).map(|_| ()),
        Err(Rejected::NotComputed)
    );
    let older = parse("SET a b IFEQ c", Dialect::redis(7, 0)).map(|_| ());
    assert_eq!(older, Err(Rejected::NotComputed));
}

#[test]
fn a_comparing_set_clears_keeps_or_sets_the_time_to_live() {
    for (words, expected) in [
        ("SET a b IFEQ c", Expiry::Clear),
        ("SET a b IFEQ c KEEPTTL", Expiry::Keep),
        ("SET a b EX 10 IFEQ c", Expiry::Set(ExpiryOption::Ex, 10)),
        ("SET a b IFEQ c PX 10", Expiry::Set(ExpiryOption::Px, 10)),
        (
            "SET a b IFEQ c EXAT 10",
            Expiry::Set(ExpiryOption::ExAt, 10),
        ),
        (
            "SET a b IFEQ c PXAT 10",
            Expiry::Set(ExpiryOption::PxAt, 10),
        ),
    ] {
        for dialect in NEWEST {
            assert_eq!(parse(words, dialect).unwrap().expiry(), expected, "{words}");
        }
    }
}

#[test]
fn the_expiry_of_a_field_is_kept() {
    let server = Server::start(Flavor::Valkey);
    let mut client = server.process.client();
    client.cmd(&["HSET", "k", "f", "5"]);
    client.cmd(&["HPEXPIRE", "k", "1000000", "FIELDS", "1", "f"]);
    for words in ["HINCRBY k f 1", "HINCRBYFLOAT k f 1.5"] {
        assert_eq!(parse(words, server.dialect).unwrap().expiry(), Expiry::Keep);
        let arguments: Vec<&str> = words.split(' ').collect();
        assert_eq!(client.cmd(&arguments).error(), None);
        let left = client.cmd(&["HPTTL", "k", "FIELDS", "1", "f"]).array();
        assert!(left[0].clone().int() > 0, "{words}");
    }
}

/// Servers queue a request with any arguments if their number is right.
#[test]
fn only_a_wrong_number_of_arguments_is_found_before_a_request_is_queued() {
    for server in servers() {
        let mut client = server.process.client();
        client.cmd(&["MULTI"]);
        for words in [
            "INCR",
            "INCR a b",
            "INCRBY a x",
            "INCRBYFLOAT a x",
            "APPEND a",
            "SETRANGE a -1 b",
            "SETBIT a x 1",
            "BITCOUNT",
            "BITCOUNT a 1 2 3 4",
            "BITPOS a",
            "BITPOS a 2",
            "BITFIELD a GET",
            "HINCRBY a f",
            "HINCRBY a f x",
            "LCS a",
            "LCS a b C",
            "GETRANGE a 0",
            "SUBSTR a x y",
        ] {
            let arguments: Vec<&str> = words.split(' ').collect();
            let theirs = client.cmd(&arguments);
            match parse(words, server.dialect) {
                Err(Rejected::Arity(error)) => {
                    assert_eq!(theirs.error(), Some(&error.to_string()[..]), "{words}");
                }
                Err(Rejected::NotComputed) => assert!(theirs.error().is_some(), "{words}"),
                _ => assert_eq!(theirs.to_text(), "QUEUED", "{words}"),
            }
        }
    }
}

#[test]
fn a_write_that_changes_nothing_is_none_where_servers_notify_no_one() {
    let keeps = |words: &str, value: Option<&[u8]>| {
        let operation = parse(words, Dialect::redis(7, 0)).unwrap();
        operation.apply(&[value], 100).unwrap().write == Write::Keep
    };
    assert!(keeps("SETBIT a 1 1", Some(b"a")) && !keeps("SETBIT a 0 0", None));
    assert!(keeps("BITFIELD a SET u8 0 97", Some(b"a")) && !keeps("BITFIELD a SET u8 0 0", None));
    assert!(!keeps("BITFIELD a OVERFLOW FAIL SET u8 0 256", None));
    assert!(!keeps("INCRBY a 0", Some(b"1")) && !keeps("SETRANGE a 0 a", Some(b"a")));
}
