//! Where words go: results to stdout, everything else to stderr. Whoever closes stdout early is
//! not an error; a disk that takes no result is one, which the end of the command tells.

use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;

use serde::Serialize;

pub(crate) use waxseal_page::words::{point_in_time, span, thousands};

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

/// What somebody else wrote, without what would move a terminal's cursor or change its colours.
pub(crate) fn sanitize_for_terminal(text: &str) -> String {
    let shown = |c: char| if controls_terminal(c) { '?' } else { c };
    text.chars().map(shown).collect()
}

/// A text in which everything but lines and tabs that would control a terminal is written out, as JSON
/// writes it, and bytes that are not UTF-8 as `\x9b`. A value could otherwise set the window's title, type
/// into the shell or hide what is printed.
fn escape_for_terminal(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' | '\t' => shown.push(c),
                c if controls_terminal(c) => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
                c => shown.push(c),
            }
        }
        for byte in chunk.invalid() {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    shown
}

/// Control characters, and those that change the direction of a text or end its line (Unicode TR 36).
fn controls_terminal(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
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
    fn bars_and_texts_of_others_are_readable() {
        assert_eq!(bar(0.5, 4), "██░░");
        assert_eq!(sanitize_for_terminal("a\u{1b}[31mb\n"), "a?[31mb?");
        let text = "ñ\t\u{1b}]0;x\u{7}\r\u{9b}1m\u{202e}\n".as_bytes();
        let shown = "ñ\t\\u001b]0;x\\u0007\\u000d\\u009b1m\\u202e\n";
        assert_eq!(escape_for_terminal(text), shown);
        assert_eq!(escape_for_terminal(b"\x9b1m\xff"), "\\x9b1m\\xff");
    }
}
