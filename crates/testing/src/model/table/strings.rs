//! Strings.

use super::{Feature, Row};

pub(super) const VALUES: &[Row] = &[
    Row::new("SET {s} {v}").often(),
    Row::new("SET {s} {v} [NX|XX] [GET] [EX {ttl}|PX {pttl}|KEEPTTL]"),
    Row::new("GET {s}").often(),
    Row::new("GETDEL {s}"),
    Row::new("GETEX {s} [EX {ttl}|PERSIST]"),
    Row::new("GETSET {s} {v}"),
    Row::new("MGET <{s}>").often(),
    Row::new("MSET <{s} {v}>"),
    Row::new("MSETNX <{s} {v}>"),
    Row::new("SETEX {s} {ttl} {v}"),
    Row::new("PSETEX {s} {pttl} {v}"),
    Row::new("SETNX {s} {v}"),
    Row::new("STRLEN {s}"),
    Row::new("GETRANGE {s} {i} {i}"),
    Row::new("SUBSTR {s} {i} {i}").seldom(),
];

pub(super) const COMPUTED: &[Row] = &[
    Row::new("INCR {s}").often(),
    Row::new("DECR {s}"),
    Row::new("INCRBY {s} {int}"),
    Row::new("DECRBY {s} {int}"),
    Row::new("INCRBYFLOAT {s} {float}"),
    Row::new("APPEND {s} {v}").often(),
    Row::new("SETRANGE {s} {n} {v}"),
    Row::new("SETBIT {s} {bit} (0|1)"),
    Row::new("GETBIT {s} {bit}"),
    Row::new("BITCOUNT {s} [{i} {i}|{i} {i} BIT]"),
    Row::new("BITPOS {s} (0|1) [{i}|{i} {i}|{i} {i} BIT]"),
    Row::new("BITFIELD {s} GET u8 {bit} SET i5 {bit} {int} INCRBY u4 {bit} {int}"),
    // With FAIL servers create or lengthen a record, and do not tell those who watch it.
    Row::new("BITFIELD {s} OVERFLOW (WRAP|SAT) INCRBY (u3|i8|u16) {bit} {int}"),
    Row::new("BITFIELD_RO {s} GET i16 {bit}"),
    // Its refusal of other types came with transactions.
    Row::new("LCS {s} {s} [LEN|IDX|IDX WITHMATCHLEN]").needs(&[Feature::ComputedInTransactions]),
    // A counter as rate limiters keep it, and a wrong number of arguments.
    Row::new("SET {s} {int} [EX {ttl}]").often(),
    Row::new("INCR").seldom(),
    Row::new("INCRBY {s} no-number").seldom(),
];
