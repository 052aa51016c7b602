//! Requests from hostile bytes: in one piece, in pieces, and going by. All must see the same request,
//! its arguments must lie within the buffer, and an array of arguments must mean exactly its bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use waxseal_resp::{
    RequestError, RequestLimits, RequestScanner, Scan, write_bulk, write_request_head,
};

/// What a scanner says at the end of a buffer.
type Found = (Result<Scan, RequestError>, Vec<Vec<u8>>);

// The first byte says how long the pieces are, the second how much is held.
fuzz_target!(|input: &[u8]| {
    let [piece, held, bytes @ ..] = input else {
        return;
    };
    let held_all = RequestLimits {
        held: u64::MAX,
        ..RequestLimits::default()
    };
    let whole = scan(bytes, bytes.len().max(1), held_all);
    assert_eq!(scan(bytes, usize::from(*piece).max(1), held_all), whole);
    let small = RequestLimits {
        held: u64::from(*held),
        ..RequestLimits::default()
    };
    assert_same_end(bytes, usize::from(*piece).max(1), small, &whole.0);
    if let Ok(Scan::Complete { len }) = whole.0
        && bytes.first() == Some(&b'*')
    {
        let mut again = Vec::new();
        write_request_head(&mut again, whole.1.len());
        for argument in &whole.1 {
            write_bulk(&mut again, argument);
        }
        assert_eq!(again, &bytes[..len]);
    }
});

fn scan(bytes: &[u8], piece: usize, limits: RequestLimits) -> Found {
    let mut scanner = RequestScanner::new(limits);
    let mut end = 0;
    loop {
        end = bytes.len().min(end + piece);
        let seen = &bytes[..end];
        let scan = scanner.scan(seen);
        for (from, to) in scanner.spans() {
            assert!(from <= to && *to <= seen.len());
        }
        let incomplete = match scan {
            Ok(Scan::Incomplete { at_least }) => {
                assert!(at_least > seen.len());
                true
            }
            Ok(Scan::Complete { len } | Scan::Nothing { len }) => {
                assert!(len <= seen.len());
                false
            }
            Ok(Scan::Large { .. }) | Err(_) => false,
        };
        if !incomplete || end == bytes.len() {
            let arguments = scanner.arguments(seen);
            return (scan, arguments.iter().map(|it| it.to_vec()).collect());
        }
    }
}

/// What is not held ends where it would end if it were.
fn assert_same_end(
    bytes: &[u8],
    piece: usize,
    limits: RequestLimits,
    whole: &Result<Scan, RequestError>,
) {
    let mut scanner = RequestScanner::new(limits);
    if !matches!(scanner.scan(bytes), Ok(Scan::Large { .. })) {
        return;
    }
    let mut tail = scanner.tail();
    let (mut start, mut end) = (scanner.position(), scanner.position());
    loop {
        end = bytes.len().min(end + piece);
        let passed = match tail.scan(&bytes[start..end]) {
            Ok(passed) => passed,
            Err(error) => {
                // What goes by is refused at the first byte that is wrong, what is held at the second.
                let early = error == RequestError::ArgumentEnd
                    && matches!(whole, Ok(Scan::Incomplete { .. }));
                assert!(early || *whole == Err(error));
                return;
            }
        };
        start += passed.used;
        assert!(start <= end);
        if passed.done {
            assert_eq!(*whole, Ok(Scan::Complete { len: start }));
            return;
        }
        if end == bytes.len() {
            assert!(matches!(whole, Ok(Scan::Incomplete { .. })));
            return;
        }
    }
}
