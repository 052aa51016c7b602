//! Where words go: results to stdout, everything else to stderr. Whoever closes stdout early is
//! not an error.

use std::io::{self, ErrorKind, IsTerminal, Write};

use serde::Serialize;

pub(crate) use waxseal_page::words::{point_in_time, span, thousands};

use crate::error::Failure;

/// Prints one line of a result.
pub(crate) fn line(text: impl AsRef<str>) -> Result<(), Failure> {
    bytes(format!("{}\n", text.as_ref()).as_bytes())
}

/// Prints a result as it is. Where nobody reads it any more, the work goes on to its own end: a
/// migration is not left half done, and an audit not left without a verdict, because of a closed
/// pipe.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Prints a result for a program.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    line(serde_json::to_string_pretty(value).map_err(Failure::failed)?)
}

/// What somebody else wrote, without what would move a terminal's cursor or change its colours.
pub(crate) fn harmless(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '?' } else { c };
    text.chars().map(shown).collect()
}

/// Says something beside the result, for example `waxseal: warning: …`.
pub(crate) fn complain(word: &str, text: &str) {
    say(&format!("waxseal: {word}: {text}"));
}

/// Says what to do about it.
pub(crate) fn advise(hint: &str) {
    say(&format!("hint: {hint}"));
}

/// Says something beside the result.
pub(crate) fn say(text: &str) {
    // Nobody is left to tell that stderr is gone.
    let _ = writeln!(io::stderr().lock(), "{text}");
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
    fn bars_and_texts_of_others_are_readable() {
        assert_eq!(bar(0.5, 4), "██░░");
        assert_eq!(harmless("a\u{1b}[31mb\n"), "a?[31mb?");
    }
}
