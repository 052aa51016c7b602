//! Strings. Values are sealed one by one; commands that compute on them or compare them are computed by the proxy,
//! because an envelope is not the value, and two envelopes of one value differ.

use super::{Form, Row, form, refuse};
use crate::names::{ALL, FIRST, FIRST_TWO, Names, at};
use crate::refusal::Reason::{ComparesValue, ComputesOnValue};

/// MSETEX: names and values after their count.
const COUNTED_PAIRS: Names = Names::Counted {
    destination: None,
    at: 1,
    step: 2,
};

pub(super) const ROWS: &[Row] = &[
    form("get", FIRST, Form::Get).reads(),
    form("getdel", FIRST, Form::Get),
    form("getex", FIRST, Form::GetEx),
    form("getset", FIRST, Form::GetSet),
    form("mget", ALL, Form::MGet).reads(),
    form("mset", at(1, -1, 2), Form::MSet),
    form("msetnx", at(1, -1, 2), Form::MSet),
    form("msetex", COUNTED_PAIRS, Form::MSetEx),
    form("set", FIRST, Form::Set),
    form("setex", FIRST, Form::SetEx),
    form("psetex", FIRST, Form::SetEx),
    form("setnx", FIRST, Form::SetNx),
    // Answered from the whole value.
    form("strlen", FIRST, Form::StrLen).reads(),
    form("getrange", FIRST, Form::GetRange).reads(),
    form("substr", FIRST, Form::GetRange).reads(),
    form("append", FIRST, Form::Compute),
    form("setrange", FIRST, Form::Compute),
    form("decr", FIRST, Form::Compute),
    form("decrby", FIRST, Form::Compute),
    form("incr", FIRST, Form::Compute),
    form("incrby", FIRST, Form::Compute),
    form("incrbyfloat", FIRST, Form::Compute),
    refuse("increx", FIRST, ComputesOnValue),
    form("delex", FIRST, Form::DelEx),
    form("delifeq", FIRST, Form::Compute),
    form("digest", FIRST, Form::ComputeReading).reads(),
    form("lcs", FIRST_TWO, Form::ComputeReading).reads(),
    // Its names follow a keyword; each argument is taken for one.
    refuse("stralgo", at(2, -1, 1), ComparesValue).reads(),
];
