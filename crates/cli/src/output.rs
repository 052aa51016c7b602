//! Output: results to stdout, everything else to stderr. A reader that closes stdout early is not an error; a
//! full disk is one, which the end of the command reports.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use waxseal_core::escape_for_terminal;
use waxseal_service::Failure;
use waxseal_service::admin::RunningAdmin;

pub(crate) use waxseal_core::sanitize_for_terminal;
pub(crate) use waxseal_units::{point_in_time, span, thousands};

use crate::stderr;

/// Whether results are printed as JSON.
static JSON: AtomicBool = AtomicBool::new(false);
/// The error that stopped the output of results.
static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();

/// Prints results as JSON from now on, if `is_json`.
pub(crate) fn set_json(is_json: bool) {
    JSON.store(is_json, Ordering::Relaxed);
}

/// True if results are printed as JSON.
pub(crate) fn is_json() -> bool {
    JSON.load(Ordering::Relaxed)
}

/// Prints one line of a result.
pub(crate) fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    bytes(format!("{}\n", text.as_ref()).as_bytes())
}

/// Prints a result as is; on a terminal, control characters are escaped. Where the reader is gone or the disk is full,
/// the command still runs to its end: a closed pipe must not leave a migration half done, or an audit without a
/// verdict. [`unwritten`] reports the disk.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    match is_for_a_person() {
        true => own_bytes(escape_for_terminal(bytes).as_bytes()),
        false => own_bytes(bytes),
    }
    Ok(())
}

/// The same for text that is entirely ours.
pub(crate) fn own_bytes(bytes: &[u8]) {
    if UNWRITTEN.get().is_some() {
        return;
    }
    if is_for_a_person() && io::stderr().is_terminal() {
        // Earlier lines must appear before it.
        stderr::flush();
    }
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            // The first error is the cause of all others.
            let _ = UNWRITTEN.set(error);
        }
        _ => {}
    }
}

/// The failure of a command whose results could not be written, if they could not.
pub(crate) fn unwritten() -> Option<Failure> {
    let error = UNWRITTEN.get()?;
    let text = format!("the result could not be written to standard output: {error}");
    Some(Failure::failed(text).hint(
        "what the command does beside printing was done: make room, and run it again where it only reads",
    ))
}

/// Prints a result as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    line(serde_json::to_string_pretty(value).map_err(Failure::failed)?)
}

/// Prints an error on stderr.
pub(crate) fn error(text: &str) {
    labelled("error", text);
}

/// Prints a warning on stderr.
pub(crate) fn warn(text: &str) {
    labelled("warning", text);
}

/// Prints a warning of the service on stderr, and what to do about it.
pub(crate) fn notice(text: &str, remedy: Option<&str>) {
    warn(text);
    if let Some(remedy) = remedy {
        hint(remedy);
    }
}

/// Prints what to do about an error or a warning on stderr.
pub(crate) fn hint(text: &str) {
    stderr_line(&format!("hint: {text}"));
}

/// Prints a text on stderr behind a label, for example `waxseal: warning: …`.
pub(crate) fn labelled(label: &str, text: &str) {
    stderr_line(&format!("waxseal: {label}: {text}"));
}

/// Prints a line on stderr.
pub(crate) fn stderr_line(text: &str) {
    // Texts may hold names of files and words of other parties.
    stderr::write_line(escape_for_terminal(text.as_bytes()));
}

/// True if results are read by a person.
pub(crate) fn is_for_a_person() -> bool {
    io::stdout().is_terminal()
}

/// A bar of this share (0 to 1) of the width.
pub(crate) fn bar(share: f64, width: usize) -> String {
    let full = (share.clamp(0.0, 1.0) * width as f64).round() as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(width - full))
}

/// Reports the bound admin address.
pub(crate) fn admin_address(admin: &RunningAdmin) {
    stderr_line(&format!("waxseal: admin on {}", admin.address()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!(bar(0.5, 4), "██░░");
    }
}
