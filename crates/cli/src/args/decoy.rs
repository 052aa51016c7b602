//! The arguments about decoys.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(crate) enum DecoyCommand {
    /// Write each decoy of waxseal.toml that does not exist yet, sealed; nothing is overwritten
    #[command(
        after_help = "Examples:\n  waxseal decoy plant\n  waxseal decoy plant --value state.json --ttl 86400"
    )]
    Plant(PlantArgs),
    /// Show for each decoy whether it exists and is sealed
    #[command(after_help = "Example:\n  waxseal decoy list --json")]
    List,
}

#[derive(Args)]
pub(crate) struct PlantArgs {
    /// A file with the value of all of them [default: an invented conversation state, a different one for each]
    #[arg(long, value_name = "FILE")]
    pub(crate) value: Option<PathBuf>,
    /// The expiry of the decoys, in seconds [default: no expiry]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) ttl: Option<u64>,
}
