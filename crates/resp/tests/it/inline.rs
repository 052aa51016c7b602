//! Inline requests, cut at every position.

use proptest::collection::vec;
use proptest::prelude::*;
use waxseal_resp::{RequestError, RequestLimits, Scan};

use crate::drive::request;
use crate::samples::{cuts, odd_byte};

#[test]
fn a_line_is_found_at_every_pair_of_cuts() {
    let lines: [(&[u8], &[&[u8]]); 5] = [
        (b"PING\r\n", &[b"PING"]),
        (b"GET wa:1\n", &[b"GET", b"wa:1"]),
        (b" SET\t\"a b\" 'it\\'s'  \r\n", &[b"SET", b"a b", b"it's"]),
        (
            b"SET \"\\x00\\xfF\\n\\r\" \"\"\n",
            &[b"SET", b"\0\xff\n\r", b""],
        ),
        (b"a\r'b\x0bc'\r\r\n", &[b"a", b"b\x0bc"]),
    ];
    for (line, arguments) in lines {
        let mut bytes = line.to_vec();
        bytes.extend_from_slice(b"PING\r\n");
        for first in 0..=line.len() {
            for second in first..=line.len() {
                let found = request(&bytes, &[first, second], RequestLimits::default());
                assert_eq!(found.complete(), Some(line.len()));
                assert_eq!(found.arguments, arguments);
                assert_eq!(found.announced, arguments.len());
                assert!(found.inline);
            }
        }
        for end in 0..line.len() {
            let found = request(&line[..end], &[], RequestLimits::default());
            assert_eq!(found.scan, Ok(Scan::Incomplete { at_least: end + 1 }));
            assert!(found.arguments.is_empty());
        }
    }
}

#[test]
fn a_line_without_arguments_is_nothing() {
    for line in [&b"\n"[..], b"\r\n", b" \t\r \r\n", b"\r\r\n"] {
        for cut in 0..line.len() {
            let found = request(line, &[cut], RequestLimits::default());
            assert_eq!(found.scan, Ok(Scan::Nothing { len: line.len() }));
        }
    }
}

#[test]
fn only_an_asterisk_at_the_start_begins_an_array() {
    let found = request(b" *1\r\n$4\r\nPING\r\n", &[], RequestLimits::default());
    assert_eq!(found.complete(), Some(5));
    assert_eq!(found.arguments, [b"*1"]);
}

#[test]
fn open_quotes_and_unclear_bytes_are_refused_wherever_they_are_cut() {
    for (line, error) in [
        (&b"GET \"a\r\n"[..], RequestError::Quotes),
        (b"GET 'a\\'\n", RequestError::Quotes),
        (b"GET \"a\"b\n", RequestError::Quotes),
        (b"GET a\0b\r\n", RequestError::Zero),
        (b"\0\n", RequestError::Zero),
        (b"GET a\x0bb\n", RequestError::Unclear),
        (b"GET \x0cb\n", RequestError::Unclear),
        (b"GET 'wa\xff:1'\n", RequestError::Unclear),
    ] {
        for cut in 0..line.len() {
            let found = request(line, &[cut], RequestLimits::default());
            assert_eq!(found.scan, Err(error));
            assert!(found.arguments.is_empty());
        }
    }
}

proptest! {
    #[test]
    fn quoted_arguments_are_read_unchanged(
        arguments in vec(vec(any::<u8>(), 0..20), 1..8),
        cuts in cuts(),
    ) {
        let mut line = Vec::new();
        for word in &arguments {
            line.push(b'"');
            line.extend(word.iter().flat_map(|byte| format!("\\x{byte:02X}").into_bytes()));
            line.extend_from_slice(b"\" ");
        }
        line.push(b'\n');
        let found = request(&line, &cuts, RequestLimits::default());
        prop_assert_eq!(found.complete(), Some(line.len()));
        prop_assert_eq!(found.arguments, arguments);
    }

    #[test]
    fn a_line_is_read_alike_at_every_cut(line in vec(odd_byte(), 0..60), cuts in cuts()) {
        let line = [b"a ", &line[..], b"\n"].concat();
        let whole = request(&line, &[], RequestLimits::default());
        prop_assert_eq!(request(&line, &cuts, RequestLimits::default()), whole);
    }
}
