//! Replies of both versions, up to the maximum depth: the end of each at every chunking, and the elements of a
//! walk over it.

use proptest::prelude::*;
use waxseal_resp::{FirstWord, Items, Progress, ReplyScanner, first_word};

use crate::drive::reply;
use crate::samples::{Expected, Node, cuts, replies};

/// Returns every element of a walk.
fn walk(bytes: &[u8]) -> Vec<Expected> {
    let mut items = Items::of(bytes);
    let mut found = Vec::new();
    while let Some(item) = items.next().unwrap() {
        found.push(Expected {
            kind: item.kind,
            raw: item.raw.to_vec(),
            text: item.text.to_vec(),
        });
    }
    found
}

proptest! {
    #[test]
    fn a_reply_ends_where_it_ends_at_any_chunking(node in replies(), cuts in cuts()) {
        let bytes = node.bytes();
        let seen = Progress { used: bytes.len(), done: true };
        prop_assert_eq!(reply(&bytes, &cuts), Ok(seen));
        let more = [&bytes[..], b"+NEXT\r\n"].concat();
        prop_assert_eq!(reply(&more, &cuts), Ok(seen));
        let every: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(reply(&bytes, &every), Ok(seen));
    }

    #[test]
    fn a_truncated_reply_is_not_done(node in replies()) {
        let bytes = node.bytes();
        for end in 0..bytes.len() {
            let seen = reply(&bytes[..end], &[]).unwrap();
            prop_assert!(!seen.done && seen.used <= end);
        }
    }

    #[test]
    fn a_walk_finds_every_element_and_loses_no_byte(node in replies()) {
        let bytes = node.bytes();
        prop_assert!(node.depth() <= 64);
        prop_assert_eq!(walk(&bytes), node.elements());
    }

    #[test]
    fn skipping_an_element_skips_everything_in_it(node in replies()) {
        let bytes = node.bytes();
        prop_assert_eq!(Items::of(&bytes).skip().unwrap(), &bytes[..]);
        let mut items = Items::of(&bytes);
        items.next().unwrap();
        for inside in node.inside() {
            prop_assert_eq!(items.skip().unwrap(), &inside[..]);
        }
        prop_assert!(items.next().unwrap().is_none());
    }

    #[test]
    fn consecutive_replies_are_separated(nodes in prop::collection::vec(replies(), 1..5)) {
        let bytes: Vec<u8> = nodes.iter().flat_map(Node::bytes).collect();
        let mut scanner = ReplyScanner::new();
        let mut remaining = &bytes[..];
        for node in &nodes {
            prop_assert!(scanner.is_at_start());
            let progress = scanner.scan(remaining).unwrap();
            prop_assert!(progress.done);
            prop_assert_eq!(&remaining[..progress.used], &node.bytes()[..]);
            remaining = &remaining[progress.used..];
        }
        prop_assert!(remaining.is_empty() && scanner.is_at_start());
    }
}

#[test]
fn a_scanner_is_at_its_start_until_bytes_are_consumed() {
    for (bytes, at_start) in [
        (&b""[..], true),
        (b"$", true),
        (b"$12\r", true),
        (b"+", false),
        (b"$12\r\n", false),
        (b"*1\r\n", false),
        (b"|0\r\n", false),
        (b"*0\r\n", true),
    ] {
        let mut scanner = ReplyScanner::new();
        scanner.scan(bytes).unwrap();
        assert_eq!(scanner.is_at_start(), at_start, "{bytes:?}");
    }
}

#[test]
fn attributes_belong_to_the_reply_after_them() {
    let bytes = b"|1\r\n+ttl\r\n:3\r\n|0\r\n*1\r\n|1\r\n+a\r\n+b\r\n$1\r\nx\r\n";
    for first in 0..bytes.len() {
        for second in first..bytes.len() {
            let seen = Progress {
                used: bytes.len(),
                done: true,
            };
            assert_eq!(reply(bytes, &[first, second]), Ok(seen));
        }
    }
    assert_eq!(Items::of(bytes).skip().unwrap(), bytes);
}

#[test]
fn the_first_word_is_open_until_it_is_complete() {
    for bytes in [&b">3\r\n$7\r\nmessage\r\n"[..], b"*3\r\n$7\r\nmessage\r\n"] {
        let whole = bytes.len() - 2;
        for end in 0..whole {
            assert_eq!(first_word(&bytes[..end]), FirstWord::Open, "{end}");
        }
        for end in whole..=bytes.len() {
            assert_eq!(first_word(&bytes[..end]), FirstWord::Word(b"message"));
        }
    }
    for other in [
        &b"*0\r\n"[..],
        b"*2\r\n$65\r\n",
        b"*2\r\n$-1\r\n",
        b"*2\r\n+a\r\n",
        b"*x\r\n",
        b"*1\rx",
        b"%1\r\n$1\r\na\r\n",
    ] {
        assert_eq!(first_word(other), FirstWord::Other, "{other:?}");
    }
}

#[test]
fn a_null_with_a_text_is_not_a_null() {
    let mut items = Items::of(b"_x\r\n");
    let item = items.next().unwrap().unwrap();
    assert_eq!(
        (item.kind, item.text),
        (waxseal_resp::Kind::Other, &b"x"[..])
    );
}

proptest! {
    #[test]
    fn more_bytes_never_change_the_first_word(node in replies()) {
        let bytes = node.bytes();
        let whole = first_word(&bytes);
        for end in 0..bytes.len() {
            let early = first_word(&bytes[..end]);
            prop_assert!(early == FirstWord::Open || early == whole, "{:?} {:?}", early, whole);
        }
    }
}
