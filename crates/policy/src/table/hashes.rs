//! Hashes. The values of fields are sealed, their names are not: commands on names and lifetimes of fields are
//! forwarded.

use super::{Form, Row, container, form, keyless, pass, refuse};
use crate::decision::Effect;
use crate::names::{FIRST, SECOND};
use crate::refusal::Reason::FieldsNotInRequest;

pub(super) const ROWS: &[Row] = &[
    form("hget", FIRST, Form::HGet).reads(),
    form("hgetall", FIRST, Form::HGetAll).reads(),
    form("hgetdel", FIRST, Form::HGetDel),
    form("hgetex", FIRST, Form::HGetEx),
    form("hmget", FIRST, Form::HMGet).reads(),
    form("hmset", FIRST, Form::HSet),
    form("hrandfield", FIRST, Form::HRandField).reads(),
    form("hscan", FIRST, Form::HScan).reads(),
    form("hset", FIRST, Form::HSet),
    form("hsetex", FIRST, Form::HSetEx),
    form("hsetnx", FIRST, Form::HSetNx),
    // Answered from whole values.
    form("hstrlen", FIRST, Form::HStrLen).reads(),
    form("hvals", FIRST, Form::HVals).reads(),
    pass("hdel", FIRST),
    pass("hexists", FIRST).reads(),
    pass("hexpire", FIRST),
    pass("hexpireat", FIRST),
    pass("hexpiretime", FIRST).reads(),
    pass("hkeys", FIRST).reads(),
    pass("hlen", FIRST).reads(),
    pass("hpersist", FIRST),
    pass("hpexpire", FIRST),
    pass("hpexpireat", FIRST),
    pass("hpexpiretime", FIRST).reads(),
    pass("hpttl", FIRST).reads(),
    pass("httl", FIRST).reads(),
    form("hincrby", FIRST, Form::ComputeField),
    form("hincrbyfloat", FIRST, Form::ComputeField),
    // Sets of fields that a connection prepares once and uses many times.
    container("himport").with(Effect::Connection),
    keyless("himport|discard").with(Effect::Connection),
    keyless("himport|discardall").with(Effect::Connection),
    keyless("himport|prepare").with(Effect::Connection),
    refuse("himport|set", SECOND, FieldsNotInRequest).with(Effect::Connection),
];
