//! The log, on standard error or in a file. Nothing waits for it.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use waxseal_service::Failure;

use crate::line_queue::{LineQueue, LostLines};
use crate::lost_lines::{self, notice};
use crate::stderr;

mod file;

use file::{LogFile, Reopener};

/// The file of the log, where one is named.
static FILE: OnceLock<FileLog> = OnceLock::new();

struct FileLog {
    lines: Arc<LineQueue>,
    reopener: Reopener,
}

/// The settings of the log.
pub(crate) struct Settings<'a> {
    /// The level of our own crates.
    pub(crate) level: &'static str,
    pub(crate) is_json: bool,
    /// The file in place of standard error.
    pub(crate) file: Option<&'a Path>,
}

/// Starts logging. Other crates log errors only.
pub(crate) fn start(settings: &Settings<'_>) -> Result<(), Failure> {
    let level = settings.level;
    let others = if level == "off" { "off" } else { "error" };
    let ours = [
        "waxseal",
        "waxseal_keys",
        "waxseal_proxy",
        "waxseal_service",
        "waxseal_sessions",
        "waxseal_stores",
        "waxseal_sweep",
        "waxseal_upkeep",
    ];
    let rules = ours.map(|name| format!(",{name}={level}")).concat();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(format!("{others}{rules}")))
        .with_writer(LogWriter)
        // It would print to standard error on its own, and panic where that fails.
        .log_internal_errors(false)
        .with_target(false);
    let to_terminal = settings.file.is_none() && io::stderr().is_terminal();
    match settings.is_json {
        true => builder.json().init(),
        false => builder.with_ansi(to_terminal).init(),
    }
    let Some(path) = settings.file else {
        return Ok(());
    };
    let (file, reopener) = LogFile::open(path)?;
    let lines = LineQueue::start("log", file, |lost| notice(lost, "its file"));
    // It is set only here.
    let _ = FILE.set(FileLog { lines, reopener });
    Ok(())
}

/// Opens the file of the log again, as it may have been renamed; `None` where there is none. Waits for the disk.
pub(crate) fn reopen_file() -> Option<Result<(), String>> {
    FILE.get().map(|file| file.reopener.reopen())
}

/// Waits until everything queued is written, but only for a moment if the stream takes nothing.
pub(crate) fn flush() {
    stderr::flush();
    if let Some(file) = FILE.get() {
        file.lines.flush();
    }
}

/// The lines lost so far, of the log and of standard error.
pub(crate) fn lost_lines() -> LostLines {
    let of_file = FILE.get().map(|file| file.lines.lost());
    stderr::lost_lines().and(of_file.unwrap_or_default())
}

/// The destination of the log's lines.
#[derive(Clone, Copy)]
struct LogWriter;

impl Write for LogWriter {
    /// Takes one event, whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let is_notice = lost_lines::capture(line);
        match FILE.get() {
            _ if is_notice => {}
            Some(file) => {
                // Without a thread that writes the file there is standard error.
                if let Err(line) = file.lines.push(line.to_vec()) {
                    stderr::push(line);
                }
            }
            None => stderr::push(line.to_vec()),
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogWriter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        *self
    }
}
