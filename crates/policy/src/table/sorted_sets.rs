//! Sorted sets: members are found by comparing and sorted by scores. Refused on protected names.

use super::{Row, refuse};
use crate::names::{ALL_BUT_LAST, FIRST, FIRST_TWO, Names, counted};
use crate::refusal::{DataKind, Reason};

const SORTED_SETS: Reason = Reason::NotYetSealed(DataKind::SortedSets);

/// Where the result goes, then the sources behind their number.
const STORED: Names = Names::Counted {
    destination: Some(1),
    at: 2,
    step: 1,
};

pub(super) const ROWS: &[Row] = &[
    refuse("zadd", FIRST, SORTED_SETS),
    refuse("zcard", FIRST, SORTED_SETS),
    refuse("zcount", FIRST, SORTED_SETS),
    refuse("zdiff", counted(1), SORTED_SETS),
    refuse("zdiffstore", STORED, SORTED_SETS),
    refuse("zincrby", FIRST, SORTED_SETS),
    refuse("zinter", counted(1), SORTED_SETS),
    refuse("zintercard", counted(1), SORTED_SETS),
    refuse("zinterstore", STORED, SORTED_SETS),
    refuse("zlexcount", FIRST, SORTED_SETS),
    refuse("zmpop", counted(1), SORTED_SETS),
    refuse("zmscore", FIRST, SORTED_SETS),
    refuse("zpopmax", FIRST, SORTED_SETS),
    refuse("zpopmin", FIRST, SORTED_SETS),
    refuse("zrandmember", FIRST, SORTED_SETS),
    refuse("zrange", FIRST, SORTED_SETS),
    refuse("zrangebylex", FIRST, SORTED_SETS),
    refuse("zrangebyscore", FIRST, SORTED_SETS),
    refuse("zrangestore", FIRST_TWO, SORTED_SETS),
    refuse("zrank", FIRST, SORTED_SETS),
    refuse("zrem", FIRST, SORTED_SETS),
    refuse("zremrangebylex", FIRST, SORTED_SETS),
    refuse("zremrangebyrank", FIRST, SORTED_SETS),
    refuse("zremrangebyscore", FIRST, SORTED_SETS),
    refuse("zrevrange", FIRST, SORTED_SETS),
    refuse("zrevrangebylex", FIRST, SORTED_SETS),
    refuse("zrevrangebyscore", FIRST, SORTED_SETS),
    refuse("zrevrank", FIRST, SORTED_SETS),
    refuse("zscan", FIRST, SORTED_SETS),
    refuse("zscore", FIRST, SORTED_SETS),
    refuse("zunion", counted(1), SORTED_SETS),
    refuse("zunionstore", STORED, SORTED_SETS),
    refuse("bzmpop", counted(2), SORTED_SETS).blocking(),
    refuse("bzpopmax", ALL_BUT_LAST, SORTED_SETS).blocking(),
    refuse("bzpopmin", ALL_BUT_LAST, SORTED_SETS).blocking(),
];
