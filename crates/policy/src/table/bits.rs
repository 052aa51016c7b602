//! Bits of strings: the server would read and write bits of an envelope.

use super::{Row, refuse};
use crate::names::{FIRST, at};
use crate::refusal::{DataKind, Reason};

const BITMAPS: Reason = Reason::NotYetSealed(DataKind::Bitmaps);

pub(super) const ROWS: &[Row] = &[
    refuse("bitcount", FIRST, BITMAPS).reads(),
    refuse("bitfield", FIRST, BITMAPS),
    refuse("bitfield_ro", FIRST, BITMAPS).reads(),
    refuse("bitpos", FIRST, BITMAPS).reads(),
    refuse("getbit", FIRST, BITMAPS).reads(),
    refuse("setbit", FIRST, BITMAPS),
    // The destination, then the sources.
    refuse("bitop", at(2, -1, 1), BITMAPS),
];
