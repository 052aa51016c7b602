//! The arguments about decoys.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(crate) enum DecoyCommand {
    /// Write each decoy of waxseal.toml that is not there yet, sealed; never over anything
    #[command(
        after_help = "Examples:\n  waxseal decoy plant\n  waxseal decoy plant --value state.json --ttl 86400"
    )]
    Plant(PlantArgs),
    /// Tell of each decoy whether it is there, and sealed
    #[command(after_help = "Example:\n  waxseal decoy list --json")]
    List,
}

#[derive(Args)]
pub(crate) struct PlantArgs {
    /// What all of them hold [default: an invented conversation state, another one for each]
    #[arg(long, value_name = "FILE")]
    pub(crate) value: Option<PathBuf>,
    /// How long they live [default: for ever]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) ttl: Option<u64>,
}
