//! Where words go: results to stdout, everything else to stderr. Whoever closes stdout early is
//! not an error; a disk that takes no result is one, which the end of the command tells.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;

use serde::Serialize;
use waxseal_core::escape_for_terminal;

pub(crate) use waxseal_core::sanitize_for_terminal;
pub(crate) use waxseal_page::format::{point_in_time, span, thousands};

use crate::error::Failure;
use crate::stderr;

/// Why results are not written any more.
static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();

/// Prints one line of a result.
pub(crate) fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    bytes(format!("{}\n", text.as_ref()).as_bytes())
}

/// Prints a result as it is; on a terminal without what would control it. Where nobody reads it any more, or
/// the disk takes no more, the work goes on to its own end: a migration is not left half done, and an audit
/// not left without a verdict, because of a closed pipe. [`unwritten`] tells of the disk.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    match is_for_a_person() {
        true => own_bytes(escape_for_terminal(bytes).as_bytes()),
        false => own_bytes(bytes),
    }
    Ok(())
}

/// The same of a text that is all ours.
pub(crate) fn own_bytes(bytes: &[u8]) {
    if UNWRITTEN.get().is_some() {
        return;
    }
    if is_for_a_person() && io::stderr().is_terminal() {
        // What was told before stands before it.
        stderr::flush();
    }
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            // The first one is the cause of all.
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

/// Prints a result for a program.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    line(serde_json::to_string_pretty(value).map_err(Failure::failed)?)
}

/// Says something beside the result, for example `waxseal: warning: …`.
pub(crate) fn complain(word: &str, text: &str) {
    say(&format!("waxseal: {word}: {text}"));
}

/// Prints a warning of the service, and what to do about it.
pub(crate) fn warning(text: &str, remedy: Option<&str>) {
    complain("warning", text);
    if let Some(remedy) = remedy {
        hint(remedy);
    }
}

/// Prints an error.
pub(crate) fn error(text: &str) {
    complain("error", text);
}

/// Prints what to do about an error or a warning.
pub(crate) fn hint(text: &str) {
    advise(text);
}

/// Says what to do about it.
pub(crate) fn advise(hint: &str) {
    say(&format!("hint: {hint}"));
}

/// Says something beside the result.
pub(crate) fn say(text: &str) {
    // Texts may name files and words of others.
    stderr::write_line(escape_for_terminal(text.as_bytes()));
}

/// Whether results are read by a person.
pub(crate) fn is_for_a_person() -> bool {
    io::stdout().is_terminal()
}

/// A bar of this share (0 to 1) of the width.
pub(crate) fn bar(share: f64, width: usize) -> String {
    let full = (share.clamp(0.0, 1.0) * width as f64).round() as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(width - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!(bar(0.5, 4), "██░░");
    }
}
