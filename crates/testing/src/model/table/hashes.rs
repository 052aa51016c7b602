//! Hashes.

use super::super::comparison::Comparison;
use super::Row;

pub(super) const FIELDS: &[Row] = &[
    Row::new("HSET {h} <{f} {v}>").often(),
    Row::new("HSETNX {h} {f} {v}"),
    Row::new("HMSET {h} <{f} {v}>"),
    Row::new("HGET {h} {f}").often(),
    Row::new("HMGET {h} <{f}>").often(),
    Row::new("HGETALL {h}").pairs().often(),
    Row::new("HKEYS {h}").unordered(),
    Row::new("HVALS {h}").unordered(),
    Row::new("HLEN {h}"),
    Row::new("HEXISTS {h} {f}"),
    Row::new("HDEL {h} <{f}>"),
    Row::new("HSTRLEN {h} {f}"),
    Row::new("HRANDFIELD {h} [{i}]").compared(Comparison::Sample("HGETALL")),
    Row::new("HRANDFIELD {h} {i} WITHVALUES").compared(Comparison::Sample("HGETALL")),
];

pub(super) const COMPUTED: &[Row] = &[
    Row::new("HINCRBY {h} {f} {int}").often(),
    Row::new("HINCRBYFLOAT {h} {f} {float}"),
    Row::new("HSET {h} {f} {int}").often(),
];

pub(super) const LIFETIMES: &[Row] = &[
    Row::new("HEXPIRE {h} {ttl} [NX|XX|GT|LT] FIELDS #<{f}>").often(),
    Row::new("HPEXPIRE {h} {pttl} FIELDS #<{f}>"),
    Row::new("HEXPIREAT {h} {at} FIELDS #<{f}>"),
    Row::new("HPEXPIREAT {h} 1 FIELDS #<{f}>").seldom(),
    Row::new("HTTL {h} FIELDS #<{f}>").lifetime().often(),
    Row::new("HPTTL {h} FIELDS #<{f}>").lifetime(),
    Row::new("HEXPIRETIME {h} FIELDS #<{f}>").lifetime(),
    Row::new("HPERSIST {h} FIELDS #<{f}>"),
    Row::new("HSETEX {h} [FNX|FXX] [EX {ttl}|PX {pttl}|KEEPTTL] FIELDS #<{f} {v}>").often(),
    Row::new("HGETEX {h} [EX {ttl}|PERSIST] FIELDS #<{f}>"),
    Row::new("HGETDEL {h} FIELDS #<{f}>"),
];
