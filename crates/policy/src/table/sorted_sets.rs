//! Sorted sets: members are found by comparison and sorted by scores. Refused on protected names.

use super::{Row, Timeout, refuse};
use crate::names::{ALL_BUT_LAST, FIRST, FIRST_TWO, Names, counted};
use crate::refusal::{DataKind, Reason};

const SORTED_SETS: Reason = Reason::NotYetSealed(DataKind::SortedSets);

/// The destination of the result, then the sources after their count.
const STORED: Names = Names::Counted {
    destination: Some(1),
    at: 2,
    step: 1,
};

pub(super) const ROWS: &[Row] = &[
    refuse("zadd", FIRST, SORTED_SETS),
    refuse("zcard", FIRST, SORTED_SETS).reads(),
    refuse("zcount", FIRST, SORTED_SETS).reads(),
    refuse("zdiff", counted(1), SORTED_SETS).reads(),
    refuse("zdiffstore", STORED, SORTED_SETS),
    refuse("zincrby", FIRST, SORTED_SETS),
    refuse("zinter", counted(1), SORTED_SETS).reads(),
    refuse("zintercard", counted(1), SORTED_SETS).reads(),
    refuse("zinterstore", STORED, SORTED_SETS),
    refuse("zlexcount", FIRST, SORTED_SETS).reads(),
    refuse("zmpop", counted(1), SORTED_SETS),
    refuse("zmscore", FIRST, SORTED_SETS).reads(),
    refuse("zpopmax", FIRST, SORTED_SETS),
    refuse("zpopmin", FIRST, SORTED_SETS),
    refuse("zrandmember", FIRST, SORTED_SETS).reads(),
    refuse("zrange", FIRST, SORTED_SETS).reads(),
    refuse("zrangebylex", FIRST, SORTED_SETS).reads(),
    refuse("zrangebyscore", FIRST, SORTED_SETS).reads(),
    refuse("zrangestore", FIRST_TWO, SORTED_SETS),
    refuse("zrank", FIRST, SORTED_SETS).reads(),
    refuse("zrem", FIRST, SORTED_SETS),
    refuse("zremrangebylex", FIRST, SORTED_SETS),
    refuse("zremrangebyrank", FIRST, SORTED_SETS),
    refuse("zremrangebyscore", FIRST, SORTED_SETS),
    refuse("zrevrange", FIRST, SORTED_SETS).reads(),
    refuse("zrevrangebylex", FIRST, SORTED_SETS).reads(),
    refuse("zrevrangebyscore", FIRST, SORTED_SETS).reads(),
    refuse("zrevrank", FIRST, SORTED_SETS).reads(),
    refuse("zscan", FIRST, SORTED_SETS).reads(),
    refuse("zscore", FIRST, SORTED_SETS).reads(),
    refuse("zunion", counted(1), SORTED_SETS).reads(),
    refuse("zunionstore", STORED, SORTED_SETS),
    refuse("bzmpop", counted(2), SORTED_SETS).blocking(Timeout::FirstInSeconds),
    refuse("bzpopmax", ALL_BUT_LAST, SORTED_SETS).blocking(Timeout::LastInSeconds),
    refuse("bzpopmin", ALL_BUT_LAST, SORTED_SETS).blocking(Timeout::LastInSeconds),
];
