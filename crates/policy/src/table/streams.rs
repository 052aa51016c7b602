//! Streams: the values of entries are sealed. Ids, field names, groups and consumers are not.

use super::{EffectRule, Form, Row, container, form, keyless, pass};
use crate::names::{FIRST, Names, SECOND};

/// They wait only if the request has `BLOCK`.
const fn may_wait(name: &'static str) -> Row {
    Row {
        effect: EffectRule::BlockingWithBlock,
        ..form(name, Names::Streams, Form::XRead)
    }
}

pub(super) const ROWS: &[Row] = &[
    pass("xack", FIRST),
    pass("xackdel", FIRST),
    form("xadd", FIRST, Form::XAdd),
    form("xautoclaim", FIRST, Form::XAutoClaim),
    pass("xcfgset", FIRST),
    form("xclaim", FIRST, Form::XClaim),
    pass("xdel", FIRST),
    pass("xdelex", FIRST),
    pass("xidmprecord", FIRST),
    pass("xlen", FIRST).reads(),
    pass("xnack", FIRST),
    pass("xpending", FIRST).reads(),
    form("xrange", FIRST, Form::XRange).reads(),
    form("xrevrange", FIRST, Form::XRange).reads(),
    pass("xsetid", FIRST),
    pass("xtrim", FIRST),
    may_wait("xread").reads(),
    may_wait("xreadgroup"),
    container("xgroup"),
    pass("xgroup|create", SECOND),
    pass("xgroup|createconsumer", SECOND),
    pass("xgroup|delconsumer", SECOND),
    pass("xgroup|destroy", SECOND),
    pass("xgroup|setid", SECOND),
    keyless("xgroup|help"),
    container("xinfo"),
    pass("xinfo|consumers", SECOND).reads(),
    pass("xinfo|groups", SECOND).reads(),
    form("xinfo|stream", SECOND, Form::XInfoStream).reads(),
    keyless("xinfo|help"),
];
