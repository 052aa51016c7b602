//! The arguments of audits: `waxseal audit`, alone or with `verify`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::NamesArg;

#[derive(Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    pub(crate) command: Option<AuditCommand>,
    /// Fail (exit status 1) if anything is plaintext or cannot be sealed, or if no record matches
    /// although records exist
    #[arg(long)]
    pub(crate) require_clean: bool,
    /// Open every value instead of trusting headers, and fail (exit status 1) if one does not open
    #[arg(long)]
    pub(crate) deep: bool,
    /// Fail (exit status 1) if a value is in an older version of the sealed format, or in the classic format
    #[arg(long, value_name = "VERSION", value_parser = clap::value_parser!(u8).range(2..=3))]
    pub(crate) require_version: Option<u8>,
    /// Fail (exit status 1) if the name of a record is stored in another form, or in two
    #[arg(long, value_enum, value_name = "FORM")]
    pub(crate) require_names: Option<NamesArg>,
    /// Write a report that is signed with the keyring's key to this file (JSON, mode 0600)
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Write the same as a page to this file; it holds the signed report where a keyring is configured
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// Replace existing files
    #[arg(long)]
    pub(crate) force: bool,
    /// Slow down while the server lets another client wait longer than this (0: never)
    #[arg(long, value_name = "MS", default_value_t = 50)]
    pub(crate) max_latency: u64,
}

impl AuditArgs {
    /// True if anything was said about how to count. That cannot be left to the parser, which would
    /// refuse the common options as well.
    pub(crate) fn says_how_to_count(&self) -> bool {
        let files = self.report.is_some() || self.html.is_some();
        let requires = self.require_clean || self.require_version.is_some();
        requires || self.require_names.is_some() || self.deep || self.force || files
    }
}

#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// Verify the signature of a report, and that a page shows what was signed
    #[command(
        after_help = "Examples:\n  waxseal audit verify audit.json --key 0kqX…\n  \
        waxseal audit verify audit.html --json"
    )]
    Verify {
        /// A file that --report or --html wrote; - is stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The key that must have signed it, as waxseal keyring status shows it [default: that of
        /// the keyring, where one is configured]
        // Every 64th key begins with a hyphen.
        #[arg(long, value_name = "BASE64URL", allow_hyphen_values = true)]
        key: Option<String>,
    },
}
