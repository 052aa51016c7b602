//! Transactions. What is sealed and refused between MULTI and EXEC is said by each command's own row.

use super::{Row, nameless, pass};
use crate::decision::Effect;
use crate::names::ALL;

pub(super) const ROWS: &[Row] = &[
    nameless("multi").counted(Effect::Multi, 1, 1),
    nameless("exec").counted(Effect::Exec, 1, 1),
    nameless("discard").counted(Effect::Discard, 1, 1),
    pass("watch", ALL).reads().at_least(Effect::Watch, 2),
    nameless("unwatch").counted(Effect::Unwatch, 1, 1),
];
