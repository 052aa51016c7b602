//! Records of any type, moves between them, pages, what is there before, and waiting.

use super::super::comparison::Comparison;
use super::{Feature, Reach, Row};

pub(super) const ANY: &[Row] = &[
    Row::new("DEL <{k}>"),
    Row::new("UNLINK {k}"),
    Row::new("EXISTS <{k}>"),
    Row::new("TYPE {k}"),
    Row::new("TOUCH <{k}>"),
    Row::new("EXPIRE {k} {ttl} [NX|XX|GT|LT]").often(),
    Row::new("PEXPIRE {k} {pttl}"),
    Row::new("EXPIREAT {k} {at}"),
    Row::new("PEXPIREAT {k} 1").seldom(),
    Row::new("TTL {k}").lifetime(),
    Row::new("PTTL {k}").lifetime().often(),
    Row::new("EXPIRETIME {k}").lifetime(),
    Row::new("PERSIST {k}"),
];

pub(super) const GROUP_MOVES: &[Row] = &[
    Row::new("(RENAME|RENAMENX) ({s} {s}|{h} {h}|{l} {l}|{t} {t}|{z} {z}|{x} {x})")
        .within(Reach::Group),
    Row::new("COPY ({s} {s}|{h} {h}|{l} {l}|{t} {t}|{z} {z}|{x} {x}) [REPLACE]")
        .within(Reach::Group),
    Row::new("LMOVE {l} {l} (LEFT|RIGHT) (LEFT|RIGHT)")
        .within(Reach::Group)
        .needs(&[Feature::Lists]),
    Row::new("RPOPLPUSH {l} {l}")
        .within(Reach::Group)
        .needs(&[Feature::Lists]),
];

pub(super) const RECORD_MOVES: &[Row] = &[
    Row::new("(RENAME|RENAMENX) {s} {s}")
        .within(Reach::OneScope)
        .needs(&[Feature::Strings]),
    Row::new("(RENAME|RENAMENX) {h} {h}")
        .within(Reach::OneScope)
        .needs(&[Feature::Hashes]),
    Row::new("(RENAME|RENAMENX) {l} {l}")
        .within(Reach::OneScope)
        .needs(&[Feature::Lists]),
    Row::new("(RENAME|RENAMENX) {t} {t}")
        .within(Reach::OneScope)
        .needs(&[Feature::Sets]),
    Row::new("(RENAME|RENAMENX) {z} {z}")
        .within(Reach::OneScope)
        .needs(&[Feature::SortedSets]),
    Row::new("COPY ({t} {t}|{l} {l}) [REPLACE]")
        .within(Reach::OneScope)
        .needs(&[Feature::Sets, Feature::Lists]),
    Row::new("COPY {z} {z} [REPLACE]")
        .within(Reach::OneScope)
        .needs(&[Feature::SortedSets]),
    Row::new("COPY ({s} {s}|{h} {h}) [REPLACE]")
        .within(Reach::OneScope)
        .needs(&[Feature::Strings, Feature::Hashes]),
    Row::new("LMOVE {l} {l} (LEFT|RIGHT) (LEFT|RIGHT)")
        .within(Reach::OneScope)
        .needs(&[Feature::Lists]),
    Row::new("RPOPLPUSH {l} {l}")
        .within(Reach::OneScope)
        .needs(&[Feature::Lists]),
];

/// Those that name other records are sorted in several steps, which is not done within transactions.
pub(super) const SORTED: &[Row] = &[
    Row::new("(SORT|SORT_RO) {l} [ALPHA] [DESC] [LIMIT {i} {i}] [GET #]").needs(&[Feature::Lists]),
    Row::new("(SORT|SORT_RO) ({t}|{z}) ALPHA [DESC] [LIMIT {i} {i}]")
        .needs(&[Feature::Sets, Feature::SortedSets]),
    // In a set they come in no order.
    Row::new("SORT ({l}|{z}) BY nosort [DESC] [LIMIT {i} {i}]")
        .within(Reach::OneScope)
        .needs(&[Feature::Lists, Feature::SortedSets]),
    Row::new("SORT {t} BY nosort")
        .unordered()
        .needs(&[Feature::Sets]),
    Row::new("SORT ({l}|{t}|{z}) ALPHA [DESC] [LIMIT {i} {i}] STORE {l}")
        .within(Reach::OneScope)
        .needs(&[Feature::Lists, Feature::Sets, Feature::SortedSets]),
    Row::new("SORT ({l}|{t}|{z}) BY nosort [DESC] [LIMIT {i} {i}] STORE {l}")
        .within(Reach::OneScope)
        .needs(&[Feature::Lists, Feature::Sets, Feature::SortedSets]),
    // Equal weights of a set's members would come in no order.
    Row::new("SORT ({l}|{t}) ALPHA [DESC] GET # GET {prefix}s* GET {prefix}h*->f1 [STORE {l}]")
        .within(Reach::OneScope)
        .needs(&[Feature::Lists, Feature::Strings, Feature::Hashes]),
    Row::new("SORT ({l}|{t}|{z}) BY ({prefix}h*->f2|{prefix}s*) ALPHA GET {prefix}s*")
        .within(Reach::OneScope)
        .unordered()
        .needs(&[
            Feature::Lists,
            Feature::Sets,
            Feature::SortedSets,
            Feature::Strings,
            Feature::Hashes,
        ]),
];

pub(super) const SCANS: &[Row] = &[
    Row::new("HSCAN {h} {cursor} [MATCH {glob}] [COUNT {p}]")
        .compared(Comparison::Pages(2))
        .needs(&[Feature::Hashes]),
    Row::new("SSCAN {t} {cursor} [MATCH {glob}] [COUNT {p}]")
        .compared(Comparison::Pages(1))
        .needs(&[Feature::Sets]),
    Row::new("ZSCAN {z} {cursor} [MATCH {glob}] [COUNT {p}]")
        .compared(Comparison::Pages(2))
        .needs(&[Feature::SortedSets]),
    Row::new(
        "SCAN {cursor} MATCH {names} [COUNT (1|10)] [TYPE (string|hash|list|set|zset|stream)]",
    )
    .compared(Comparison::Pages(1)),
    Row::new("KEYS {names}").unordered(),
];

/// What is written in another form.
pub(super) const EARLIER: &[Row] = &[
    Row::new("SET {s} ({v}|{int})").needs(&[Feature::Strings]),
    Row::new("HSET {h} <{f} {v}> {f} {int}").needs(&[Feature::Hashes]),
    Row::new("RPUSH {l} <{e}>").needs(&[Feature::Lists]),
    Row::new("SADD {t} <{m}>").needs(&[Feature::Sets]),
    Row::new("ZADD {z} <{sm}>").needs(&[Feature::SortedSets]),
    Row::new("GEOADD {g} <{pm}>").needs(&[Feature::Geo]),
    Row::new("XADD {x} {next} <{f} {v}>").needs(&[Feature::Streams]),
];

/// Requests that wait where their records are empty, and what ends it.
pub(super) const WAITS: &[(Row, Row)] = &[
    (
        Row::new("(BLPOP|BRPOP) {l} {l} 2").needs(&[Feature::Lists]),
        Row::new("RPUSH {woken} <{e}>"),
    ),
    (
        Row::new("BLMPOP 2 2 {l} {l} LEFT COUNT 2").needs(&[Feature::Lists]),
        Row::new("LPUSH {woken} <{e}>"),
    ),
    (
        Row::new("BLMOVE {l} {l} LEFT RIGHT 2")
            .within(Reach::Group)
            .needs(&[Feature::Lists, Feature::GroupMoves]),
        Row::new("RPUSH {woken} {e}"),
    ),
    (
        Row::new("(BZPOPMIN|BZPOPMAX) {z} {z} 2").needs(&[Feature::SortedSets]),
        Row::new("ZADD {woken} <{sm}>"),
    ),
    (
        Row::new("BZMPOP 2 2 {z} {z} MIN COUNT 2").needs(&[Feature::SortedSets]),
        Row::new("ZADD {woken} <{sm}>"),
    ),
    (
        Row::new("XREAD BLOCK 2000 STREAMS {x} $").needs(&[Feature::Streams]),
        Row::new("XADD {woken} {next} <{f} {v}>"),
    ),
];
