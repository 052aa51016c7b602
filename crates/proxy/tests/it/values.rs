//! Every command that carries values: sealed in requests, opened in replies, in both versions of the protocol and
//! at every chunking.

use crate::pair::{Pair, at_every_chunking};

/// Requests and their replies, the same in both versions.
const BOTH: &[(&str, &[&str])] = &[
    (
        "SET wa:1 @wa:1=v",
        &["+OK", "$-1", "_", "-ERR~syntax~error"],
    ),
    (
        "set wa:1 @wa:1=v EX 60 NX GET",
        &["@wa:1=old", "$-1", "_", "-WRONGTYPE~x"],
    ),
    ("SET wa:1 @wa:1=v KEEPTTL XX", &["+OK"]),
    ("SETEX wa:1 60 @wa:1=v", &["+OK"]),
    ("PSETEX wa:1 60 @wa:1=v", &["+OK"]),
    ("SETNX wa:1 @wa:1=v", &[":1", ":0"]),
    ("GETSET wa:1 @wa:1=v", &["@wa:1=old", "$-1", "_"]),
    (
        "GET wa:1",
        &[
            "@wa:1=v",
            "$-1",
            "_",
            "'",
            "-WRONGTYPE~x",
            "|1 +ttl :3 @wa:1=v",
        ],
    ),
    ("GETDEL wa:1", &["@wa:1=v", "$-1"]),
    ("GETEX wa:1 EX 60", &["@wa:1=v", "_"]),
    (
        "MGET wa:1 other wa:2",
        &["*3 @wa:1=v 'clear $-1", "*3 _ _ @wa:2=w", "-ERR~x"],
    ),
    ("MSET wa:1 @wa:1=v other clear wa:2 @wa:2=w", &["+OK"]),
    ("MSETNX wa:1 @wa:1=v other clear", &[":1", ":0"]),
    ("MSETEX 2 wa:1 @wa:1=v other clear EX 9", &[":1"]),
    ("HSET wa:h f @wa:h/f=v g @wa:h/g=w", &[":2", "-WRONGTYPE~x"]),
    ("HMSET wa:h f @wa:h/f=v", &["+OK"]),
    ("HSETNX wa:h f @wa:h/f=v", &[":1"]),
    ("HSETEX wa:h EX 9 FIELDS 1 f @wa:h/f=v", &[":1"]),
    ("HGET wa:h f", &["@wa:h/f=v", "$-1", "_", "'"]),
    (
        "HMGET wa:h f g",
        &["*2 @wa:h/f=v $-1", "*2 @wa:h/f=v @wa:h/g=w"],
    ),
    (
        "HGETEX wa:h PERSIST FIELDS 2 f g",
        &["*2 @wa:h/f=v _", "*-1"],
    ),
    ("HGETDEL wa:h FIELDS 2 f g", &["*2 @wa:h/f=v @wa:h/g=w"]),
    (
        "HGETALL wa:h",
        &["*4 'f @wa:h/f=v 'g @wa:h/g=w", "*0", "-WRONGTYPE~x"],
    ),
    (
        "HSCAN wa:h 0 COUNT 9",
        &["*2 '0 *2 'f @wa:h/f=v", "*2 '7 *0"],
    ),
    ("HSCAN wa:h 0 NOVALUES", &["*2 '0 *1 'f"]),
    (
        "HRANDFIELD wa:h 2 WITHVALUES",
        &["*4 'f @wa:h/f=v 'g @wa:h/g=w", "*0"],
    ),
    ("HRANDFIELD wa:h 2", &["*2 'f 'g"]),
    ("LPUSH wa:l @wa:l=v @wa:l=w", &[":2"]),
    ("RPUSH wa:l @wa:l=v", &[":1"]),
    ("LPUSHX wa:l @wa:l=v", &[":0"]),
    ("RPUSHX wa:l @wa:l=v", &[":0"]),
    ("LSET wa:l -1 @wa:l=v", &["+OK", "-ERR~no~such~key"]),
    ("LRANGE wa:l 0 -1", &["*2 @wa:l=v @wa:l=w", "*0"]),
    ("LINDEX wa:l 0", &["@wa:l=v", "$-1"]),
    ("LPOP wa:l", &["@wa:l=v", "$-1"]),
    ("RPOP wa:l 2", &["*2 @wa:l=v @wa:l=w", "*-1", "_"]),
    (
        "LMPOP 2 wa:l other LEFT COUNT 2",
        &["*2 'wa:l *1 @wa:l=v", "*2 'other *1 'clear", "*-1"],
    ),
    (
        "BLPOP wa:l other 0",
        &["*2 'wa:l @wa:l=v", "*2 'other 'clear", "*-1", "_"],
    ),
    ("BRPOP wa:l 0", &["*2 'wa:l @wa:l=v"]),
    (
        "BLMPOP 0 1 wa:l LEFT",
        &["*2 'wa:l *2 @wa:l=v @wa:l=w", "_"],
    ),
    (
        "XADD wa:x * f @wa:x>f=v g @wa:x>g=w",
        &["'1-1", "$-1", "-ERR~x"],
    ),
    ("XADD wa:x MAXLEN ~ 9 5-* f @wa:x>f=v", &["'5-1"]),
    (
        "XRANGE wa:x - +",
        &[
            "*2 *2 '1-1 *4 'f @wa:x>f=v 'g @wa:x>g=w *2 '1-2 *2 'f @wa:x>f=",
            "*0",
            "*-1",
            "_",
            "-WRONGTYPE~x",
        ],
    ),
    (
        "XREVRANGE wa:x + - COUNT 1",
        &["*1 *2 '1-1 *2 'f @wa:x>f=v"],
    ),
    (
        "XREAD COUNT 1 STREAMS wa:x other wa:y 0 0 $",
        &[
            "*2 *2 'wa:x *1 *2 '1-1 *2 'f @wa:x>f=v *2 'other *1 *2 '2-1 *2 'f 'clear",
            "*1 *2 'wa:y *1 *2 '1-1 *2 'f @wa:y>f=v",
            "*-1",
            "_",
        ],
    ),
    (
        "XREADGROUP GROUP g c STREAMS wa:x 0",
        &[
            "*1 *2 'wa:x *2 *2 '1-1 *2 'f @wa:x>f=v *2 '1-2 $-1",
            "*1 *2 'wa:x *2 *2 '1-1 *2 'f @wa:x>f=v *2 '1-2 *-1",
            "*1 *2 'wa:x *0",
        ],
    ),
    (
        "XREADGROUP GROUP g c BLOCK 5 CLAIM 9 STREAMS wa:x >",
        &["*1 *2 'wa:x *1 *4 '1-1 *2 'f @wa:x>f=v :1000 :2"],
    ),
    (
        "XCLAIM wa:x g c 0 1-1 1-2",
        &["*2 *2 '1-1 *2 'f @wa:x>f=v $-1", "*0"],
    ),
    ("XCLAIM wa:x g c 0 1-1 1-2 JUSTID", &["*2 '1-1 '1-2"]),
    (
        "XAUTOCLAIM wa:x g c 0 0",
        &[
            "*2 '0-0 *2 *2 '1-1 *2 'f @wa:x>f=v $-1",
            "*3 '1-3 *1 *2 '1-1 *2 'f @wa:x>f=v *1 '1-2",
            "*3 '0-0 *0 *0",
        ],
    ),
    ("XAUTOCLAIM wa:x g c 0 0 JUSTID", &["*3 '0-0 *1 '1-1 *0"]),
    (
        "XINFO STREAM wa:x",
        &[
            "*6 'length :2 'first-entry *2 '1-1 *2 'f @wa:x>f=v 'last-entry *2 '1-2 *2 'f @wa:x>f=w",
            "*4 'first-entry $-1 'last-entry $-1",
        ],
    ),
    (
        "XINFO STREAM wa:x FULL",
        &["*4 'entries *1 *2 '1-1 *2 'f @wa:x>f=v 'groups *1 *2 'name 'g"],
    ),
    ("XGROUP CREATE wa:x g 0", &["+OK"]),
    ("XPENDING wa:x g", &["*4 :1 '1-1 '1-1 *1 *2 'c '1"]),
];

/// Replies that only RESP3 has.
const THREE: &[(&str, &[&str])] = &[
    ("HGETALL wa:h", &["%2 'f @wa:h/f=v 'g @wa:h/g=w", "%0"]),
    (
        "HRANDFIELD wa:h 2 WITHVALUES",
        &["*2 *2 'f @wa:h/f=v *2 'g @wa:h/g=w", "*0"],
    ),
    ("MGET wa:1 wa:2", &["*2 @wa:1=v _"]),
    (
        "XREAD STREAMS wa:x other 0 0",
        &["%2 'wa:x *1 *2 '1-1 *2 'f @wa:x>f=v 'other *1 *2 '2-1 *2 'f 'clear"],
    ),
    (
        "XINFO STREAM wa:x",
        &["%2 'length :1 'first-entry *2 '1-1 *2 'f @wa:x>f=v"],
    ),
    ("GET wa:1", &["|1 +key-popularity %1 'a ,0.19 @wa:1=v"]),
];

fn check(begin: fn() -> Pair, table: &[(&str, &[&str])]) {
    for (line, replies) in table {
        for reply in *replies {
            at_every_chunking(begin, &[line], &[line], reply, reply);
        }
    }
}

#[test]
fn values_are_sealed_in_requests_and_opened_in_replies_in_resp2() {
    check(Pair::new, BOTH);
}

#[test]
fn values_are_sealed_in_requests_and_opened_in_replies_in_resp3() {
    check(Pair::resp3, BOTH);
    check(Pair::resp3, THREE);
}

#[test]
fn bulk_errors_are_forwarded_unchanged() {
    let mut pair = Pair::resp3();
    pair.send(&["GET wa:1"]);
    pair.sent();
    pair.answer_bytes(b"!5\r\nERR x\r\n").unwrap();
    assert_eq!(pair.got(), "!5\r\nERR x\r\n");
    pair.assert_usable();
}

#[test]
fn hvals_requests_fields_and_returns_values_only() {
    for (begin, reply) in [
        (Pair::new as fn() -> Pair, "*4 'f @wa:h/f=v 'g @wa:h/g=w"),
        (Pair::resp3, "%2 'f @wa:h/f=v 'g @wa:h/g=w"),
    ] {
        let (line, sent) = (["HVALS wa:h"], ["HGETALL wa:h"]);
        at_every_chunking(begin, &line, &sent, reply, "*2 @wa:h/f=v @wa:h/g=w");
        at_every_chunking(begin, &line, &sent, "*0", "*0");
        at_every_chunking(begin, &line, &sent, "-WRONGTYPE~x", "-WRONGTYPE~x");
    }
}

#[test]
fn inline_requests_are_sealed_as_well() {
    let mut pair = Pair::new();
    pair.bytes(b"SET wa:1 'a b'\r\nGET other\r\n");
    let sent = pair.sent();
    let at = sent.len() - b"GET other\r\n".len();
    assert_eq!(&sent[at..], b"GET other\r\n");
    assert!(!sent.windows(3).any(|it| it == b"a b"));
    assert!(sent.starts_with(b"*3\r\n$3\r\nSET\r\n$4\r\nwa:1\r\n"));
    pair.answer("+OK 'x");
    assert_eq!(pair.got(), "+OK\r\n$1\r\nx\r\n");
}
