//! Sorted sets. Members are sealed as in sets, scores are in clear. What sorts members by their bytes is refused.

use super::{Form, Row, Timeout, form, refuse};
use crate::names::{ALL_BUT_LAST, FIRST, FIRST_TWO, Names, counted};
use crate::refusal::Reason::SortsMembers;

/// The destination of the result, then the sources after their count.
const STORED: Names = Names::Counted {
    destination: Some(1),
    at: 2,
    step: 1,
};

pub(super) const ROWS: &[Row] = &[
    form("zadd", FIRST, Form::ZAdd),
    form("zcard", FIRST, Form::NoMember).reads(),
    form("zcount", FIRST, Form::NoMember).reads(),
    form("zdiff", counted(1), Form::ZAlgebra).reads(),
    form("zdiffstore", STORED, Form::WithinGroup),
    form("zincrby", FIRST, Form::ZIncrBy),
    form("zinter", counted(1), Form::ZAlgebra).reads(),
    form("zintercard", counted(1), Form::WithinGroup).reads(),
    form("zinterstore", STORED, Form::WithinGroup),
    refuse("zlexcount", FIRST, SortsMembers).reads(),
    form("zmpop", counted(1), Form::ZPopAny),
    form("zmscore", FIRST, Form::Members).reads(),
    form("zpopmax", FIRST, Form::ZPop),
    form("zpopmin", FIRST, Form::ZPop),
    form("zrandmember", FIRST, Form::ZRandMember).reads(),
    form("zrange", FIRST, Form::ZRange).reads(),
    refuse("zrangebylex", FIRST, SortsMembers).reads(),
    form("zrangebyscore", FIRST, Form::ZRange).reads(),
    form("zrangestore", FIRST_TWO, Form::ZRangeStore),
    form("zrank", FIRST, Form::ZRank).reads(),
    form("zrem", FIRST, Form::Members),
    refuse("zremrangebylex", FIRST, SortsMembers),
    form("zremrangebyrank", FIRST, Form::NoMember),
    form("zremrangebyscore", FIRST, Form::NoMember),
    form("zrevrange", FIRST, Form::ZRange).reads(),
    refuse("zrevrangebylex", FIRST, SortsMembers).reads(),
    form("zrevrangebyscore", FIRST, Form::ZRange).reads(),
    form("zrevrank", FIRST, Form::ZRank).reads(),
    form("zscan", FIRST, Form::ZScan).reads(),
    form("zscore", FIRST, Form::Members).reads(),
    form("zunion", counted(1), Form::ZAlgebra).reads(),
    form("zunionstore", STORED, Form::WithinGroup),
    form("bzmpop", counted(2), Form::ZPopAny).blocking(Timeout::FirstInSeconds),
    form("bzpopmax", ALL_BUT_LAST, Form::ZPopAny).blocking(Timeout::LastInSeconds),
    form("bzpopmin", ALL_BUT_LAST, Form::ZPopAny).blocking(Timeout::LastInSeconds),
];
