//! The arguments about the audit log: `waxseal audit-log`.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum AuditLogCommand {
    /// Verify that no entry was changed, removed, inserted or reordered
    #[command(after_help = "Examples:\n  waxseal audit-log verify\n  \
        waxseal audit-log verify audit.jsonl.1 audit.jsonl --key file:/etc/waxseal/audit.key\n  \
        waxseal audit-log verify --expect-last 1042")]
    Verify {
        /// The files, in the order in which they were written [default: audit_log of waxseal.toml]
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The key of the audit log: env:NAME or file:PATH [default: audit_log_key of waxseal.toml]
        #[arg(long, value_name = "URL")]
        key: Option<String>,
        /// The number or the mac of an entry that was noted elsewhere: it must still exist
        #[arg(long, value_name = "SEQ|MAC")]
        expect_last: Option<String>,
        /// The lines are those of the system's log: text before an entry, and lines that are
        /// not entries, are skipped
        #[arg(long)]
        syslog: bool,
    },
    /// Print the entries as text, or as JSON with --json
    #[command(
        after_help = "Examples:\n  waxseal audit-log show --since 2026-11-28\n  \
        waxseal audit-log show --action get --json"
    )]
    Show {
        /// The files, in the order in which they were written [default: audit_log of waxseal.toml]
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The key of the audit log: env:NAME or file:PATH [default: audit_log_key of waxseal.toml]
        #[arg(long, value_name = "URL")]
        key: Option<String>,
        /// Only from this time on, in UTC: 2026-11-28 or 2026-11-28T05:15:00Z
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Only entries of this action
        #[arg(long, value_name = "WORD")]
        action: Option<String>,
    },
}
