//! HyperLogLogs: counters in a string, in a format of the server.

use super::{Row, keyless, refuse};
use crate::names::{ALL, FIRST, SECOND};
use crate::refusal::{DataKind, Reason};

const HYPERLOGLOGS: Reason = Reason::NotYetSealed(DataKind::HyperLogLogs);

pub(super) const ROWS: &[Row] = &[
    refuse("pfadd", FIRST, HYPERLOGLOGS),
    refuse("pfcount", ALL, HYPERLOGLOGS).reads(),
    refuse("pfdebug", SECOND, HYPERLOGLOGS),
    refuse("pfmerge", ALL, HYPERLOGLOGS),
    keyless("pfselftest"),
];
