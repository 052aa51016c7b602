//! Entries in a file: appended under a lock, behind the last whole line. The file beside it, `….state`,
//! holds the lock and the last entry once more, so that a new file carries on where one was renamed,
//! and a missing end is found.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use waxseal_files::{Access, Location, description};

use super::entry::{
    Act, CONTINUED, CUT, Codes, Draft, LONGEST_ENTRY, Last, Outcome, REPAIRED, Read, Whole, started,
};
use crate::error::Failure;

/// How long another process is waited for. It holds the lock for the time of a write.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(5);
/// As much of the end of a file as is looked at: one entry, and a half one behind it.
const END: u64 = 2 * LONGEST_ENTRY as u64;

/// The file beside an audit log that holds its last entry.
pub(crate) fn state_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".state");
    PathBuf::from(name)
}

/// The number and the code of the entry that such a file holds, if it is whole.
pub(crate) fn state_seq(path: &Path, codes: &Codes) -> Option<(u64, String)> {
    let mut file = Location::of(path).ok()?.open(Access::Read).ok()??;
    let kept = kept(&mut file, codes).ok()?;
    kept.map(|whole| (whole.seq, whole.mac))
}

/// Appends an entry; gives its number.
pub(super) fn append(path: &Path, codes: &Codes, draft: &Draft<'_>) -> Result<u64, Failure> {
    let unwritable = |error: io::Error| unwritable(path, &error);
    let mut state = locked(path)?;
    let log = Location::resolve(path).and_then(|it| it.open_or_create(Access::Append));
    let (mut log, _) = log.map_err(unwritable)?;
    let kept = kept(&mut state, codes).map_err(unwritable)?;
    let end = End::of(&mut log).map_err(unwritable)?;
    let mut text = Text::new(codes, draft);
    text.lead(path, &end, kept.as_ref())?;
    let (line, last) = text.finish()?;
    // In one write: whoever reads sees all of it or nothing, unless the disk is full.
    let written = log.write(text.bytes.as_bytes()).map_err(unwritable)?;
    if written < text.bytes.len() {
        return Err(unwritable(io::ErrorKind::WriteZero.into()));
    }
    log.sync_data().map_err(unwritable)?;
    keep(&state, &line).map_err(unwritable)?;
    Ok(last.seq)
}

/// The file of the last entry, with its lock.
pub(super) fn locked(path: &Path) -> Result<File, Failure> {
    let of_state = state_of(path);
    // Never a link: another user who may write to the directory could make one.
    let file = Location::of(&of_state).and_then(|it| it.open_or_create(Access::Write));
    let (file, _) = file.map_err(|error| unwritable(&of_state, &error))?;
    let give_up = Instant::now() + PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < give_up => sleep(PAUSE),
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::failed(format!(
                    "another process holds the audit log {}",
                    path.display()
                ))
                .hint("find the process that hangs"));
            }
            Err(TryLockError::Error(error)) => return Err(unwritable(&of_state, &error)),
        }
    }
}

/// The last entry, as the file beside the log holds it; none where it is empty or half written.
pub(super) fn kept(state: &mut File, codes: &Codes) -> io::Result<Option<Whole>> {
    let mut line = Vec::new();
    state.take(END).read_to_end(&mut line)?;
    Ok(
        match codes.read(line.strip_suffix(b"\n").unwrap_or(&line)) {
            Read::Whole(whole) => Some(whole),
            Read::Forged | Read::Unreadable => None,
        },
    )
}

/// Holds an entry as the last one.
pub(super) fn keep(state: &File, line: &str) -> io::Result<()> {
    let line = format!("{line}\n");
    state.write_all_at(line.as_bytes(), 0)?;
    state.set_len(line.len() as u64)?;
    state.sync_data()
}

pub(super) fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!(
        "the audit log cannot be written: {}: {}",
        path.display(),
        description(error)
    ))
}

/// The end of a file.
struct End {
    /// The last line that has an end.
    line: Option<Vec<u8>>,
    /// What stands behind it: a line that was not written to its end.
    half: Vec<u8>,
}

impl End {
    fn of(log: &mut File) -> io::Result<Self> {
        let length = log.metadata()?.len();
        log.seek(SeekFrom::Start(length.saturating_sub(END)))?;
        let mut bytes = Vec::new();
        log.take(END).read_to_end(&mut bytes)?;
        let (lines, half) = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => bytes.split_at(at + 1),
            None => (&[][..], &bytes[..]),
        };
        let line = lines.strip_suffix(b"\n");
        let line = line.and_then(|lines| lines.rsplit(|byte| *byte == b'\n').next());
        Ok(Self {
            line: line.map(<[u8]>::to_vec),
            half: half.to_vec(),
        })
    }
}

/// What is about to be written.
struct Text<'a> {
    codes: &'a Codes,
    draft: &'a Draft<'a>,
    bytes: String,
    after: Last,
}

impl<'a> Text<'a> {
    fn new(codes: &'a Codes, draft: &'a Draft<'a>) -> Self {
        Self {
            codes,
            draft,
            bytes: String::new(),
            after: Last::none(),
        }
    }

    /// The entries that must stand before the one to be written, where something happened to the file.
    fn lead(&mut self, path: &Path, end: &End, kept: Option<&Whole>) -> Result<(), Failure> {
        let last = match self.last(path, end, kept)? {
            Some(last) => last,
            None => return self.first(kept),
        };
        let missing = kept.filter(|kept| kept.seq > last.seq);
        self.after = match missing {
            Some(kept) => Last::of(kept),
            None => last.clone(),
        };
        if !end.half.is_empty() {
            self.bytes.push('\n');
        }
        if let Some(kept) = missing {
            let act = Act::new(CUT, "audit log").with("last_in_file", last.seq);
            self.add(&act.with("last_written", kept.seq))?;
        }
        Ok(())
    }

    /// The last entry in the file, with what is needed behind a half line; none where it is empty.
    fn last(
        &mut self,
        path: &Path,
        end: &End,
        kept: Option<&Whole>,
    ) -> Result<Option<Last>, Failure> {
        // A line that lacks nothing but its end was written.
        if let Read::Whole(whole) = self.codes.read(&end.half) {
            return Ok(Some(Last::of(&whole)));
        }
        let last = match end.line.as_deref().map(|line| self.codes.read(line)) {
            Some(Read::Whole(whole)) => Some(Last::of(&whole)),
            Some(Read::Forged | Read::Unreadable) => return Err(not_ours(path)),
            None => None,
        };
        Ok(match (last, end.half.is_empty()) {
            (last, true) => last,
            (last, false) => {
                self.bytes.push('\n');
                let known = kept.map(Last::of);
                self.after = match (last, known) {
                    (Some(last), Some(known)) if known.seq > last.seq => known,
                    (Some(last), _) => last,
                    (None, Some(known)) => known,
                    // The very first write was not finished.
                    (None, None) => Last::none(),
                };
                let half = self.codes.code(&end.half);
                let act = Act::new(REPAIRED, "audit log").with("bytes", end.half.len() as u64);
                self.add(&act.with("half_line", half))?;
                None
            }
        })
    }

    /// The first entry of a file.
    fn first(&mut self, kept: Option<&Whole>) -> Result<(), Failure> {
        if !self.bytes.is_empty() {
            return Ok(());
        }
        match kept {
            Some(kept) => {
                self.after = Last::of(kept);
                self.add(&Act::new(CONTINUED, "audit log").with("after", kept.seq))
            }
            None => self.add(&started()?),
        }
    }

    fn add(&mut self, act: &Act) -> Result<(), Failure> {
        let draft = Draft {
            actor: self.draft.actor,
            act,
            outcome: Outcome::Done,
        };
        let (line, last) = self.codes.line(&draft, &self.after)?;
        self.bytes.push_str(&line);
        self.bytes.push('\n');
        self.after = last;
        Ok(())
    }

    fn finish(&mut self) -> Result<(String, Last), Failure> {
        let (line, last) = self.codes.line(self.draft, &self.after)?;
        self.bytes.push_str(&line);
        self.bytes.push('\n');
        Ok((line, last))
    }
}

fn not_ours(path: &Path) -> Failure {
    Failure::failed(format!(
        "the end of the audit log {} is not as this key would have it",
        path.display()
    ))
    .hint(
        "waxseal audit-log verify tells what is the matter; where audit_log_key was changed, move the \
         log and its .state file away, and a new chain begins",
    )
}
