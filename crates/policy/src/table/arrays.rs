//! Arrays: sparse sequences of values with an index. Not sealed yet; refused on protected names.

use super::{Row, refuse};
use crate::names::FIRST;
use crate::refusal::{DataKind, Reason};

const ARRAYS: Reason = Reason::NotYetSealed(DataKind::Arrays);

pub(super) const ROWS: &[Row] = &[
    refuse("arcount", FIRST, ARRAYS).reads(),
    refuse("ardel", FIRST, ARRAYS),
    refuse("ardelrange", FIRST, ARRAYS),
    refuse("arget", FIRST, ARRAYS).reads(),
    refuse("argetrange", FIRST, ARRAYS).reads(),
    refuse("argrep", FIRST, ARRAYS).reads(),
    refuse("arinfo", FIRST, ARRAYS).reads(),
    refuse("arinsert", FIRST, ARRAYS),
    refuse("arlastitems", FIRST, ARRAYS).reads(),
    refuse("arlen", FIRST, ARRAYS).reads(),
    refuse("armget", FIRST, ARRAYS).reads(),
    refuse("armset", FIRST, ARRAYS),
    refuse("arnext", FIRST, ARRAYS).reads(),
    refuse("arop", FIRST, ARRAYS),
    refuse("arring", FIRST, ARRAYS),
    refuse("arscan", FIRST, ARRAYS).reads(),
    refuse("arseek", FIRST, ARRAYS),
    refuse("arset", FIRST, ARRAYS),
];
