//! Streams: their entries are not sealed yet. Refused on protected names, their groups included.

use super::{EffectRule, Row, container, keyless, refuse};
use crate::names::{FIRST, Names, SECOND};
use crate::refusal::{DataKind, Reason};

const STREAMS: Reason = Reason::NotYetSealed(DataKind::Streams);

/// They wait only if the request has `BLOCK`.
const fn may_wait(name: &'static str) -> Row {
    Row {
        effect: EffectRule::BlockingWithBlock,
        ..refuse(name, Names::Streams, STREAMS)
    }
}

pub(super) const ROWS: &[Row] = &[
    refuse("xack", FIRST, STREAMS),
    refuse("xackdel", FIRST, STREAMS),
    refuse("xadd", FIRST, STREAMS),
    refuse("xautoclaim", FIRST, STREAMS),
    refuse("xcfgset", FIRST, STREAMS),
    refuse("xclaim", FIRST, STREAMS),
    refuse("xdel", FIRST, STREAMS),
    refuse("xdelex", FIRST, STREAMS),
    refuse("xidmprecord", FIRST, STREAMS),
    refuse("xlen", FIRST, STREAMS).reads(),
    refuse("xnack", FIRST, STREAMS),
    refuse("xpending", FIRST, STREAMS).reads(),
    refuse("xrange", FIRST, STREAMS).reads(),
    refuse("xrevrange", FIRST, STREAMS).reads(),
    refuse("xsetid", FIRST, STREAMS),
    refuse("xtrim", FIRST, STREAMS),
    may_wait("xread").reads(),
    may_wait("xreadgroup"),
    container("xgroup"),
    refuse("xgroup|create", SECOND, STREAMS),
    refuse("xgroup|createconsumer", SECOND, STREAMS),
    refuse("xgroup|delconsumer", SECOND, STREAMS),
    refuse("xgroup|destroy", SECOND, STREAMS),
    refuse("xgroup|setid", SECOND, STREAMS),
    keyless("xgroup|help"),
    container("xinfo"),
    refuse("xinfo|consumers", SECOND, STREAMS).reads(),
    refuse("xinfo|groups", SECOND, STREAMS).reads(),
    refuse("xinfo|stream", SECOND, STREAMS).reads(),
    keyless("xinfo|help"),
];
