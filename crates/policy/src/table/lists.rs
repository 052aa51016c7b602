//! Lists. Elements are sealed one by one and bound to their record; commands that search for an element by its
//! value need deterministic elements, and those that move one to another record a common group.

use super::{Form, Row, Timeout, form, pass, refuse};
use crate::names::{ALL_BUT_LAST, FIRST, FIRST_TWO, counted};
use crate::refusal::Reason::MovesValue;

pub(super) const ROWS: &[Row] = &[
    form("lindex", FIRST, Form::LIndex).reads(),
    form("lpop", FIRST, Form::Pop),
    form("lpush", FIRST, Form::Push),
    form("lpushx", FIRST, Form::Push),
    form("lrange", FIRST, Form::LRange).reads(),
    form("lset", FIRST, Form::LSet),
    form("rpop", FIRST, Form::Pop),
    form("rpush", FIRST, Form::Push),
    form("rpushx", FIRST, Form::Push),
    form("lmpop", counted(1), Form::PopAny),
    form("blmpop", counted(2), Form::PopAny).blocking(Timeout::FirstInSeconds),
    form("blpop", ALL_BUT_LAST, Form::PopAny).blocking(Timeout::LastInSeconds),
    form("brpop", ALL_BUT_LAST, Form::PopAny).blocking(Timeout::LastInSeconds),
    pass("llen", FIRST).reads(),
    pass("ltrim", FIRST),
    form("linsert", FIRST, Form::LInsert),
    form("lpos", FIRST, Form::LPos).reads(),
    form("lrem", FIRST, Form::LRem),
    form("lmove", FIRST_TWO, Form::MoveElement),
    refuse("lmovem", FIRST_TWO, MovesValue),
    form("rpoplpush", FIRST_TWO, Form::MoveElement),
    form("blmove", FIRST_TWO, Form::MoveElement).blocking(Timeout::LastInSeconds),
    refuse("blmovem", FIRST_TWO, MovesValue).blocking(Timeout::LastInSeconds),
    form("brpoplpush", FIRST_TWO, Form::MoveElement).blocking(Timeout::LastInSeconds),
];
