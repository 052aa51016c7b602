//! Entries in a file. The state file beside it, `….state`, holds the lock and a copy of the last entry, so
//! that a new file continues the chain of one that was renamed, and a missing end is noticed.
//!
//! ```text
//! lock FILE.state ─► read its entry ─► read the end of FILE ─► append one write ─► sync ─► copy the entry to FILE.state
//! ```
//!
//! A crash between the two writes leaves FILE one entry ahead of its state: the end of FILE counts then. A
//! state that is ahead of FILE means that the end of FILE was removed.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use waxseal_files::{Access, Location};

use crate::entry::{ChainKey, Draft, Entry, MAX_ENTRY, ParsedLine, Position};
use crate::error::Error;
use crate::operation::{CONTINUED, CUT_OFF, Operation, Outcome, REPAIRED};

/// The time to wait for another process, which holds the lock for the duration of a write.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
const LOCK_RETRY_INTERVAL: Duration = Duration::from_millis(5);
/// The length of the end of a file that is read: one entry, and a partial one after it.
const END_LEN: u64 = 2 * MAX_ENTRY as u64;

/// The path of the state file beside an audit log.
#[must_use]
pub fn state_path(log: &Path) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".state");
    PathBuf::from(name)
}

/// The number and MAC of the entry that was last written to a log, if its state file verifies.
#[must_use]
pub fn last_written(log: &Path, key: &ChainKey) -> Option<(u64, String)> {
    let location = Location::of(&state_path(log)).ok()?;
    let mut state = location.open(Access::Read).ok()??;
    let entry = read_state(&mut state, key).ok()??;
    Some((entry.seq, entry.mac))
}

/// Appends an entry, and returns its number.
pub(crate) fn append(path: &Path, key: &ChainKey, draft: &Draft<'_>) -> Result<u64, Error> {
    let unwritable = |error: io::Error| Error::unwritable(path, error);
    let mut state = lock_state(path)?;
    let log = Location::resolve(path).and_then(|it| it.open_or_create(Access::Append));
    let (mut log, _) = log.map_err(unwritable)?;
    let last_written = read_state(&mut state, key).map_err(unwritable)?;
    let end = FileEnd::read(&mut log).map_err(unwritable)?;
    let mut lines = Lines::new(key, draft);
    lines.add_repairs(path, &end, last_written.as_ref())?;
    let line = lines.add(draft)?;
    // In one write: a reader sees all of it or nothing, unless the disk is full.
    let written = log.write(lines.text.as_bytes()).map_err(unwritable)?;
    if written < lines.text.len() {
        return Err(unwritable(io::ErrorKind::WriteZero.into()));
    }
    log.sync_data().map_err(unwritable)?;
    write_state(&state, &line).map_err(unwritable)?;
    Ok(lines.last.seq)
}

/// Opens and locks the state file of a log.
pub(crate) fn lock_state(log: &Path) -> Result<File, Error> {
    let path = state_path(log);
    let unwritable = |error| Error::unwritable(&path, error);
    // Never through a link: another user with access to the directory could create one.
    let state = Location::of(&path).and_then(|it| it.open_or_create(Access::Write));
    let (state, _) = state.map_err(unwritable)?;
    let begun = Instant::now();
    loop {
        match state.try_lock() {
            Ok(()) => return Ok(state),
            Err(TryLockError::WouldBlock) if begun.elapsed() < LOCK_TIMEOUT => {
                sleep(LOCK_RETRY_INTERVAL);
            }
            Err(TryLockError::WouldBlock) => return Err(Error::Locked(log.to_owned())),
            Err(TryLockError::Error(error)) => return Err(unwritable(error)),
        }
    }
}

/// The entry in a state file; none if it is empty, partial or not verified.
pub(crate) fn read_state(state: &mut File, key: &ChainKey) -> io::Result<Option<Entry>> {
    let mut line = Vec::new();
    state.take(END_LEN).read_to_end(&mut line)?;
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    Ok(match key.parse(line) {
        ParsedLine::Verified(entry) => Some(entry),
        ParsedLine::Unverified | ParsedLine::Malformed => None,
    })
}

/// Replaces the entry in a state file.
pub(crate) fn write_state(state: &File, line: &str) -> io::Result<()> {
    let line = format!("{line}\n");
    state.write_all_at(line.as_bytes(), 0)?;
    state.set_len(line.len() as u64)?;
    state.sync_data()
}

/// The end of a log file.
struct FileEnd {
    /// The last complete line.
    line: Option<Vec<u8>>,
    /// The bytes after it: a line whose write did not finish.
    partial: Vec<u8>,
}

impl FileEnd {
    fn read(log: &mut File) -> io::Result<Self> {
        let length = log.metadata()?.len();
        log.seek(SeekFrom::Start(length.saturating_sub(END_LEN)))?;
        let mut bytes = Vec::new();
        log.take(END_LEN).read_to_end(&mut bytes)?;
        let (lines, partial) = match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(at) => bytes.split_at(at.saturating_add(1)),
            None => (&[][..], &bytes[..]),
        };
        let line = lines.strip_suffix(b"\n");
        let line = line.and_then(|lines| lines.rsplit(|byte| *byte == b'\n').next());
        Ok(Self {
            line: line.map(<[u8]>::to_vec),
            partial: partial.to_vec(),
        })
    }
}

/// The lines that are about to be written.
struct Lines<'a> {
    key: &'a ChainKey,
    draft: &'a Draft<'a>,
    text: String,
    /// The position that the next line follows.
    last: Position,
}

impl<'a> Lines<'a> {
    fn new(key: &'a ChainKey, draft: &'a Draft<'a>) -> Self {
        Self {
            key,
            draft,
            text: String::new(),
            last: Position::genesis(),
        }
    }

    /// Adds the entries that must precede the next one: at the start of a file, after a partial line, and
    /// where the end of the file was removed.
    fn add_repairs(
        &mut self,
        path: &Path,
        end: &FileEnd,
        last_written: Option<&Entry>,
    ) -> Result<(), Error> {
        // A partial line that lacks only its line end was written in full.
        if let ParsedLine::Verified(entry) = self.key.parse(&end.partial) {
            self.text.push('\n');
            return self.follow(&(&entry).into(), last_written);
        }
        let last = match end.line.as_deref().map(|line| self.key.parse(line)) {
            Some(ParsedLine::Verified(entry)) => Some(Position::from(&entry)),
            Some(ParsedLine::Unverified | ParsedLine::Malformed) => {
                return Err(Error::UnverifiedEnd(path.to_owned()));
            }
            None => None,
        };
        match last {
            last if !end.partial.is_empty() => self.repair(last, &end.partial, last_written),
            Some(last) => self.follow(&last, last_written),
            None => self.begin(last_written),
        }
    }

    /// Continues after the last entry of the file, or after the last one that was written where that is
    /// missing from the file.
    fn follow(&mut self, last: &Position, last_written: Option<&Entry>) -> Result<(), Error> {
        let Some(missing) = last_written.filter(|written| written.seq > last.seq) else {
            self.last = last.clone();
            return Ok(());
        };
        self.last = missing.into();
        let cut_off = Operation::of_log(CUT_OFF).with("last_in_file", last.seq);
        self.add_of_log(&cut_off.with("last_written", missing.seq))
    }

    /// Continues after a partial line, which stays where it is. The entry after it holds its length and MAC.
    fn repair(
        &mut self,
        last: Option<Position>,
        partial: &[u8],
        last_written: Option<&Entry>,
    ) -> Result<(), Error> {
        self.text.push('\n');
        let written = last_written.map(Position::from);
        self.last = match (last, written) {
            (Some(last), Some(written)) if written.seq > last.seq => written,
            (Some(last), _) => last,
            (None, Some(written)) => written,
            // The very first write did not finish.
            (None, None) => Position::genesis(),
        };
        let repaired = Operation::of_log(REPAIRED).with("bytes", partial.len() as u64);
        self.add_of_log(&repaired.with("half_line", self.key.mac(partial)))
    }

    /// Begins a file: with the chain of the one before it, or with a new chain.
    fn begin(&mut self, last_written: Option<&Entry>) -> Result<(), Error> {
        let Some(written) = last_written else {
            return self.add_of_log(&Operation::started()?);
        };
        self.last = written.into();
        self.add_of_log(&Operation::of_log(CONTINUED).with("after", written.seq))
    }

    fn add_of_log(&mut self, operation: &Operation) -> Result<(), Error> {
        let draft = Draft {
            actor: self.draft.actor,
            operation,
            outcome: Outcome::Done,
        };
        self.add(&draft).map(drop)
    }

    fn add(&mut self, draft: &Draft<'_>) -> Result<String, Error> {
        let (line, position) = self.key.line(draft, &self.last)?;
        self.text.push_str(&line);
        self.text.push('\n');
        self.last = position;
        Ok(line)
    }
}
