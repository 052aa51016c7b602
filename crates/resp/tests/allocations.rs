//! The memory that input can claim: nothing is allocated because a number announces it, and a
//! scanner that is used again needs none. A separate binary, because counting replaces the allocator
//! of the whole program.

use allocation_counter::measure;
use waxseal_resp::{
    Items, ReplyError, ReplyScanner, RequestLimits, RequestScanner, Scan, write_bulk,
    write_request_head,
};

fn request(arguments: usize, argument: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_request_head(&mut bytes, arguments);
    for _ in 0..arguments {
        write_bulk(&mut bytes, argument);
    }
    bytes
}

#[test]
fn announced_counts_and_lengths_allocate_nothing() {
    for (bytes, expected) in [
        (&b"*1048576\r\n"[..], Scan::Incomplete { at_least: 11 }),
        (
            b"*1048576\r\n$536870912\r\n",
            Scan::Large {
                length: 536_870_912,
            },
        ),
        (
            b"*1048576\r\n$67108864\r\nabc",
            Scan::Incomplete {
                at_least: 67_108_887,
            },
        ),
    ] {
        let mut scan = None;
        let used = measure(|| {
            scan = Some(RequestScanner::new(RequestLimits::default()).scan(bytes));
        });
        assert_eq!(scan, Some(Ok(expected)));
        assert_eq!(used.count_total, 0, "{expected:?}");
    }
    for bytes in [
        &b"*4294967296\r\n"[..],
        b"%4294967296\r\n",
        b"$1099511627776\r\nabc",
    ] {
        let mut done = true;
        let used = measure(|| done = ReplyScanner::new().scan(bytes).unwrap().done);
        assert!(!done);
        assert!(used.bytes_total <= 64, "{used:?}");
    }
    let used = measure(|| {
        let mut items = Items::of(b"*4294967296\r\n$1099511627776\r\nabc");
        assert!(items.skip().is_err());
    });
    assert_eq!(used.count_total, 0);
}

#[test]
fn a_million_arrays_in_arrays_are_refused_within_256_kilobytes() {
    let deep = b"*1\r\n".repeat(1_000_000);
    let mut found = None;
    let used = measure(|| found = Some(ReplyScanner::new().scan(&deep)));
    assert_eq!(found, Some(Err(ReplyError::Depth)));
    assert!(used.bytes_max <= 256 * 1024, "{used:?}");
}

#[test]
fn a_scanner_that_is_used_again_allocates_nothing() {
    let bytes = request(8, b"argument");
    let mut scanner = RequestScanner::new(RequestLimits::default());
    scanner.scan(&bytes).unwrap();
    let mut seen = 0;
    let used = measure(|| {
        for _ in 0..100 {
            scanner.reset();
            scanner.scan(&bytes).unwrap();
            seen += scanner.arguments(&bytes).len();
        }
    });
    assert_eq!((seen, used.count_total), (800, 0));

    let reply = b"*2\r\n*2\r\n:1\r\n$1\r\na\r\n%1\r\n+a\r\n+b\r\n";
    let mut scanner = ReplyScanner::new();
    scanner.scan(reply).unwrap();
    let used = measure(|| assert!(scanner.scan(reply).unwrap().done));
    assert_eq!(used.count_total, 0);
}

#[test]
fn the_memory_for_a_million_arguments_is_not_kept() {
    let bytes = request(1024 * 1024, b"");
    let mut kept = None;
    let used = measure(|| {
        let mut scanner = RequestScanner::new(RequestLimits::default());
        assert!(matches!(scanner.scan(&bytes), Ok(Scan::Complete { .. })));
        scanner.reset();
        kept = Some(scanner);
    });
    assert!(kept.is_some());
    assert_eq!(used.bytes_current, 0);
    // A scanner stores two numbers for each argument, in a list that grows by doubling.
    assert!(used.bytes_max <= 6 * bytes.len() as u64, "{used:?}");
}

#[test]
fn a_streamed_request_is_not_held() {
    let limits = RequestLimits {
        held: 1,
        ..RequestLimits::default()
    };
    let bytes = request(10_000, b"longer than one byte");
    let mut scanner = RequestScanner::new(limits);
    assert_eq!(scanner.scan(&bytes), Ok(Scan::Large { length: 20 }));
    let mut tail = scanner.tail();
    let mut done = false;
    let used = measure(|| {
        let progress = tail.scan(&bytes[scanner.position()..]).unwrap();
        done = progress.done;
    });
    assert!(done);
    assert_eq!(used.count_total, 0);
}
