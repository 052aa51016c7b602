//! Clients that write all their requests before they read the first reply. A server reads on and keeps the
//! replies meanwhile; so does the proxy, whichever way the requests go.

use super::wire::{Wire, request};
use super::{Pair, UPSTREAMS, bulk_of};

const LARGE: usize = 100 * 1024;

/// Requests, and the replies that they must have.
#[derive(Default)]
struct Pipeline {
    requests: Vec<u8>,
    replies: Vec<Vec<u8>>,
}

impl Pipeline {
    fn add<A: AsRef<[u8]>>(&mut self, arguments: &[A], reply: impl Into<Vec<u8>>) {
        self.requests.extend(request(arguments));
        self.replies.push(reply.into());
    }

    /// Writes everything, and only then reads.
    #[track_caller]
    fn run(&self, wire: &mut Wire, what: &str) {
        wire.send(&self.requests);
        for (at, expected) in self.replies.iter().enumerate() {
            let reply = wire.reply();
            assert!(reply.0 == *expected, "{what}, reply {at}: {reply:?}");
        }
    }
}

fn large_values() -> Pipeline {
    let mut pipeline = Pipeline::default();
    for number in 0..400 {
        let prefix = if number % 16 == 0 { "wa" } else { "open" };
        let name = format!("{prefix}:{number}");
        let value = vec![b'a' + u8::try_from(number % 26).unwrap(); LARGE];
        pipeline.add(&[&b"SET"[..], name.as_bytes(), &value], "+OK\r\n");
        pipeline.add(&["GET", &name], bulk_of(Some(&value)));
    }
    pipeline
}

fn many_small_requests() -> Pipeline {
    let mut pipeline = Pipeline::default();
    for number in 1..=100_000 {
        pipeline.add(&["INCR", "open:count"], format!(":{number}\r\n"));
    }
    pipeline
}

/// Replies that must come before the next request is checked, behind many that are not read.
fn requests_that_wait_for_replies() -> Pipeline {
    let mut pipeline = Pipeline::default();
    let value = vec![b'x'; LARGE];
    pipeline.add(&[&b"SET"[..], b"open:large", &value], "+OK\r\n");
    for _ in 0..3 {
        for _ in 0..100 {
            pipeline.add(&["GET", "open:large"], bulk_of(Some(&value)));
        }
        pipeline.add(&["WATCH", "open:large"], "+OK\r\n");
        pipeline.add(&["UNWATCH"], "+OK\r\n");
        pipeline.add(&["CLIENT", "KILL", "ID", "9999999"], ":0\r\n");
    }
    pipeline
}

fn a_long_transaction() -> Pipeline {
    const COUNT: usize = 5000;
    let mut pipeline = Pipeline::default();
    pipeline.add(&["MULTI"], "+OK\r\n");
    for number in 0..COUNT {
        let name = format!("wa:queued:{number}");
        pipeline.add(&["SET", &name, "amatista"], "+QUEUED\r\n");
    }
    let replies = "+OK\r\n".repeat(COUNT);
    pipeline.add(&["EXEC"], format!("*{COUNT}\r\n{replies}"));
    pipeline
}

#[test]
fn all_requests_may_be_written_before_the_first_reply_is_read() {
    let pipelines = [
        ("large values", large_values()),
        ("many small requests", many_small_requests()),
        ("requests that wait", requests_that_wait_for_replies()),
        ("a transaction", a_long_transaction()),
    ];
    for upstream in UPSTREAMS {
        let pair = Pair::start(upstream);
        let mut other = pair.wire();
        for (what, pipeline) in &pipelines {
            pair.redis.cli(&["DEL", "open:count"]);
            pipeline.run(&mut pair.wire(), &format!("{upstream}, {what}"));
            assert_eq!(other.ask(&["PING"]), "+PONG\r\n");
        }
    }
}
