//! Transactions. What is sealed and refused between MULTI and EXEC is said by each command's own row.

use super::{Row, nameless, pass};
use crate::decision::Effect;
use crate::names::ALL;

pub(super) const ROWS: &[Row] = &[
    nameless("multi").with(Effect::Multi),
    nameless("exec").with(Effect::Exec),
    nameless("discard").with(Effect::Discard),
    pass("watch", ALL).with(Effect::Watch),
    nameless("unwatch").with(Effect::Unwatch),
];
