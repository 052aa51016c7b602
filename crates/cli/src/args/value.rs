//! The arguments about single values and records: `waxseal seal`, `open`, `get`, `put` and `inspect`.

use std::ffi::OsString;

use clap::Args;

use super::{FieldArgs, FormatArg, Hex, NameArgs};

/// The place that an envelope is bound to.
#[derive(Args)]
pub(crate) struct PlaceArgs {
    /// The record that the envelope is bound to
    #[arg(long, value_name = "NAME", group = "place")]
    pub(crate) record: Option<OsString>,
    /// The same in hexadecimal digits, for a name that cannot be typed
    #[arg(long, value_name = "HEX", group = "place")]
    pub(crate) record_hex: Option<Hex>,
    /// The field of the hash record that it is bound to
    #[arg(long, value_name = "NAME", requires = "place")]
    pub(crate) field: Option<OsString>,
    /// The same in hexadecimal digits
    #[arg(long, value_name = "HEX", requires = "place", conflicts_with = "field")]
    pub(crate) field_hex: Option<Hex>,
}

#[derive(Args)]
pub(crate) struct SealArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// The format of the envelope
    #[arg(long, value_enum, default_value = "classic")]
    pub(crate) format: FormatArg,
    /// Write the sealed format as text
    #[arg(long)]
    pub(crate) armor: bool,
}

#[derive(Args)]
pub(crate) struct OpenArgs {
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

#[derive(Args)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    pub(crate) name: NameArgs,
    #[command(flatten)]
    pub(crate) field: FieldArgs,
    /// One element of a list record, counted from 0
    #[arg(long, value_name = "N", conflicts_with_all = ["field", "field_hex"])]
    pub(crate) element: Option<u64>,
}

#[derive(Args)]
pub(crate) struct PutArgs {
    #[command(flatten)]
    pub(crate) name: NameArgs,
    #[command(flatten)]
    pub(crate) field: FieldArgs,
    /// Replace a record that is not a string, with all that it holds
    #[arg(long, conflicts_with_all = ["field", "field_hex"])]
    pub(crate) replace: bool,
    /// The expiry of the record, in seconds [default: as long as the present one, else no expiry]
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["field", "field_hex"], value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) ttl: Option<u64>,
}

#[derive(Args)]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) name: NameArgs,
}
