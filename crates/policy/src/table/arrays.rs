//! Arrays: sparse sequences of values with an index. Not sealed yet; refused on protected names.

use super::{Row, refuse};
use crate::names::FIRST;
use crate::refusal::{DataKind, Reason};

const ARRAYS: Reason = Reason::NotYetSealed(DataKind::Arrays);

pub(super) const ROWS: &[Row] = &[
    refuse("arcount", FIRST, ARRAYS),
    refuse("ardel", FIRST, ARRAYS),
    refuse("ardelrange", FIRST, ARRAYS),
    refuse("arget", FIRST, ARRAYS),
    refuse("argetrange", FIRST, ARRAYS),
    refuse("argrep", FIRST, ARRAYS),
    refuse("arinfo", FIRST, ARRAYS),
    refuse("arinsert", FIRST, ARRAYS),
    refuse("arlastitems", FIRST, ARRAYS),
    refuse("arlen", FIRST, ARRAYS),
    refuse("armget", FIRST, ARRAYS),
    refuse("armset", FIRST, ARRAYS),
    refuse("arnext", FIRST, ARRAYS),
    refuse("arop", FIRST, ARRAYS),
    refuse("arring", FIRST, ARRAYS),
    refuse("arscan", FIRST, ARRAYS),
    refuse("arseek", FIRST, ARRAYS),
    refuse("arset", FIRST, ARRAYS),
];
