//! Lists. Elements are sealed one by one and bound to their record; what looks for an element by its
//! value or moves one to another record is refused.

use super::{Form, Row, form, pass, refuse};
use crate::names::{ALL_BUT_LAST, FIRST, FIRST_TWO, counted};
use crate::refusal::Reason::{ComparesValue, MovesValue};

pub(super) const ROWS: &[Row] = &[
    form("lindex", FIRST, Form::LIndex),
    form("lpop", FIRST, Form::Pop),
    form("lpush", FIRST, Form::Push),
    form("lpushx", FIRST, Form::Push),
    form("lrange", FIRST, Form::LRange),
    form("lset", FIRST, Form::LSet),
    form("rpop", FIRST, Form::Pop),
    form("rpush", FIRST, Form::Push),
    form("rpushx", FIRST, Form::Push),
    form("lmpop", counted(1), Form::PopAny),
    form("blmpop", counted(2), Form::PopAny).blocking(),
    form("blpop", ALL_BUT_LAST, Form::PopAny).blocking(),
    form("brpop", ALL_BUT_LAST, Form::PopAny).blocking(),
    pass("llen", FIRST),
    pass("ltrim", FIRST),
    refuse("linsert", FIRST, ComparesValue),
    refuse("lpos", FIRST, ComparesValue),
    refuse("lrem", FIRST, ComparesValue),
    refuse("lmove", FIRST_TWO, MovesValue),
    refuse("lmovem", FIRST_TWO, MovesValue),
    refuse("rpoplpush", FIRST_TWO, MovesValue),
    refuse("blmove", FIRST_TWO, MovesValue).blocking(),
    refuse("blmovem", FIRST_TWO, MovesValue).blocking(),
    refuse("brpoplpush", FIRST_TWO, MovesValue).blocking(),
];
