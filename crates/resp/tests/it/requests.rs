//! Requests of many arguments: cut at every position, truncated at every position, and encoded again.

use proptest::prelude::*;
use waxseal_resp::{RequestLimits, RequestScanner, Scan};

use crate::drive::{encode, hold_everything, request};
use crate::samples::{arguments, cuts};

const REQUESTS: [&[&[u8]]; 6] = [
    &[b"PING"],
    &[b"GET", b""],
    &[b"SET", b"wa:1", b"a\r\nb"],
    &[b"", b"", b""],
    &[b"*1\r\n$1\r\na\r\n", b"$-1\r\n"],
    &[
        b"MSET",
        b"a",
        b"\0",
        b"b",
        b"0123456789",
        b"c",
        b"\xff",
        b"d",
        b"",
        b"e",
    ],
];

#[test]
fn a_request_is_found_at_every_pair_of_cuts() {
    for arguments in REQUESTS {
        let mut bytes = encode(arguments);
        let len = bytes.len();
        bytes.extend_from_slice(b"*1\r\n");
        for first in 0..=len {
            for second in first..=len {
                let found = request(&bytes, &[first, second], RequestLimits::default());
                assert_eq!(found.complete(), Some(len));
                assert_eq!(found.arguments, arguments);
                assert_eq!(found.announced, arguments.len());
                assert!(!found.inline);
            }
        }
    }
}

#[test]
fn a_truncated_request_is_incomplete_and_asks_for_no_more_than_its_length() {
    for arguments in REQUESTS {
        let bytes = encode(arguments);
        for end in 0..bytes.len() {
            let found = request(&bytes[..end], &[], RequestLimits::default());
            let Ok(Scan::Incomplete { at_least }) = found.scan else {
                panic!("{:?} after {end} bytes", found.scan);
            };
            assert!((end + 1..=bytes.len()).contains(&at_least));
            assert!(found.arguments.len() <= arguments.len());
            assert_eq!(found.arguments, arguments[..found.arguments.len()]);
        }
    }
}

#[test]
fn the_missing_length_of_a_long_argument_is_known() {
    let found = request(
        b"*2\r\n$3\r\nGET\r\n$1000\r\nabc",
        &[],
        RequestLimits::default(),
    );
    assert_eq!(
        found.scan,
        Ok(Scan::Incomplete {
            at_least: 20 + 1_000 + 2
        })
    );
}

#[test]
fn an_empty_array_is_nothing_at_every_cut() {
    for bytes in [
        &b"*0\r\n*1\r\n"[..],
        b"*-1\r\n*1\r\n",
        b"*-9223372036854775808\r\n*",
    ] {
        let len = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        for cut in 0..bytes.len() {
            let found = request(bytes, &[cut], RequestLimits::default());
            assert_eq!(found.scan, Ok(Scan::Nothing { len }));
        }
    }
}

#[test]
fn a_scanner_that_is_reset_starts_over() {
    let mut scanner = RequestScanner::new(RequestLimits::default());
    let mut bytes = Vec::new();
    for arguments in REQUESTS {
        bytes.extend(encode(arguments));
        bytes.extend_from_slice(b"PING 'a b'\r\n\r\n*0\r\n");
    }
    let mut remaining = &bytes[..];
    let mut found = Vec::new();
    while !remaining.is_empty() {
        assert!(scanner.is_at_start());
        match scanner.scan(remaining).unwrap() {
            Scan::Complete { len } => {
                let arguments = scanner.arguments(remaining);
                assert_eq!(arguments.len(), scanner.announced());
                found.push(arguments.iter().map(|it| it.to_vec()).collect::<Vec<_>>());
                remaining = &remaining[len..];
            }
            Scan::Nothing { len } => remaining = &remaining[len..],
            other => panic!("{other:?}"),
        }
        scanner.reset();
    }
    let inline: &[&[u8]] = &[b"PING", b"a b"];
    let expected = REQUESTS.iter().flat_map(|it| [*it, inline]);
    assert!(found.iter().map(Vec::as_slice).eq(expected));
}

#[test]
fn a_request_of_many_arguments_can_be_scanned_byte_by_byte() {
    let arguments: Vec<Vec<u8>> = (0..50_000)
        .map(|n: u32| n.to_string().into_bytes())
        .collect();
    let bytes = encode(&arguments);
    let mut scanner = RequestScanner::new(RequestLimits::default());
    for end in 0..bytes.len() {
        let scan = scanner.scan(&bytes[..end]).unwrap();
        assert!(matches!(scan, Scan::Incomplete { .. }));
    }
    let len = bytes.len();
    assert_eq!(scanner.scan(&bytes), Ok(Scan::Complete { len }));
    assert!(scanner.arguments(&bytes).iter().eq(arguments.iter()));
}

proptest! {
    #[test]
    fn a_scanned_request_encodes_to_the_same_bytes(
        arguments in arguments(),
        cuts in cuts(),
        more in proptest::collection::vec(any::<u8>(), 0..4),
    ) {
        let bytes = encode(&arguments);
        let len = bytes.len();
        let found = request(&[&bytes[..], &more].concat(), &cuts, hold_everything());
        prop_assert_eq!(found.complete(), Some(len));
        prop_assert_eq!(&found.arguments, &arguments);
        prop_assert_eq!(encode(&found.arguments), bytes);
    }
}
