//! Whether entries are as they were written, all of them and in their order. Reads line by line, and
//! names the first break; what is behind it only serves to tell of which kind it is.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::PathBuf;

use serde::Serialize;

use super::entry::{CONTINUED, CUT, Codes, LONGEST_ENTRY, Last, REPAIRED, Read, STARTED, Whole};

/// How an entry begins, behind what the system's log puts before it.
const BEGINNING: &[u8] = b"{\"seq\":";

/// What kind of break it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Changed,
    Removed,
    Inserted,
    Reordered,
    HalfLine,
    AnotherChain,
    CutOff,
}

/// The first break.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Broken {
    pub(crate) file: String,
    pub(crate) line: u64,
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

/// What must be there: noted elsewhere before.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    Seq(u64),
    Mac(String),
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Verdict {
    pub(crate) whole: bool,
    /// How many entries are as they were written, wherever they stand.
    pub(crate) entries: u64,
    pub(crate) first_seq: Option<u64>,
    pub(crate) last_seq: Option<u64>,
    pub(crate) last_mac: Option<String>,
    pub(crate) broken: Option<Broken>,
    /// Lines that no key of ours made.
    #[serde(skip)]
    pub(crate) strange: u64,
}

/// Goes through files, in the order in which they were written.
pub(crate) fn verify(
    files: &[PathBuf],
    codes: &Codes,
    of_syslog: bool,
    expected: &[Expected],
) -> Result<Verdict, (PathBuf, io::Error)> {
    let mut walk = Walk {
        missing: expected.to_vec(),
        ..Walk::default()
    };
    for path in files {
        let failed = |error| (path.clone(), error);
        let mut reader = BufReader::new(File::open(path).map_err(failed)?);
        walk.file = path.display().to_string();
        walk.line = 0;
        loop {
            let mut line = Vec::new();
            // A line that is longer than any entry is none, in however many pieces it is read.
            let mut one = reader.by_ref().take(2 * LONGEST_ENTRY as u64);
            if one.read_until(b'\n', &mut line).map_err(failed)? == 0 {
                break;
            }
            walk.line += 1;
            let Some(text) = line.strip_suffix(b"\n") else {
                walk.meet(codes, &line);
                continue;
            };
            match beginning(text).filter(|_| of_syslog) {
                Some(at) => walk.meet(codes, text.get(at..).unwrap_or_default()),
                None if of_syslog => {}
                None => walk.meet(codes, text),
            }
        }
    }
    Ok(walk.finish())
}

fn beginning(line: &[u8]) -> Option<usize> {
    line.windows(BEGINNING.len())
        .position(|part| part == BEGINNING)
}

/// A line that has not the form of an entry: the next entry must tell of it.
struct Half {
    code: String,
    file: String,
    line: u64,
}

#[derive(Default)]
struct Walk {
    file: String,
    line: u64,
    /// What the next entry must follow.
    last: Option<Last>,
    half: Option<Half>,
    verdict: Verdict,
    /// Lines since the break.
    since: u64,
    missing: Vec<Expected>,
}

impl Walk {
    fn meet(&mut self, codes: &Codes, line: &[u8]) {
        let read = codes.read(line);
        if let Read::Whole(whole) = &read {
            self.verdict.entries += 1;
            self.missing.retain(|it| match it {
                Expected::Seq(seq) => *seq > whole.seq,
                Expected::Mac(mac) => *mac != whole.mac,
            });
        } else {
            self.verdict.strange += 1;
        }
        if self.verdict.broken.is_some() {
            self.since += 1;
            if let Read::Whole(whole) = &read {
                self.classify(whole);
            }
            return;
        }
        match read {
            Read::Whole(whole) => self.follow(whole),
            Read::Forged => {
                let text =
                    "the entry is not as it was written, or somebody without the key wrote it";
                self.break_here(Kind::Changed, text.to_owned());
            }
            Read::Unreadable => match &self.half {
                Some(_) => self.break_at_half(Kind::Changed),
                None => {
                    self.half = Some(Half {
                        code: codes.code(line),
                        file: self.file.clone(),
                        line: self.line,
                    });
                }
            },
        }
    }

    /// An entry that is as it was written, where nothing was broken before.
    fn follow(&mut self, whole: Whole) {
        if let Some(half) = &self.half {
            let code = whole.details.get("half_line").and_then(|it| it.as_str());
            if whole.action != REPAIRED || code != Some(half.code.as_str()) {
                self.break_at_half(Kind::Changed);
                self.since = 1;
                self.classify(&whole);
                return;
            }
            self.half = None;
        }
        let broken = match &self.last {
            None if whole.seq == 1 || whole.action == CONTINUED || whole.action == STARTED => None,
            None => Some((
                Kind::Removed,
                "the entries before this one are missing".to_owned(),
            )),
            Some(_) if whole.action == STARTED => Some((
                Kind::AnotherChain,
                "another chain begins here: the log was begun anew, or the files are not given in \
                 their order"
                    .to_owned(),
            )),
            Some(last) => out_of_place(last, &whole),
        };
        match broken {
            Some((kind, text)) => self.break_here(kind, text),
            None => {
                self.verdict.first_seq.get_or_insert(whole.seq);
                self.last = Some(Last::of(&whole));
            }
        }
    }

    /// What comes behind a break tells of which kind it is.
    fn classify(&mut self, whole: &Whole) {
        let (Some(broken), Some(last)) = (&mut self.verdict.broken, &self.last) else {
            return;
        };
        let goes_on = whole.seq == last.seq.saturating_add(1) && whole.prev == last.mac;
        match broken.kind {
            Kind::Removed if goes_on => {
                broken.kind = Kind::Reordered;
                broken.text = format!("entry {} stands further below", last.seq.saturating_add(1));
            }
            Kind::Changed | Kind::Reordered if goes_on && self.since == 1 => {
                broken.kind = Kind::Inserted;
                broken.text =
                    "the line was not there: the entries around it follow one another".to_owned();
            }
            _ => {}
        }
    }

    fn break_here(&mut self, kind: Kind, text: String) {
        self.verdict.broken = Some(Broken {
            file: self.file.clone(),
            line: self.line,
            kind,
            text,
        });
    }

    fn break_at_half(&mut self, kind: Kind) {
        if let Some(half) = self.half.take() {
            let text = match kind {
                Kind::HalfLine => {
                    "the last line is half: a crash while it was written, or somebody cut it; the next \
                     entry tells of it"
                }
                _ => "the line has not the form of an entry, and none tells of a crash",
            };
            self.verdict.broken = Some(Broken {
                file: half.file,
                line: half.line,
                kind,
                text: text.to_owned(),
            });
        }
    }

    fn finish(mut self) -> Verdict {
        if self.verdict.broken.is_none() {
            self.break_at_half(Kind::HalfLine);
        }
        if let Some(missing) = self.missing.first()
            && self.verdict.broken.is_none()
        {
            let text = match missing {
                Expected::Seq(seq) => format!("entry {seq} was written, and is not there"),
                Expected::Mac(mac) => format!("the entry with the mac {mac} is not there"),
            };
            self.break_here(Kind::CutOff, text);
        }
        if self.verdict.entries == 0 && self.verdict.broken.is_none() {
            self.break_here(Kind::CutOff, "there is no entry".to_owned());
        }
        let mut verdict = self.verdict;
        verdict.whole = verdict.broken.is_none();
        verdict.last_seq = self.last.as_ref().map(|last| last.seq);
        verdict.last_mac = self.last.map(|last| last.mac);
        verdict
    }
}

/// Why an entry does not follow this one, if it does not.
fn out_of_place(last: &Last, whole: &Whole) -> Option<(Kind, String)> {
    let next = last.seq.saturating_add(1);
    if whole.seq > next {
        let entries = match whole.seq - next {
            1 => format!("entry {next} is"),
            _ => format!("entries {next} to {} are", whole.seq - 1),
        };
        let noticed = match whole.action == CUT {
            true => "; waxseal noticed it when it wrote this entry",
            false => "",
        };
        return Some((
            Kind::Removed,
            format!("{entries} missing before it{noticed}"),
        ));
    }
    if whole.seq < next {
        let text = format!("entry {} stands behind entry {}", whole.seq, last.seq);
        return Some((Kind::Reordered, text));
    }
    (whole.prev != last.mac).then(|| {
        let text = "the entry follows another one of the same number";
        (Kind::AnotherChain, text.to_owned())
    })
}
