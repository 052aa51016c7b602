//! Requests and replies with bytes changed, added and removed: an error, incomplete, or a message
//! that encodes to exactly its own bytes. Nothing is read in two ways, at any chunking.

use proptest::collection::vec;
use proptest::prelude::*;
use waxseal_resp::{Item, Items, Kind, RequestLimits, Scan};

use crate::drive::{encode, hold_everything, reply, request};
use crate::samples::{arguments, cuts, damaged, damages, odd_byte, replies};

/// Encodes an element from its parsed form.
fn written(item: &Item<'_>) -> Vec<u8> {
    let first = item.raw[0];
    let count = match item.kind {
        Kind::Array(n) | Kind::Map(n) | Kind::Push(n) | Kind::Attribute(n) => n,
        Kind::Null if first != b'_' => return [&[first][..], b"-1\r\n"].concat(),
        _ if b"$=!".contains(&first) => {
            let head = format!("{}{}\r\n", char::from(first), item.text.len());
            return [head.as_bytes(), item.text, b"\r\n"].concat();
        }
        _ => return [&[first], item.text, b"\r\n"].concat(),
    };
    format!("{}{count}\r\n", char::from(first)).into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_damaged_request_encodes_to_its_own_bytes_or_is_refused(
        arguments in arguments(),
        damages in damages(),
        cuts in cuts(),
    ) {
        let bytes = damaged(encode(&arguments), &damages);
        let found = request(&bytes, &[], hold_everything());
        prop_assert_eq!(&request(&bytes, &cuts, hold_everything()), &found);
        let every: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(&request(&bytes, &every, hold_everything()), &found);
        if let (Some(len), false) = (found.complete(), found.inline) {
            prop_assert_eq!(found.announced, found.arguments.len());
            prop_assert_eq!(encode(&found.arguments), &bytes[..len]);
        }
    }

    #[test]
    fn any_bytes_are_read_alike_at_any_chunking(bytes in vec(odd_byte(), 0..60), cuts in cuts()) {
        for start in [&b""[..], b"*1\r\n$", b"*2\r\n$1\r\na\r\n"] {
            let bytes = [start, &bytes].concat();
            let whole = request(&bytes, &[], RequestLimits::default());
            prop_assert_eq!(&request(&bytes, &cuts, RequestLimits::default()), &whole);
            if matches!(whole.scan, Ok(Scan::Large { .. })) {
                prop_assert!(whole.arguments.len() < whole.announced);
            }
        }
        for start in [&b""[..], b"*", b"$1", b"%1\r\n+"] {
            let bytes = [start, &bytes].concat();
            prop_assert_eq!(reply(&bytes, &cuts), reply(&bytes, &[]));
        }
    }

    #[test]
    fn a_damaged_reply_encodes_to_its_own_bytes_or_is_refused(
        node in replies(),
        damages in damages(),
        cuts in cuts(),
    ) {
        let bytes = damaged(node.bytes(), &damages);
        let seen = reply(&bytes, &[]);
        prop_assert_eq!(reply(&bytes, &cuts), seen);
        let Ok(seen) = seen else { return Ok(()) };
        if seen.done {
            let bytes = &bytes[..seen.used];
            prop_assert_eq!(Items::of(bytes).skip().unwrap(), bytes);
            let mut items = Items::of(bytes);
            let mut again = Vec::new();
            while let Some(item) = items.next().unwrap() {
                again.extend(written(&item));
            }
            prop_assert_eq!(again, bytes);
        }
    }

    #[test]
    fn a_walk_over_anything_ends_and_invents_no_byte(bytes in vec(odd_byte(), 0..80)) {
        let mut items = Items::of(&bytes);
        let mut raw = Vec::new();
        while let Ok(Some(item)) = items.next() {
            prop_assert!(!item.raw.is_empty() && item.text.len() < item.raw.len());
            raw.extend_from_slice(item.raw);
        }
        prop_assert!(bytes.starts_with(&raw));
        if let Ok(progress) = Items::of(&bytes).skip() {
            prop_assert!(bytes.starts_with(progress));
        }
    }
}
