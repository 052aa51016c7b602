//! Replies from hostile bytes: in one piece and in pieces, where both must end at the same byte; then
//! taken apart, where no byte may be lost.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxseal_resp::{FirstWord, Items, ReplyError, ReplyScanner, first_word};

// The first byte says how long the pieces are.
fuzz_target!(|input: &[u8]| {
    let [piece, bytes @ ..] = input else {
        return;
    };
    let whole = scan(bytes, bytes.len().max(1));
    assert_eq!(scan(bytes, usize::from(*piece).max(1)), whole);
    assert_eq!(scan(bytes, 1), whole);

    let word = first_word(bytes);
    let early = first_word(&bytes[..bytes.len() / 2]);
    assert!(early == FirstWord::Open || early == word);

    walk(bytes);
    if let Ok((len, true)) = whole {
        let reply = &bytes[..len];
        assert_eq!(walk(reply), Some(len));
        assert_eq!(Items::of(reply).skip().as_deref(), Ok(reply));
    }
});

/// Bytes taken, and whether the reply ends there.
fn scan(bytes: &[u8], piece: usize) -> Result<(usize, bool), ReplyError> {
    let mut scanner = ReplyScanner::new();
    let (mut start, mut end) = (0, 0);
    loop {
        end = bytes.len().min(end + piece);
        let scanned = scanner.scan(&bytes[start..end])?;
        start += scanned.used;
        assert!(start <= end);
        if scanned.done {
            assert!(scanner.is_at_start());
            return Ok((start, true));
        }
        if end == bytes.len() {
            return Ok((start, false));
        }
    }
}

/// The bytes of all elements together; nothing when the walk breaks off.
fn walk(bytes: &[u8]) -> Option<usize> {
    let mut items = Items::of(bytes);
    let mut len = 0;
    while let Some(item) = items.next().ok()? {
        assert!(!item.raw.is_empty());
        assert!(bytes[len..].starts_with(item.raw));
        len += item.raw.len();
    }
    Some(len)
}
