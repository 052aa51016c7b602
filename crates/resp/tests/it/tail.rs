//! Large requests that are streamed and not held: they are counted and checked as those that are held.

use proptest::prelude::*;
use waxseal_resp::{Progress, RequestError, RequestLimits, RequestScanner, Scan};

use crate::drive::{encode, hold_everything, request, tail};
use crate::samples::{arguments, cuts, damaged, damages};

fn holding(held: u64) -> RequestLimits {
    RequestLimits {
        held,
        ..RequestLimits::default()
    }
}

/// The end of the request at the start of these bytes, if arguments longer than `held` are streamed.
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
fn exactly_the_remainder_is_consumed_at_every_pair_of_cuts() {
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
    let remaining = &bytes[scanner.position()..];
    let whole = remaining.len() - 4;
    for first in 0..=remaining.len() {
        for second in first..=remaining.len() {
            let seen = tail(scanner.tail(), remaining, &[first, second]);
            assert_eq!(
                seen,
                Ok(Progress {
                    used: whole,
                    done: true
                })
            );
        }
    }
    for end in 0..whole {
        assert!(!tail(scanner.tail(), &remaining[..end], &[]).unwrap().done);
    }
}

#[test]
fn an_argument_that_is_held_after_all_is_returned() {
    let arguments = [&b"MSET"[..], b"a", b"long", b"b", b"longer"];
    let bytes = encode(&arguments);
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
    assert_eq!(scanner.arguments(&bytes).as_slice(), arguments);
}

#[test]
fn a_request_that_has_become_too_long_is_streamed_from_any_position() {
    let bytes = encode(&[&b"MSET"[..], b"a", b"", b"b", b"value\r\n"]);
    for seen in 4..=bytes.len() {
        let mut scanner = RequestScanner::new(hold_everything());
        scanner.scan(&bytes[..seen]).unwrap();
        let start = scanner.position();
        assert!(start <= seen);
        let remaining = [&bytes[start..], b"*1\r\n"].concat();
        let whole = Ok(Progress {
            used: bytes.len() - start,
            done: true,
        });
        for cut in 0..remaining.len() {
            assert_eq!(tail(scanner.tail(), &remaining, &[cut]), whole, "{seen}");
        }
    }
}

#[test]
fn a_streamed_request_is_checked() {
    for (remaining, error) in [
        (&b"$9\r\n123456789ab"[..], RequestError::ArgumentEnd),
        (b"$9\r\n123456789\ra", RequestError::ArgumentEnd),
        (b"$9\r\n123456789\r\n:1\r\n", RequestError::Dollar(b':')),
        (b"$9\r\n123456789\r\n$01\r\n", RequestError::Length),
        (b"$9\r\n123456789\r\n$-1\r\n", RequestError::Length),
        (b"$9\r\n123456789\r\n$536870913\r\n", RequestError::Length),
        (b"$9\r\n123456789\r\n$1\ra", RequestError::LengthLine),
    ] {
        let bytes = [b"*3\r\n$3\r\nSET\r\n", remaining].concat();
        for cut in 0..remaining.len() {
            assert_eq!(end(&bytes, &[cut], 4), Err(error), "{remaining:?}");
        }
    }
}

proptest! {
    #[test]
    fn held_and_streamed_requests_end_at_the_same_byte(
        arguments in arguments(),
        cuts in cuts(),
        held in 0..20_u64,
    ) {
        let bytes = [encode(&arguments), b"PING\r\n".to_vec()].concat();
        prop_assert_eq!(end(&bytes, &cuts, held), Ok(Some(bytes.len() - 6)));
    }

    #[test]
    fn damage_is_detected_alike_in_held_and_streamed_requests(
        arguments in arguments(),
        damages in damages(),
        cuts in cuts(),
        held in 0..20_u64,
    ) {
        let bytes = damaged(encode(&arguments), &damages);
        let whole = request(&bytes, &[], hold_everything());
        let expected = whole.scan.map(|_| whole.complete());
        let found = end(&bytes, &cuts, held);
        // A streamed request is refused at its first wrong byte, a held one at the second.
        let one_byte_early = (Ok(None), Err(RequestError::ArgumentEnd));
        prop_assert!(found == expected || (expected, found) == one_byte_early, "{:?}", found);
    }
}
