//! Clients that hold up the others on their lane: those that read, but so slowly that the others would
//! wait for minutes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::wire::{Wire, request};
use super::{Pair, UPSTREAMS};
use crate::program::wait_until;

/// Replies that are asked for at once.
const REPLIES: usize = 1000;
const VALUE: usize = 256 * 1024;
/// The amount that a slow client reads at a time, and how often.
const PIECE: usize = 256 * 1024;
const PAUSE: Duration = Duration::from_millis(100);
/// In which everybody else is answered; all replies would take minutes.
const LIMIT: Duration = Duration::from_secs(15);

/// Reads steadily until told to stop, or until the connection ends.
fn read_slowly(mut wire: Wire, has_begun: &AtomicBool, is_over: &AtomicBool) {
    wire.set_timeout(LIMIT);
    let mut piece = vec![0; PIECE];
    while !is_over.load(Ordering::Relaxed) {
        // It may be cut off.
        let Ok(1..) = wire.read(&mut piece) else {
            break;
        };
        has_begun.store(true, Ordering::Relaxed);
        std::thread::sleep(PAUSE);
    }
    has_begun.store(true, Ordering::Relaxed);
}

/// More than the sockets between a client and a server hold.
const LARGE: usize = 64 * 1024 * 1024;

#[test]
fn a_lane_that_waits_for_the_reader_of_a_large_reply_is_read_for_another_client() {
    let pair = Pair::with("shared", &["--workers", "1", "--lanes", "1"]);
    pair.redis.cli(&["SET", "open:small", "small"]);
    let large = vec![b'x'; LARGE];
    let set = [&b"SET"[..], b"open:large", &large];
    assert_eq!(pair.redis.client().cmd(&set).to_text(), "OK");
    let head = format!("${LARGE}\r\n");
    let (has_begun, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut slow = pair.wire();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            slow.send(&request(&["GET", "open:large"]));
            let mut left = head.len() + LARGE + 2;
            let mut piece = vec![0; PIECE];
            while left > 0 {
                let len = slow.read(&mut piece).expect("it is served to the end");
                assert!(len > 0, "it is cut off");
                left -= len;
                has_begun.store(true, Ordering::Relaxed);
                // Steadily, so that it is waited for, until the other is answered.
                if !is_over.load(Ordering::Relaxed) {
                    std::thread::sleep(PAUSE);
                }
            }
        });
        wait_until(|| has_begun.load(Ordering::Relaxed));
        assert_eq!(pair.wire().ask(&["GET", "open:small"]), "$5\r\nsmall\r\n");
        assert!(!reader.is_finished(), "the large reply was read before");
        is_over.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
}

#[test]
fn a_client_that_reads_slowly_blocks_no_one_for_long() {
    for upstream in UPSTREAMS {
        let pair = Pair::with(upstream, &["--workers", "1", "--max-stall", "1"]);
        let mut other = pair.wire();
        other.ask(&[&b"SET"[..], b"open:big", &vec![b'x'; VALUE]]);
        let (has_begun, is_over) = (AtomicBool::new(false), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let mut slow = pair.wire();
            slow.send(&request(&["GET", "open:big"]).repeat(REPLIES));
            scope.spawn(|| read_slowly(slow, &has_begun, &is_over));
            wait_until(|| has_begun.load(Ordering::Relaxed));
            let begin = Instant::now();
            let mut answered = 0;
            while answered < 50 {
                let left = LIMIT.saturating_sub(begin.elapsed());
                other.set_timeout(left.max(Duration::from_millis(1)));
                other.send(&request(&["PING"]));
                match other.try_reply() {
                    Ok(reply) => assert_eq!(reply, "+PONG\r\n", "{upstream}"),
                    Err(_) => break,
                }
                answered += 1;
            }
            is_over.store(true, Ordering::Relaxed);
            let time = begin.elapsed();
            assert_eq!(answered, 50, "{upstream}: after {time:?}");
        });
    }
}
