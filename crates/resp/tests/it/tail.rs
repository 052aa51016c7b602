//! Large requests that go by without being held: they are counted and checked as those that are.

use proptest::prelude::*;
use waxseal_resp::{RequestError, RequestLimits, RequestScanner, Scan};

use crate::drive::{Seen, encode, hold_everything, request, tail};
use crate::samples::{arguments, cuts, damaged, damages};

fn holding(held: u64) -> RequestLimits {
    RequestLimits {
        held,
        ..RequestLimits::default()
    }
}

/// The end of the request at the start of these bytes, by letting go by what is longer than `held`.
fn end(bytes: &[u8], cuts: &[usize], held: u64) -> Result<Option<usize>, RequestError> {
    let mut scanner = RequestScanner::new(holding(held));
    match scanner.scan(bytes)? {
        Scan::Complete { len } => Ok(Some(len)),
        Scan::Large { .. } => {
            let start = scanner.position();
            let seen = tail(scanner.tail(), &bytes[start..], cuts)?;
            Ok(seen.done.then_some(start + seen.used))
        }
        Scan::Incomplete { .. } | Scan::Nothing { .. } => Ok(None),
    }
}

#[test]
fn the_rest_goes_by_at_every_pair_of_cuts_and_not_a_byte_more() {
    let bytes = [
        encode(&[&b"SET"[..], b"a", b"long value", b"", b"EX", b"60"]),
        b"*1\r\n".to_vec(),
    ];
    let bytes = bytes.concat();
    let mut scanner = RequestScanner::new(holding(5));
    assert_eq!(scanner.scan(&bytes), Ok(Scan::Large { length: 10 }));
    assert_eq!(scanner.scan(&bytes), Ok(Scan::Large { length: 10 }));
    assert_eq!(scanner.arguments(&bytes).as_slice(), [&b"SET"[..], b"a"]);
    assert_eq!(scanner.announced(), 6);
    let rest = &bytes[scanner.position()..];
    let whole = rest.len() - 4;
    for first in 0..=rest.len() {
        for second in first..=rest.len() {
            let seen = tail(scanner.tail(), rest, &[first, second]);
            assert_eq!(
                seen,
                Ok(Seen {
                    used: whole,
                    done: true
                })
            );
        }
    }
    for end in 0..whole {
        assert!(!tail(scanner.tail(), &rest[..end], &[]).unwrap().done);
    }
}

#[test]
fn an_argument_that_is_held_after_all_is_an_argument_like_any_other() {
    let words = [&b"MSET"[..], b"a", b"long", b"b", b"longer"];
    let bytes = encode(&words);
    let mut scanner = RequestScanner::new(holding(3));
    let mut announced = Vec::new();
    let scan = loop {
        match scanner.scan(&bytes) {
            Ok(Scan::Large { length }) => announced.push(length),
            other => break other,
        }
        scanner.hold();
    };
    assert_eq!(scan, Ok(Scan::Complete { len: bytes.len() }));
    assert_eq!(announced, [4, 4, 6]);
    assert_eq!(scanner.arguments(&bytes).as_slice(), words);
}

#[test]
fn what_has_become_too_long_goes_by_from_wherever_it_is() {
    let bytes = encode(&[&b"MSET"[..], b"a", b"", b"b", b"value\r\n"]);
    for seen in 4..=bytes.len() {
        let mut scanner = RequestScanner::new(hold_everything());
        scanner.scan(&bytes[..seen]).unwrap();
        let start = scanner.position();
        assert!(start <= seen);
        let rest = [&bytes[start..], b"*1\r\n"].concat();
        let whole = Ok(Seen {
            used: bytes.len() - start,
            done: true,
        });
        for cut in 0..rest.len() {
            assert_eq!(tail(scanner.tail(), &rest, &[cut]), whole, "{seen}");
        }
    }
}

#[test]
fn what_goes_by_is_checked() {
    for (rest, error) in [
        (&b"$9\r\n123456789ab"[..], RequestError::ArgumentEnd),
        (b"$9\r\n123456789\ra", RequestError::ArgumentEnd),
        (b"$9\r\n123456789\r\n:1\r\n", RequestError::Dollar(b':')),
        (b"$9\r\n123456789\r\n$01\r\n", RequestError::Length),
        (b"$9\r\n123456789\r\n$-1\r\n", RequestError::Length),
        (b"$9\r\n123456789\r\n$536870913\r\n", RequestError::Length),
        (b"$9\r\n123456789\r\n$1\ra", RequestError::LengthLine),
    ] {
        let bytes = [b"*3\r\n$3\r\nSET\r\n", rest].concat();
        for cut in 0..rest.len() {
            assert_eq!(end(&bytes, &[cut], 4), Err(error), "{rest:?}");
        }
    }
}

proptest! {
    #[test]
    fn what_is_held_and_what_goes_by_end_at_the_same_byte(
        arguments in arguments(),
        cuts in cuts(),
        held in 0..20_u64,
    ) {
        let bytes = [encode(&arguments), b"PING\r\n".to_vec()].concat();
        prop_assert_eq!(end(&bytes, &cuts, held), Ok(Some(bytes.len() - 6)));
    }

    #[test]
    fn damage_is_seen_alike_in_what_is_held_and_in_what_goes_by(
        arguments in arguments(),
        damages in damages(),
        cuts in cuts(),
        held in 0..20_u64,
    ) {
        let bytes = damaged(encode(&arguments), &damages);
        let whole = request(&bytes, &[], hold_everything());
        let expected = whole.scan.map(|_| whole.complete());
        let found = end(&bytes, &cuts, held);
        // What goes by is refused at the first byte that is wrong, what is held at the second.
        let one_byte_early = (Ok(None), Err(RequestError::ArgumentEnd));
        prop_assert!(found == expected || (expected, found) == one_byte_early, "{:?}", found);
    }
}
