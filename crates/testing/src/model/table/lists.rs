//! Lists.

use super::Row;

pub(super) const ELEMENTS: &[Row] = &[
    Row::new("LPUSH {l} <{e}>").often(),
    Row::new("RPUSH {l} <{e}>").often(),
    Row::new("LPUSHX {l} <{e}>"),
    Row::new("RPUSHX {l} <{e}>"),
    Row::new("LPOP {l} [{n}]"),
    Row::new("RPOP {l} [{n}]"),
    Row::new("LRANGE {l} {i} {i}").often(),
    Row::new("LINDEX {l} {i}"),
    Row::new("LSET {l} {i} {e}"),
    Row::new("LLEN {l}"),
    Row::new("LTRIM {l} {i} {i}"),
    Row::new("LMPOP #<{l}> (LEFT|RIGHT) [COUNT {p}]"),
];

pub(super) const BY_VALUE: &[Row] = &[
    Row::new("LREM {l} {i} {e}"),
    Row::new("LPOS {l} {e} [RANK {rank}] [COUNT {n}]"),
    Row::new("LINSERT {l} (BEFORE|AFTER) {e} {e}"),
];
