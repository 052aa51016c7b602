//! The arguments of sweeps: `waxseal migrate`, `rotate` and `decrypt`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::FormatArg;

/// The pace and limits of a sweep.
#[derive(Args)]
pub(crate) struct SweepArgs {
    /// Check every record, write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The maximum number of values a second, on average
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_rate: Option<u32>,
    /// Slow down while the server lets another client wait longer than this (0: never)
    #[arg(long, value_name = "MS", default_value_t = 50)]
    pub(crate) max_latency: u64,
    /// Wait this long for a store that cannot be reached
    #[arg(long, alias = "patience", value_name = "SECONDS", default_value_t = 60)]
    pub(crate) reconnect_timeout: u64,
    /// What to do with values in streams, whose entries a server cannot rewrite: count them, or replace streams that have
    /// no consumer groups by copies
    #[arg(long, value_enum, default_value = "keep")]
    pub(crate) streams: StreamsArg,
    /// Save the progress in this file
    #[arg(long, value_name = "PATH")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Continue from the checkpoint
    #[arg(long, requires = "checkpoint")]
    pub(crate) resume: bool,
}

/// A pass over the names of records, in place of one over their values.
#[derive(Args)]
pub(crate) struct NamesArgs {
    /// Give records the names of the other form, in place of their values: sealed ones (migrate) or plain ones (decrypt).
    /// Concerns records with names = "sealed" in waxseal.toml
    #[arg(long)]
    pub(crate) names: bool,
    /// Confirm that nothing else uses these records until the processes are started with names in the new form
    #[arg(long, requires = "names")]
    pub(crate) offline: bool,
    /// Although processes reported to the keyring a short while ago: they have ended
    #[arg(long, requires = "offline")]
    pub(crate) now: bool,
}

/// What a sweep does with values in streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StreamsArg {
    Keep,
    Rewrite,
}

#[derive(Args)]
pub(crate) struct MigrateArgs {
    #[command(flatten)]
    pub(crate) sweep: SweepArgs,
    /// The format to write; with `sealed`, classic values are migrated as well
    /// [default: that of waxseal.toml, else classic]
    #[arg(long, value_enum, conflicts_with = "names")]
    pub(crate) format: Option<FormatArg>,
    #[command(flatten)]
    pub(crate) names: NamesArgs,
}

#[derive(Args)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    pub(crate) sweep: SweepArgs,
    /// With a keyring: also open values under compromised keys. Anyone who holds such a key could have
    /// written those values
    #[arg(long)]
    pub(crate) open_compromised: bool,
}

#[derive(Args)]
pub(crate) struct DecryptArgs {
    #[command(flatten)]
    pub(crate) sweep: SweepArgs,
    /// Confirm that these values, or names, are to be stored in plaintext
    #[arg(long)]
    pub(crate) yes: bool,
    /// Open only values under names that are excepted from their pattern
    #[arg(long, conflicts_with = "names")]
    pub(crate) excepted: bool,
    #[command(flatten)]
    pub(crate) names: NamesArgs,
}
