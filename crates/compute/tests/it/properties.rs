//! Properties that hold for every request and every value: nothing panics, limits hold, equal inputs have equal effects.

use proptest::collection::vec;
use proptest::prelude::*;
use waxseal_compute::{ApplyError, Dialect, Operation, Protocol, Rejected, Write};

const COMMANDS: [&str; 24] = [
    "incr",
    "decr",
    "incrby",
    "decrby",
    "incrbyfloat",
    "hincrby",
    "hincrbyfloat",
    "append",
    "strlen",
    "hstrlen",
    "getrange",
    "substr",
    "setrange",
    "getbit",
    "setbit",
    "bitcount",
    "bitpos",
    "bitfield",
    "bitfield_ro",
    "lcs",
    "set",
    "delifeq",
    "delex",
    "digest",
];

const WORDS: [&str; 40] = [
    "0",
    "1",
    "-1",
    "7",
    "8",
    "63",
    "64",
    "100",
    "2147483648",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "#1",
    "#9223372036854775807",
    "u1",
    "u63",
    "i64",
    "i8",
    "get",
    "set",
    "incrby",
    "overflow",
    "sat",
    "fail",
    "wrap",
    "bit",
    "byte",
    "IDX",
    "LEN",
    "MINMATCHLEN",
    "WITHMATCHLEN",
    "IFEQ",
    "IFDNE",
    "EX",
    "KEEPTTL",
    "0.1",
    "-1e400",
    "inf",
    "0x1p-16445",
];

fn word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::sample::select(&WORDS[..]).prop_map(|word| word.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..12),
        1 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        1 => "[-+]?[0-9]{0,30}[.]?[0-9]{0,30}([eE][-+]?[0-9]{1,6})?".prop_map(String::into_bytes),
    ]
}

fn dialect() -> impl Strategy<Value = Dialect> {
    prop::sample::select(vec![
        Dialect::redis(6, 2),
        Dialect::redis(7, 0),
        Dialect::redis(7, 4),
        Dialect::redis(8, 4),
        Dialect::valkey(8, 0),
        Dialect::valkey(9, 1),
        Dialect::redis(8, 4).with_max_bulk(u64::MAX),
        Dialect::redis(7, 0).with_max_bulk(0),
    ])
}

fn request() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let name = prop::sample::select(&COMMANDS[..]).prop_map(|name| name.as_bytes().to_vec());
    (name, vec(word(), 0..9)).prop_map(|(name, words)| [vec![name], words].concat())
}

fn value() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::of(prop_oneof![word(), vec(any::<u8>(), 0..300)])
}

fn cases() -> ProptestConfig {
    ProptestConfig {
        cases: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn any_request_has_a_bounded_effect(
        request in request(), first in value(), second in value(), dialect in dialect(), limit in 0_usize..2_000,
    ) {
        let arguments: Vec<&[u8]> = request.iter().map(Vec::as_slice).collect();
        let operation = match Operation::parse(&arguments, dialect) {
            Ok(operation) => operation,
            Err(Rejected::NotComputed) => return Ok(()),
            Err(error) => {
                prop_assert!(error.to_string().starts_with("ERR "));
                return Ok(());
            }
        };
        let values = [first.as_deref(), second.as_deref()];
        let result = operation.apply(&values, limit);
        prop_assert_eq!(&result, &operation.clone().apply(&values, limit));
        match result {
            Ok(outcome) => {
                let writes = outcome.write != Write::Keep;
                prop_assert!(operation.can_write() || !writes);
                if let Write::Put(new) = &outcome.write {
                    prop_assert!(new.len() <= limit);
                }
                let mut out = Vec::new();
                outcome.reply.write(&mut out, Protocol::Resp2);
                outcome.reply.write(&mut out, Protocol::Resp3);
                prop_assert!(out.ends_with(b"\r\n"));
            }
            Err(ApplyError::TooLarge { bytes, limit: exceeded }) => {
                prop_assert!(bytes > exceeded);
                prop_assert!(operation.can_write() || operation.command() == "lcs");
            }
            Err(ApplyError::Server(error)) => {
                prop_assert!(error.to_string().starts_with("ERR "));
            }
        }
    }

    #[test]
    fn any_bytes_are_a_request_or_none(request in vec(vec(any::<u8>(), 0..20), 0..6), dialect in dialect()) {
        let arguments: Vec<&[u8]> = request.iter().map(Vec::as_slice).collect();
        let _ = Operation::parse(&arguments, dialect);
    }

    /// What a server writes as a number it reads as the same number.
    #[test]
    fn a_sum_with_zero_is_written_the_same_way(number in word()) {
        let add = |number: &[u8]| {
            let operation = Operation::parse(&[b"incrbyfloat", b"k", b"0"], Dialect::redis(7, 0)).unwrap();
            match operation.apply(&[Some(number)], 10_000).ok()?.write {
                Write::Put(sum) => Some(sum),
                _ => None,
            }
        };
        if let Some(sum) = add(&number) {
            prop_assert_eq!(add(&sum), Some(sum));
        }
    }
}
