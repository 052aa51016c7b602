//! Vector sets: the server compares vectors, and their attributes stand beside them in clear.

use super::{Row, refuse};
use crate::names::FIRST;
use crate::refusal::{DataKind, Reason};

const VECTOR_SETS: Reason = Reason::NotYetSealed(DataKind::VectorSets);

pub(super) const ROWS: &[Row] = &[
    refuse("vadd", FIRST, VECTOR_SETS),
    refuse("vcard", FIRST, VECTOR_SETS),
    refuse("vdim", FIRST, VECTOR_SETS),
    refuse("vemb", FIRST, VECTOR_SETS),
    refuse("vgetattr", FIRST, VECTOR_SETS),
    refuse("vinfo", FIRST, VECTOR_SETS),
    refuse("vismember", FIRST, VECTOR_SETS),
    refuse("vlinks", FIRST, VECTOR_SETS),
    refuse("vrandmember", FIRST, VECTOR_SETS),
    refuse("vrange", FIRST, VECTOR_SETS),
    refuse("vrem", FIRST, VECTOR_SETS),
    refuse("vsetattr", FIRST, VECTOR_SETS),
    refuse("vsim", FIRST, VECTOR_SETS),
];
