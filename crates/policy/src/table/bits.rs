//! Bits of strings: the server would read and write bits of an envelope, so the proxy computes on the value.

use super::{Form, Row, form, refuse};
use crate::names::{FIRST, at};
use crate::refusal::{DataKind, Reason};

const BITMAPS: Reason = Reason::NotYetSealed(DataKind::Bitmaps);

pub(super) const ROWS: &[Row] = &[
    form("bitcount", FIRST, Form::ComputeReading).reads(),
    form("bitfield", FIRST, Form::Compute),
    form("bitfield_ro", FIRST, Form::ComputeReading).reads(),
    form("bitpos", FIRST, Form::ComputeReading).reads(),
    form("getbit", FIRST, Form::ComputeReading).reads(),
    form("setbit", FIRST, Form::Compute),
    // The destination, then the sources.
    refuse("bitop", at(2, -1, 1), BITMAPS),
];
