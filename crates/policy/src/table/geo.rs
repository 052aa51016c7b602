//! Geospatial data, which Redis keeps in sorted sets. Refused on protected names.

use super::{Row, refuse};
use crate::names::{FIRST, FIRST_TWO, Names};
use crate::refusal::{DataKind, Reason};

const GEO: Reason = Reason::NotYetSealed(DataKind::Geo);

pub(super) const ROWS: &[Row] = &[
    refuse("geoadd", FIRST, GEO),
    refuse("geodist", FIRST, GEO).reads(),
    refuse("geohash", FIRST, GEO).reads(),
    refuse("geopos", FIRST, GEO).reads(),
    refuse("georadius", Names::Radius, GEO),
    refuse("georadius_ro", FIRST, GEO).reads(),
    refuse("georadiusbymember", Names::Radius, GEO),
    refuse("georadiusbymember_ro", FIRST, GEO).reads(),
    refuse("geosearch", FIRST, GEO).reads(),
    refuse("geosearchstore", FIRST_TWO, GEO),
];
