//! Transactions. Requests between MULTI and EXEC are treated according to their own rows.

use super::{Row, keyless, pass};
use crate::decision::Effect;
use crate::names::ALL;

pub(super) const ROWS: &[Row] = &[
    keyless("multi").counted(Effect::Multi, 1, 1),
    keyless("exec").counted(Effect::Exec, 1, 1),
    keyless("discard").counted(Effect::Discard, 1, 1),
    pass("watch", ALL).reads().at_least(Effect::Watch, 2),
    keyless("unwatch").counted(Effect::Unwatch, 1, 1),
];
