//! Geospatial data, which Redis keeps in sorted sets. Members are sealed as there; positions are in clear.

use super::{Form, Row, form};
use crate::names::{FIRST, FIRST_TWO, Names};

pub(super) const ROWS: &[Row] = &[
    form("geoadd", FIRST, Form::GeoAdd),
    form("geodist", FIRST, Form::GeoDist).reads(),
    form("geohash", FIRST, Form::Members).reads(),
    form("geopos", FIRST, Form::Members).reads(),
    form("georadius", Names::Radius, Form::GeoRadius),
    form("georadius_ro", FIRST, Form::GeoRadius).reads(),
    form("georadiusbymember", Names::Radius, Form::GeoRadiusByMember),
    form("georadiusbymember_ro", FIRST, Form::GeoRadiusByMember).reads(),
    form("geosearch", FIRST, Form::GeoSearch).reads(),
    form("geosearchstore", FIRST_TWO, Form::GeoSearchStore),
];
