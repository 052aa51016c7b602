//! Streams: on every server and in both protocols a protected stream is answered as one that is not protected, and the
//! server has no value in clear.

use waxseal_testing::{Flavor, RedisServer};

use super::wire::{Raw, Wire, bulk, contains, request};
use super::{Pair, UPSTREAMS};
use crate::program::wait_until;
use crate::proxy::PROTECTED_MARKER;

/// Requests about a stream `{x}`, and another one.
const REQUESTS: &[&str] = &[
    "XADD {x} NOMKSTREAM 1-1 f amatista",
    "XADD {x} 1-1 f amatista g amatista-2",
    "XADD {x} MAXLEN ~ 100 1-2 f amatista-3",
    "XADD {x} MINID = 0 2-1 f amatista h amatista h amatista-4",
    "XADD {x} 2-* f amatista",
    "XADD {x} 1-1 f amatista",
    "XADD {x} MAXLEN -1 3-1 f amatista",
    "XADD {x} - f amatista",
    "XADD {y} 7-1 f amatista-5",
    "XLEN {x}",
    "XRANGE {x} - +",
    "XRANGE {x} 1-2 (2-1 COUNT 5",
    "XRANGE {x} - + COUNT 0",
    "XRANGE {x} - + COUNT",
    "XRANGE {x} soon +",
    "XRANGE {none} - +",
    "XREVRANGE {x} + - COUNT 2",
    "XREAD COUNT 2 STREAMS {x} {y} {none} 1-1 0 0",
    "XREAD STREAMS {y} {x} {y} 0 99-0 0",
    "XREAD BLOCK 1 STREAMS {x} $",
    "XREAD STREAMS {x} {y} 0",
    "XREADGROUP GROUP g one STREAMS {x} >",
    "XGROUP CREATE {x} g 0",
    "XGROUP CREATE {y} g 0",
    "XREADGROUP GROUP g one COUNT 2 STREAMS {x} {y} > >",
    "XREADGROUP GROUP g one NOACK COUNT 1 STREAMS {x} >",
    "XREADGROUP GROUP g one BLOCK 1 STREAMS {y} >",
    "XREADGROUP GROUP g one STREAMS {x} 0",
    "XDEL {x} 1-2",
    "XREADGROUP GROUP g one STREAMS {x} 0",
    "XCLAIM {x} g two 0 1-1 1-2",
    "XCLAIM {x} g two 0 1-1 JUSTID",
    "XCLAIM {x} g two 0 1-1 IDLE 5 RETRYCOUNT 3 FORCE",
    "XCLAIM {x} nobody two 0 1-1",
    "XAUTOCLAIM {x} g one 0 0 COUNT 9",
    "XAUTOCLAIM {x} g one 0 0 JUSTID",
    "XACK {x} g 1-1",
    "XINFO STREAM {x}",
    "XINFO GROUPS {y}",
    "XINFO STREAM {none}",
    "XTRIM {x} MAXLEN 1",
    "XRANGE {x} - +",
    "XSETID {x} 9-9",
    "MULTI",
    "XADD {x} 10-1 f amatista",
    "XRANGE {x} 10 +",
    "XREAD BLOCK 0 STREAMS {x} 9",
    "XADD {x} 1-1 f amatista",
    "EXEC",
    "XGROUP DESTROY {x} g",
    "XADD {s} 1-1 f amatista",
    "DEL {x} {y}",
];

/// The request with names of this beginning.
fn named(line: &str, start: &str) -> Vec<String> {
    let name = |word: &str| match word.strip_prefix('{') {
        Some(name) => format!("{start}:{}", name.trim_end_matches('}')),
        None => word.to_owned(),
    };
    line.split(' ').map(name).collect()
}

/// The reply with names that begin in another way.
fn renamed(reply: &Raw, from: &str, to: &str) -> String {
    let text = String::from_utf8(reply.0.clone()).expect("all of it is text");
    text.replace(&format!("{from}:"), &format!("{to}:"))
}

#[test]
fn every_request_is_answered_as_for_a_stream_that_is_not_protected() {
    for flavor in Flavor::ALL {
        for resp3 in [false, true] {
            let redis = RedisServer::builder().flavor(flavor).start();
            let pair = Pair::before(redis, "auto", &[]);
            let mut wire = pair.wire();
            if resp3 {
                wire = wire.resp3();
            }
            for name in ["wa:s", "op:s"] {
                assert_eq!(wire.ask(&["SET", name, "x"]), "+OK\r\n");
            }
            for line in REQUESTS {
                let context = format!("{line} on {flavor:?}, RESP3: {resp3}");
                let (sealed, open) = (named(line, "wa"), named(line, "op"));
                let both = match line.split(' ').next() {
                    // Both streams are used in one transaction.
                    Some("MULTI" | "EXEC") => vec![sealed],
                    _ => vec![sealed, open],
                };
                let replies: Vec<Raw> = both.iter().map(|words| wire.ask(words)).collect();
                match replies.as_slice() {
                    [sealed, open] => {
                        assert_eq!(
                            renamed(sealed, "wa", "op"),
                            renamed(open, "op", "op"),
                            "{context}"
                        );
                    }
                    _ => {
                        let whole = renamed(&replies[0], "wa", "op");
                        assert_eq!(*line == "MULTI", whole == "+OK\r\n", "{context}: {whole}");
                        // Each reply of the transaction is there for both streams.
                        let values = whole.matches("$8\r\namatista\r\n").count();
                        assert_eq!(values, if *line == "EXEC" { 4 } else { 0 }, "{whole}");
                    }
                }
                if line.starts_with("XADD") {
                    let stored = pair.redis.client().cmd(&["DUMP", "wa:x"]);
                    let stored = stored.bytes().unwrap_or_default();
                    assert!(!contains(&stored, PROTECTED_MARKER.as_bytes()), "{context}");
                }
            }
            pair.proxy.stop();
        }
    }
}

#[test]
fn the_server_has_ids_and_fields_in_clear_and_each_value_sealed() {
    let pair = Pair::start("auto");
    let mut wire = pair.wire();
    let id = wire.ask(&["XADD", "wa:x", "*", "email", "amatista", "empty", ""]);
    assert!(id.starts_with("$15\r\n"), "{id:?}");
    let mut direct = pair.redis.client();
    let mut entries = direct.cmd(&["XRANGE", "wa:x", "-", "+"]).array();
    let fields = entries.remove(0).array().remove(1).array();
    let fields: Vec<Vec<u8>> = fields
        .into_iter()
        .filter_map(waxseal_testing::Reply::bytes)
        .collect();
    assert_eq!(
        (&fields[0][..], &fields[2][..]),
        (&b"email"[..], &b"empty"[..])
    );
    for value in [&fields[1], &fields[3]] {
        // Version 3, whatever the pattern writes.
        assert!(value.starts_with(b"\xf5\x57\x03"), "{value:?}");
        assert!(!contains(value, PROTECTED_MARKER.as_bytes()));
    }
    // What was written past the proxy is read.
    direct.cmd(&["XADD", "wa:x", "*", "email", "obsidiana"]);
    let read = wire.ask(&["XREVRANGE", "wa:x", "+", "-", "COUNT", "1"]);
    assert!(read.contains("obsidiana"), "{read:?}");
    // An envelope of another stream does not open, and does not keep others from being delivered.
    let value = fields[1].clone();
    direct.cmd(&[&b"XADD"[..], b"wa:y", b"1-1", b"email", &value]);
    direct.cmd(&["XADD", "wa:y", "1-2", "email", "obsidiana"]);
    let read = wire.ask(&["XREAD", "STREAMS", "wa:y", "0"]);
    assert!(read.contains("-SEALBROKEN XREAD: "), "{read:?}");
    assert!(read.contains("obsidiana"), "{read:?}");
    let read = wire.ask(&["XRANGE", "wa:y", "-", "+"]);
    assert!(read.starts_with("-SEALBROKEN XRANGE: "), "{read:?}");
    pair.proxy.stop();
}

#[test]
fn a_client_that_waits_gets_the_opened_entry() {
    for upstream in UPSTREAMS {
        for resp3 in [false, true] {
            let pair = Pair::with(upstream, &["--workers", "1"]);
            let connect = || match resp3 {
                true => pair.wire().resp3(),
                false => pair.wire(),
            };
            let mut writer = pair.wire();
            let made = ["XGROUP", "CREATE", "wa:x", "g", "$", "MKSTREAM"];
            assert_eq!(writer.ask(&made), "+OK\r\n");
            let waits: [&[&str]; 2] = [
                &["XREAD", "BLOCK", "0", "STREAMS", "op:x", "wa:x", "$", "$"],
                &[
                    "XREADGROUP",
                    "GROUP",
                    "g",
                    "c",
                    "BLOCK",
                    "0",
                    "STREAMS",
                    "wa:x",
                    ">",
                ],
            ];
            let mut readers: Vec<Wire> = waits.iter().map(|_| connect()).collect();
            for (reader, words) in readers.iter_mut().zip(waits) {
                reader.send(&request(words));
            }
            wait_until(|| super::counts::blocked_clients(&pair.redis) == 2);
            assert_eq!(
                writer.ask(&["XADD", "wa:x", "5-1", "f", "amatista"]),
                *bulk("5-1")
            );
            let entry = format!(
                "*1\r\n*2\r\n{}*2\r\n{}{}",
                bulk("5-1"),
                bulk("f"),
                bulk("amatista")
            );
            let head = if resp3 { "%1\r\n" } else { "*1\r\n*2\r\n" };
            for reader in &mut readers {
                assert_eq!(reader.reply(), *format!("{head}{}{entry}", bulk("wa:x")));
            }
            pair.proxy.stop();
        }
    }
}
