//! Sets: a member is found by comparing, which envelopes do not allow. Refused on protected names,
//! also where no member is shown, so that no set grows under a protected name.

use super::{Row, refuse};
use crate::names::{ALL, FIRST, FIRST_TWO, counted};
use crate::refusal::{DataKind, Reason};

const SETS: Reason = Reason::NotYetSealed(DataKind::Sets);

pub(super) const ROWS: &[Row] = &[
    refuse("sadd", FIRST, SETS),
    refuse("scard", FIRST, SETS),
    refuse("sdiff", ALL, SETS),
    refuse("sdiffcard", counted(1), SETS),
    refuse("sdiffstore", ALL, SETS),
    refuse("sinter", ALL, SETS),
    refuse("sintercard", counted(1), SETS),
    refuse("sinterstore", ALL, SETS),
    refuse("sismember", FIRST, SETS),
    refuse("smembers", FIRST, SETS),
    refuse("smismember", FIRST, SETS),
    refuse("smove", FIRST_TWO, SETS),
    refuse("spop", FIRST, SETS),
    refuse("srandmember", FIRST, SETS),
    refuse("srem", FIRST, SETS),
    refuse("sscan", FIRST, SETS),
    refuse("sunion", ALL, SETS),
    refuse("sunioncard", counted(1), SETS),
    refuse("sunionstore", ALL, SETS),
];
