//! Sets: members are found by comparison, which envelopes do not allow. Refused on protected names, even commands
//! that return no member, so that no set is created under a protected name.

use super::{Row, refuse};
use crate::names::{ALL, FIRST, FIRST_TWO, counted};
use crate::refusal::{DataKind, Reason};

const SETS: Reason = Reason::NotYetSealed(DataKind::Sets);

pub(super) const ROWS: &[Row] = &[
    refuse("sadd", FIRST, SETS),
    refuse("scard", FIRST, SETS).reads(),
    refuse("sdiff", ALL, SETS).reads(),
    refuse("sdiffcard", counted(1), SETS).reads(),
    refuse("sdiffstore", ALL, SETS),
    refuse("sinter", ALL, SETS).reads(),
    refuse("sintercard", counted(1), SETS).reads(),
    refuse("sinterstore", ALL, SETS),
    refuse("sismember", FIRST, SETS).reads(),
    refuse("smembers", FIRST, SETS).reads(),
    refuse("smismember", FIRST, SETS).reads(),
    refuse("smove", FIRST_TWO, SETS),
    refuse("spop", FIRST, SETS),
    refuse("srandmember", FIRST, SETS).reads(),
    refuse("srem", FIRST, SETS),
    refuse("sscan", FIRST, SETS).reads(),
    refuse("sunion", ALL, SETS).reads(),
    refuse("sunioncard", counted(1), SETS).reads(),
    refuse("sunionstore", ALL, SETS),
];
