//! The log: what the libraries tell, on stderr.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::args::{Common, LogFormat, LogLevel};
use crate::stderr::LogWriter;

/// Starts logging. Other crates than ours are heard only when something is wrong.
pub(crate) fn start(common: &Common) {
    let level = match common.log {
        LogLevel::Off => "off",
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    let others = if level == "off" { "off" } else { "error" };
    let ours = [
        "waxseal",
        "waxseal_keys",
        "waxseal_proxy",
        "waxseal_sessions",
        "waxseal_stores",
        "waxseal_sweep",
        "waxseal_upkeep",
    ];
    let rules = ours.map(|name| format!(",{name}={level}")).concat();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("{others}{rules}")))
        .with_writer(LogWriter)
        // It would print to standard error by itself, and panic where that fails.
        .log_internal_errors(false)
        .with_target(false);
    match common.log_format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).init(),
    }
}
