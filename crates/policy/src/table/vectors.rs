//! Vector sets: the server compares vectors, and their attributes are in plaintext.

use super::{Row, Timeout, refuse};
use crate::names::FIRST;
use crate::refusal::{DataKind, Reason};

const VECTOR_SETS: Reason = Reason::NotYetSealed(DataKind::VectorSets);

pub(super) const ROWS: &[Row] = &[
    // They may run in a thread of the server.
    refuse("vadd", FIRST, VECTOR_SETS).blocking(Timeout::Unstated),
    refuse("vcard", FIRST, VECTOR_SETS).reads(),
    refuse("vdim", FIRST, VECTOR_SETS).reads(),
    refuse("vemb", FIRST, VECTOR_SETS).reads(),
    refuse("vgetattr", FIRST, VECTOR_SETS).reads(),
    refuse("vinfo", FIRST, VECTOR_SETS).reads(),
    refuse("vismember", FIRST, VECTOR_SETS).reads(),
    refuse("vlinks", FIRST, VECTOR_SETS).reads(),
    refuse("vrandmember", FIRST, VECTOR_SETS).reads(),
    refuse("vrange", FIRST, VECTOR_SETS).reads(),
    refuse("vrem", FIRST, VECTOR_SETS),
    refuse("vsetattr", FIRST, VECTOR_SETS),
    refuse("vsim", FIRST, VECTOR_SETS)
        .reads()
        .blocking(Timeout::Unstated),
];
