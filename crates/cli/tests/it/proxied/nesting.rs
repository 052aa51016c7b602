//! Replies of arrays in arrays, as deep as a server makes them.

use super::wire::{Raw, Wire, bulk, request};
use super::{Pair, UPSTREAMS};

#[test]
fn a_deeply_nested_reply_passes_as_it_is_and_disconnects_no_client() {
    for upstream in UPSTREAMS {
        for depth in [10, 1000, 7000] {
            let context = format!("{upstream}, {depth}");
            let script = format!("local t = {{}} for i = 1, {depth} do t = {{t}} end return t");
            let nest = ["EVAL", &script, "0"];
            let pair = Pair::with(upstream, &["--workers", "1"]);
            let mut other = pair.wire();
            assert_eq!(other.ask(&["SET", "wa:1", "amatista"]), "+OK\r\n");
            let (mut wire, mut direct) = (pair.wire(), Wire::tcp(pair.redis.port()));
            // The reply may be one that ends the connection in the middle.
            wire.send(&[request(&nest), request(&["ECHO", "end"])].concat());
            let reply = wire
                .try_reply()
                .unwrap_or_else(|_| Raw(wire.until_the_end()));
            let expected = direct.ask(&nest);
            assert!(expected.0.len() > 4 * depth, "{context}: {expected:?}");
            assert_eq!(reply, expected, "{context}");
            assert_eq!(wire.reply(), *bulk("end").as_str(), "{context}");
            let reply = other.ask(&["GET", "wa:1"]);
            assert_eq!(reply, "$8\r\namatista\r\n", "{context}");
        }
    }
}
