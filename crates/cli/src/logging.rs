//! The log: what the libraries tell, on standard error or in a file. Nothing waits for it.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, OnceLock};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::args::{Common, LogFormat, LogLevel};
use crate::error::Failure;
use crate::line_queue::{LineQueue, LostLines};
use crate::stderr;

mod file;

use file::{LogFile, Reopener};

/// The file of the log, where one is named.
static FILE: OnceLock<FileLog> = OnceLock::new();

struct FileLog {
    lines: Arc<LineQueue>,
    reopener: Reopener,
}

/// Starts logging. Other crates than ours are heard only when something is wrong.
pub(crate) fn start(common: &Common) -> Result<(), Failure> {
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
        // It would print to standard error on its own, and panic where that fails.
        .log_internal_errors(false)
        .with_target(false);
    let to_terminal = common.log_file.is_none() && io::stderr().is_terminal();
    match common.log_format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text => builder.with_ansi(to_terminal).init(),
    }
    let Some(path) = &common.log_file else {
        return Ok(());
    };
    let (file, reopener) = LogFile::open(path)?;
    let lines = LineQueue::start("log", file, |lost| notice(lost, "its file"));
    // Nobody else sets it.
    let _ = FILE.set(FileLog { lines, reopener });
    Ok(())
}

/// Opens the file of the log again, as it may have been renamed; `None` where there is none. Waits for the disk.
pub(crate) fn reopen_file() -> Option<Result<(), String>> {
    FILE.get().map(|file| file.reopener.reopen())
}

/// Waits until everything queued is written; no longer than a moment where nothing is taken.
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

thread_local! {
    /// On a thread that writes lines: the one that tells of lost ones, which must not be queued.
    static NOTICE: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// The line that tells how many lines this stream did not take, formatted as the log is.
pub(crate) fn notice(lost: u64, stream: &str) -> Vec<u8> {
    let (lines, were) = match lost {
        1 => ("line", "was"),
        _ => ("lines", "were"),
    };
    NOTICE.set(Some(Vec::new()));
    tracing::warn!("{lost} {lines} of the log {were} lost: {stream} did not take them");
    match NOTICE.take() {
        Some(line) if !line.is_empty() => line,
        // The level of the log leaves it out.
        _ => format!("waxseal: warning: {lost} {lines} {were} lost: {stream} did not take them\n")
            .into_bytes(),
    }
}

/// The destination of the log's lines.
#[derive(Clone, Copy)]
struct LogWriter;

impl Write for LogWriter {
    /// Takes one event, whole.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let is_notice = NOTICE.with_borrow_mut(|notice| match notice {
            Some(notice) => {
                notice.extend_from_slice(line);
                true
            }
            None => false,
        });
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
