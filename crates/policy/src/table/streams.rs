//! Streams: their entries are not sealed yet. Refused on protected names, their groups included.

use super::{EffectRule, Row, container, nameless, refuse};
use crate::names::{FIRST, Names, SECOND};
use crate::refusal::{DataKind, Reason};

const STREAMS: Reason = Reason::NotYetSealed(DataKind::Streams);

/// They wait only when told to.
const fn reading(name: &'static str) -> Row {
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
    refuse("xlen", FIRST, STREAMS),
    refuse("xnack", FIRST, STREAMS),
    refuse("xpending", FIRST, STREAMS),
    refuse("xrange", FIRST, STREAMS),
    refuse("xrevrange", FIRST, STREAMS),
    refuse("xsetid", FIRST, STREAMS),
    refuse("xtrim", FIRST, STREAMS),
    reading("xread"),
    reading("xreadgroup"),
    container("xgroup"),
    refuse("xgroup|create", SECOND, STREAMS),
    refuse("xgroup|createconsumer", SECOND, STREAMS),
    refuse("xgroup|delconsumer", SECOND, STREAMS),
    refuse("xgroup|destroy", SECOND, STREAMS),
    refuse("xgroup|setid", SECOND, STREAMS),
    nameless("xgroup|help"),
    container("xinfo"),
    refuse("xinfo|consumers", SECOND, STREAMS),
    refuse("xinfo|groups", SECOND, STREAMS),
    refuse("xinfo|stream", SECOND, STREAMS),
    nameless("xinfo|help"),
];
