//! Where words go: results to stdout, everything else to stderr. Whoever closes stdout early is
//! not an error.

use std::io::{self, ErrorKind, IsTerminal, Write};

use serde::Serialize;

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

/// A number with its thousands apart.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A point in time (milliseconds since the Unix epoch) as people and programs read it (RFC 3339).
pub(crate) fn point_in_time(ms: u64) -> String {
    i64::try_from(ms / 1000)
        .ok()
        .and_then(|seconds| time::OffsetDateTime::from_unix_timestamp(seconds).ok())
        .and_then(|time| {
            time.format(&time::format_description::well_known::Rfc3339)
                .ok()
        })
        .unwrap_or_else(|| format!("{ms} ms"))
}

/// A span of time (in milliseconds), roughly: in the largest unit of which there are at least two.
pub(crate) fn span(ms: u64) -> String {
    match ms {
        0..2_000 => format!("{ms} ms"),
        2_000..120_000 => format!("{} s", ms / 1_000),
        120_000..7_200_000 => format!("{} min", ms / 60_000),
        7_200_000..172_800_000 => format!("{} h", ms / 3_600_000),
        _ => format!("{} d", ms / 86_400_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_times_and_bars_are_readable() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_234_567), "1,234,567");
        assert_eq!(point_in_time(1_763_386_800_000), "2025-11-17T13:40:00Z");
        assert_eq!(bar(0.5, 4), "██░░");
        assert_eq!(harmless("a\u{1b}[31mb\n"), "a?[31mb?");
        let spans = [500, 60_000, 7_199_999, 7_200_000, 7_776_000_000].map(span);
        assert_eq!(spans, ["500 ms", "60 s", "119 min", "2 h", "90 d"]);
    }
}
