//! Verification: entries are complete, unchanged and in order. Reads line by line and reports the first
//! break; the lines after it only serve to tell which kind of break it is.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use serde::Serialize;

use crate::entries::for_each_line;
use crate::entry::{ChainKey, Entry, ParsedLine, Position};
use crate::operation::{CONTINUED, CUT_OFF, REPAIRED, STARTED};

/// The beginning of an entry, after the header that the system's log puts before it.
const ENTRY_START: &[u8] = b"{\"seq\":";

/// The kind of a break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakKind {
    /// A line is not as it was written.
    Changed,
    /// Entries are missing.
    Removed,
    /// There is a line between two entries that follow one another.
    Inserted,
    /// An entry is at another position than it was written.
    Reordered,
    /// The last line has no end.
    HalfLine,
    /// An entry belongs to another chain.
    AnotherChain,
    /// An entry that is known to have been written is missing at the end.
    CutOff,
}

/// The first break.
#[derive(Clone, Debug, Serialize)]
pub struct Break {
    /// The file.
    pub file: String,
    /// The number of the line in the file, from 1.
    pub line: u64,
    /// Its kind.
    pub kind: BreakKind,
    /// A description for people.
    pub text: String,
}

/// An entry that must be present, known from elsewhere.
#[derive(Clone, Debug)]
pub enum ExpectedEntry {
    /// By its number.
    Seq(u64),
    /// By its MAC, in hexadecimal.
    Mac(String),
}

/// The result of a verification.
#[derive(Debug, Default, Serialize)]
pub struct Verdict {
    /// True if nothing is broken.
    pub whole: bool,
    /// The number of entries that verify, wherever they are.
    pub entries: u64,
    /// The number of the first entry.
    pub first_seq: Option<u64>,
    /// The number of the last entry before the break.
    pub last_seq: Option<u64>,
    /// Its MAC.
    pub last_mac: Option<String>,
    /// The first break.
    pub broken: Option<Break>,
    /// The number of lines that do not verify under this key.
    #[serde(skip)]
    pub unverified: u64,
}

/// A file could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read: {error}", path.display())]
pub struct VerifyError {
    /// The file.
    pub path: PathBuf,
    /// The system's error.
    pub error: io::Error,
}

/// Verifies files, given in the order in which they were written. In files of the system's log
/// (`is_syslog`), lines without an entry are skipped.
pub fn verify(
    files: &[PathBuf],
    key: &ChainKey,
    is_syslog: bool,
    expected: &[ExpectedEntry],
) -> Result<Verdict, VerifyError> {
    let mut verifier = Verifier {
        missing: expected.to_vec(),
        ..Verifier::default()
    };
    for path in files {
        verifier.file = path.display().to_string();
        let visited = File::open(path).and_then(|file| {
            for_each_line(file, |number, line| {
                verifier.line = number;
                let Some(complete) = line.strip_suffix(b"\n") else {
                    verifier.check(key, line);
                    return Ok(());
                };
                match entry_start(complete) {
                    Some(start) if is_syslog => {
                        verifier.check(key, complete.get(start..).unwrap_or_default());
                    }
                    None if is_syslog => {}
                    _ => verifier.check(key, complete),
                }
                Ok::<_, io::Error>(())
            })
        });
        visited.map_err(|error| VerifyError {
            path: path.clone(),
            error,
        })?;
    }
    Ok(verifier.finish())
}

fn entry_start(line: &[u8]) -> Option<usize> {
    line.windows(ENTRY_START.len())
        .position(|part| part == ENTRY_START)
}

/// A line that is not an entry: the entry after it must say so.
struct PartialLine {
    mac: String,
    file: String,
    line: u64,
}

/// The state of a verification, line after line.
#[derive(Default)]
struct Verifier {
    file: String,
    line: u64,
    /// The entry that the next one must follow.
    last: Option<Position>,
    partial: Option<PartialLine>,
    verdict: Verdict,
    lines_since_break: u64,
    missing: Vec<ExpectedEntry>,
}

impl Verifier {
    fn check(&mut self, key: &ChainKey, line: &[u8]) {
        let parsed = key.parse(line);
        if let ParsedLine::Verified(entry) = &parsed {
            self.verdict.entries = self.verdict.entries.saturating_add(1);
            self.missing.retain(|expected| match expected {
                ExpectedEntry::Seq(seq) => *seq > entry.seq,
                ExpectedEntry::Mac(mac) => *mac != entry.mac,
            });
        } else {
            self.verdict.unverified = self.verdict.unverified.saturating_add(1);
        }
        if self.verdict.broken.is_some() {
            self.lines_since_break = self.lines_since_break.saturating_add(1);
            if let ParsedLine::Verified(entry) = &parsed {
                self.reclassify_break(entry);
            }
            return;
        }
        match parsed {
            ParsedLine::Verified(entry) => self.check_entry(&entry),
            ParsedLine::Unverified => {
                let text = "the entry was changed, or it was written without the key";
                self.set_break(BreakKind::Changed, text.to_owned());
            }
            ParsedLine::Malformed if self.partial.is_some() => {
                self.set_break_at_partial(BreakKind::Changed);
            }
            ParsedLine::Malformed => {
                self.partial = Some(PartialLine {
                    mac: key.mac(line),
                    file: self.file.clone(),
                    line: self.line,
                });
            }
        }
    }

    /// Checks the position of a verified entry, where nothing was broken before.
    fn check_entry(&mut self, entry: &Entry) {
        if let Some(partial) = &self.partial {
            let mac = entry.details.get("half_line").and_then(|it| it.as_str());
            if entry.action != REPAIRED || mac != Some(partial.mac.as_str()) {
                self.set_break_at_partial(BreakKind::Changed);
                self.lines_since_break = 1;
                self.reclassify_break(entry);
                return;
            }
            self.partial = None;
        }
        let is_first = entry.seq == 1 || entry.action == CONTINUED || entry.action == STARTED;
        let broken = match &self.last {
            None if is_first => None,
            None => {
                let text = "the entries before this one are missing";
                Some((BreakKind::Removed, text.to_owned()))
            }
            Some(_) if entry.action == STARTED => {
                let text = "another chain begins here: the log was started again, or the files are not \
                            given in their order";
                Some((BreakKind::AnotherChain, text.to_owned()))
            }
            Some(last) => break_between(last, entry),
        };
        match broken {
            Some((kind, text)) => self.set_break(kind, text),
            None => {
                self.verdict.first_seq.get_or_insert(entry.seq);
                self.last = Some(entry.into());
            }
        }
    }

    /// Corrects the kind of the break from an entry after it.
    fn reclassify_break(&mut self, entry: &Entry) {
        let (Some(broken), Some(last)) = (&mut self.verdict.broken, &self.last) else {
            return;
        };
        let next = last.seq.saturating_add(1);
        if entry.seq != next || entry.prev != last.mac {
            return;
        }
        match broken.kind {
            BreakKind::Removed => {
                broken.kind = BreakKind::Reordered;
                broken.text = format!("entry {next} is further below");
            }
            BreakKind::Changed | BreakKind::Reordered if self.lines_since_break == 1 => {
                broken.kind = BreakKind::Inserted;
                broken.text =
                    "the line was inserted: the entries around it follow one another".to_owned();
            }
            _ => {}
        }
    }

    fn set_break(&mut self, kind: BreakKind, text: String) {
        self.verdict.broken = Some(Break {
            file: self.file.clone(),
            line: self.line,
            kind,
            text,
        });
    }

    fn set_break_at_partial(&mut self, kind: BreakKind) {
        let Some(partial) = self.partial.take() else {
            return;
        };
        let text = match kind {
            BreakKind::HalfLine => {
                "the last line is incomplete: a crash while it was written, or it was cut; the next \
                 entry records it"
            }
            _ => "the line is not an entry, and no entry records a crash",
        };
        self.verdict.broken = Some(Break {
            file: partial.file,
            line: partial.line,
            kind,
            text: text.to_owned(),
        });
    }

    fn finish(mut self) -> Verdict {
        if self.verdict.broken.is_none() {
            self.set_break_at_partial(BreakKind::HalfLine);
        }
        if let Some(missing) = self.missing.first()
            && self.verdict.broken.is_none()
        {
            let text = match missing {
                ExpectedEntry::Seq(seq) => format!("entry {seq} was written and is missing"),
                ExpectedEntry::Mac(mac) => format!("the entry with the mac {mac} is missing"),
            };
            self.set_break(BreakKind::CutOff, text);
        }
        if self.verdict.entries == 0 && self.verdict.broken.is_none() {
            self.set_break(BreakKind::CutOff, "there are no entries".to_owned());
        }
        let mut verdict = self.verdict;
        verdict.whole = verdict.broken.is_none();
        verdict.last_seq = self.last.as_ref().map(|last| last.seq);
        verdict.last_mac = self.last.map(|last| last.mac);
        verdict
    }
}

/// The break between an entry and the one before it, if there is one.
fn break_between(last: &Position, entry: &Entry) -> Option<(BreakKind, String)> {
    let next = last.seq.saturating_add(1);
    if entry.seq > next {
        let missing = match entry.seq.saturating_sub(1) {
            before if before == next => format!("entry {next} is"),
            before => format!("entries {next} to {before} are"),
        };
        let noticed = match entry.action == CUT_OFF {
            true => "; waxseal noticed it when it wrote this entry",
            false => "",
        };
        let text = format!("{missing} missing before it{noticed}");
        return Some((BreakKind::Removed, text));
    }
    if entry.seq < next {
        let text = format!("entry {} is after entry {}", entry.seq, last.seq);
        return Some((BreakKind::Reordered, text));
    }
    (entry.prev != last.mac).then(|| {
        let text = "the entry follows another one of the same number";
        (BreakKind::AnotherChain, text.to_owned())
    })
}
