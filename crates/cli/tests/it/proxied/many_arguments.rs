//! Requests of more than 1,048,576 arguments, which was the limit of servers before Redis 7.

use super::wire::request;
use super::{Pair, UPSTREAMS};

const COUNT: usize = 1_100_000;

/// A request whose arguments behind these are numbered, or the same two by turns.
fn long(words: &[&str], pairs: bool) -> Vec<u8> {
    let name = |at: usize| match pairs {
        true => format!("open:{}", at / 2 % 10),
        false => format!("open:{}", at % 1000),
    };
    let words = words.iter().map(ToString::to_string);
    let all: Vec<_> = words.chain((0..COUNT).map(name)).collect();
    request(&all)
}

#[test]
fn a_request_of_very_many_arguments_passes_unless_it_is_protected_and_too_large() {
    let push = long(&["RPUSH", "open:list"], false);
    let delete = long(&["DEL"], false);
    let set = long(&["MSET"], true);
    let protected = long(&["RPUSH", "wa:list"], false);
    for upstream in UPSTREAMS {
        // Each is held until it can be judged.
        let pair = Pair::with(upstream, &["--max-value", "48MiB", "--workers", "1"]);
        let mut wire = pair.wire();
        for (bytes, reply) in [
            (&push, format!(":{COUNT}\r\n")),
            (&set, "+OK\r\n".to_owned()),
            (&delete, ":10\r\n".to_owned()),
        ] {
            wire.send(bytes);
            assert_eq!(wire.reply(), reply.as_str(), "{upstream}");
        }
        drop(pair);
        // None can be held: one that is certain to pass is streamed.
        let pair = Pair::with(upstream, &["--max-value", "1MiB", "--workers", "1"]);
        let mut wire = pair.wire();
        wire.send(&push);
        assert_eq!(wire.reply(), format!(":{COUNT}\r\n").as_str(), "{upstream}");
        wire.send(&protected);
        let reply = wire.reply();
        let refused = "-SEALREFUSED RPUSH: the request is larger than 2097152 bytes";
        assert!(reply.starts_with(refused), "{upstream}: {reply:?}");
        assert_eq!(wire.ask(&["EXISTS", "wa:list"]), ":0\r\n");
    }
}
