//! Hashes. The values of fields are sealed, their names are not: everything that works on names and
//! lifetimes of fields passes.

use super::{Form, Row, container, form, nameless, pass, refuse};
use crate::decision::Effect;
use crate::names::{FIRST, SECOND};
use crate::refusal::Reason::{ComputesOnValue, FieldsElsewhere};

pub(super) const ROWS: &[Row] = &[
    form("hget", FIRST, Form::HGet),
    form("hgetall", FIRST, Form::HGetAll),
    form("hgetdel", FIRST, Form::HGetDel),
    form("hgetex", FIRST, Form::HGetEx),
    form("hmget", FIRST, Form::HMGet),
    form("hmset", FIRST, Form::HSet),
    form("hrandfield", FIRST, Form::HRandField),
    form("hscan", FIRST, Form::HScan),
    form("hset", FIRST, Form::HSet),
    form("hsetex", FIRST, Form::HSetEx),
    form("hsetnx", FIRST, Form::HSetNx),
    // Answered from whole values.
    form("hstrlen", FIRST, Form::HStrLen),
    form("hvals", FIRST, Form::HVals),
    pass("hdel", FIRST),
    pass("hexists", FIRST),
    pass("hexpire", FIRST),
    pass("hexpireat", FIRST),
    pass("hexpiretime", FIRST),
    pass("hkeys", FIRST),
    pass("hlen", FIRST),
    pass("hpersist", FIRST),
    pass("hpexpire", FIRST),
    pass("hpexpireat", FIRST),
    pass("hpexpiretime", FIRST),
    pass("hpttl", FIRST),
    pass("httl", FIRST),
    refuse("hincrby", FIRST, ComputesOnValue),
    refuse("hincrbyfloat", FIRST, ComputesOnValue),
    // Sets of fields that a connection prepares once and fills many times.
    container("himport").with(Effect::Connection),
    nameless("himport|discard").with(Effect::Connection),
    nameless("himport|discardall").with(Effect::Connection),
    nameless("himport|prepare").with(Effect::Connection),
    refuse("himport|set", SECOND, FieldsElsewhere).with(Effect::Connection),
];
