//! The arguments about single values and records: `waxseal seal`, `open`, `get`, `put` and `inspect`.

use std::ffi::OsString;

use clap::{ArgGroup, Args, ValueEnum};
use waxseal_core::{EnvelopeVersion, Kind};

use super::{FieldArgs, FormatArg, Hex, NameArgs};

/// The place that an envelope is bound to.
#[derive(Args)]
#[command(group(ArgGroup::new("scope").multiple(true)))]
pub(crate) struct PlaceArgs {
    /// The record that the envelope is bound to
    #[arg(long, value_name = "NAME", groups = ["place", "scope"])]
    pub(crate) record: Option<OsString>,
    /// The same in hexadecimal digits, for a name that cannot be typed
    #[arg(long, value_name = "HEX", groups = ["place", "scope"])]
    pub(crate) record_hex: Option<Hex>,
    /// The field of the hash record that it is bound to
    #[arg(long, value_name = "NAME", requires = "scope")]
    pub(crate) field: Option<OsString>,
    /// The same in hexadecimal digits
    #[arg(long, value_name = "HEX", requires = "scope", conflicts_with = "field")]
    pub(crate) field_hex: Option<Hex>,
    /// The kind of the value [default: string, or hash-field with --field]. A record-name is given by its prefix in --record
    #[arg(long, value_enum)]
    pub(crate) kind: Option<KindArg>,
    /// The id of the group that a new envelope is bound to, and an opened one may be bound to
    #[arg(long, value_name = "ID", group = "scope")]
    pub(crate) group: Option<String>,
}

/// The kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindArg {
    String,
    ListElement,
    HashField,
    Member,
    StreamField,
    Message,
    RecordName,
}

impl From<KindArg> for Kind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::String => Self::String,
            KindArg::ListElement => Self::ListElement,
            KindArg::HashField => Self::HashField,
            KindArg::Member => Self::Member,
            KindArg::StreamField => Self::StreamField,
            KindArg::Message => Self::Message,
            KindArg::RecordName => Self::RecordName,
        }
    }
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
    /// Seal equal values alike, for values that are looked up: members, list elements and record names, and with
    /// users' keys any. Needs version 3
    #[arg(long)]
    pub(crate) deterministic: bool,
    /// The version of the sealed format, without a keyring [default: write_version of waxseal.toml, else 2]
    #[arg(long, value_name = "VERSION", value_parser = super::version)]
    pub(crate) envelope_version: Option<EnvelopeVersion>,
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
    /// All members of a set or sorted set record, one per line
    #[arg(long, conflicts_with_all = ["field", "field_hex", "element"])]
    pub(crate) members: bool,
    /// The entry of a stream record that holds the field, by its id
    #[arg(long, value_name = "ID", conflicts_with_all = ["element", "members"])]
    pub(crate) entry: Option<String>,
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
