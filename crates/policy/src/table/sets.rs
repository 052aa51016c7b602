//! Sets. Members are sealed deterministically, so that the server finds them by comparing bytes. Each record's members
//! are sealed for it alone, unless it belongs to a group: only within one the server compares members of several records.

use super::{Form, Row, form};
use crate::names::{ALL, FIRST, FIRST_TWO, counted};

pub(super) const ROWS: &[Row] = &[
    form("sadd", FIRST, Form::Members),
    form("scard", FIRST, Form::NoMember).reads(),
    form("sdiff", ALL, Form::Algebra).reads(),
    form("sdiffcard", counted(1), Form::WithinGroup).reads(),
    form("sdiffstore", ALL, Form::WithinGroup),
    form("sinter", ALL, Form::Algebra).reads(),
    form("sintercard", counted(1), Form::WithinGroup).reads(),
    form("sinterstore", ALL, Form::WithinGroup),
    form("sismember", FIRST, Form::Members).reads(),
    form("smembers", FIRST, Form::AllMembers).reads(),
    form("smismember", FIRST, Form::Members).reads(),
    form("smove", FIRST_TWO, Form::SMove),
    form("spop", FIRST, Form::SomeMembers),
    form("srandmember", FIRST, Form::SomeMembers).reads(),
    form("srem", FIRST, Form::Members),
    form("sscan", FIRST, Form::SScan).reads(),
    form("sunion", ALL, Form::Algebra).reads(),
    form("sunioncard", counted(1), Form::WithinGroup).reads(),
    form("sunionstore", ALL, Form::WithinGroup),
];
