//! Streams: the values of entries are sealed. Ids, field names, groups and consumers are not. Where a group does not exist,
//! servers name it and the record.

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
    pass("xack", FIRST).quoting(),
    pass("xackdel", FIRST).quoting(),
    form("xadd", FIRST, Form::XAdd),
    form("xautoclaim", FIRST, Form::XAutoClaim).quoting(),
    pass("xcfgset", FIRST),
    form("xclaim", FIRST, Form::XClaim).quoting(),
    pass("xdel", FIRST),
    pass("xdelex", FIRST),
    pass("xidmprecord", FIRST),
    pass("xlen", FIRST).reads(),
    pass("xnack", FIRST).quoting(),
    pass("xpending", FIRST).reads().quoting(),
    form("xrange", FIRST, Form::XRange).reads(),
    form("xrevrange", FIRST, Form::XRange).reads(),
    pass("xsetid", FIRST),
    pass("xtrim", FIRST),
    may_wait("xread").reads(),
    may_wait("xreadgroup").quoting(),
    container("xgroup"),
    pass("xgroup|create", SECOND).quoting(),
    pass("xgroup|createconsumer", SECOND).quoting(),
    pass("xgroup|delconsumer", SECOND).quoting(),
    pass("xgroup|destroy", SECOND).quoting(),
    pass("xgroup|setid", SECOND).quoting(),
    keyless("xgroup|help"),
    container("xinfo"),
    pass("xinfo|consumers", SECOND).reads().quoting(),
    pass("xinfo|groups", SECOND).reads().quoting(),
    form("xinfo|stream", SECOND, Form::XInfoStream).reads(),
    keyless("xinfo|help"),
];
