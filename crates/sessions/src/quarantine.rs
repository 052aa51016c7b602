//! Quarantine: values that could not be opened, moved to records with names and expiries of their own, which an operator
//! lists, restores or deletes. Nothing is opened here.
//!
//! A quarantine record is named `waxseal:quarantine:{NAME}:ID` and holds one line of JSON about
//! the move, then the stored bytes unchanged. Its name has the name under which the record was stored, so it tells no
//! sealed one.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use waxseal_core::{EnvelopeVersion, NameMask, Shape};
use waxseal_stores::{
    Cursor, Expiry, LeftOut, Lifetime, Move, MoveOutcome, Outcome, Record, RecordName,
    RecordPattern, RecordStore, StoreError,
};

const PREFIX: &str = "waxseal:quarantine:";
const PAGE: usize = 500;

/// A value in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The id of the quarantined value.
    pub id: String,
    /// The record that it was moved from; its stored name if that is sealed and does not open.
    pub record: RecordName,
    /// True if the name of the record is known, under which it can be restored.
    pub is_named: bool,
    /// The error text of the failure.
    pub cause: String,
    /// The time of the move, in milliseconds since the Unix epoch.
    pub moved_at: u64,
    /// The expiry that the record had.
    pub record_expires_at: Option<u64>,
    /// The expiry of the quarantined value.
    pub expires_at: Option<u64>,
    /// The length of the stored bytes.
    pub size: usize,
    /// The form of the stored bytes.
    pub shape: Shape,
    at: RecordName,
}

impl Entry {
    /// True if the value does not open where this version of the sealed format is the oldest that is accepted.
    #[must_use]
    pub fn is_older_than(&self, accepted: EnvelopeVersion) -> bool {
        accepted > EnvelopeVersion::V2
            && match self.shape {
                Shape::Sealed { header, .. } => header.version < accepted,
                Shape::MaybeClassic => true,
                Shape::Plain | Shape::Empty | Shape::Malformed(_) => false,
            }
    }

    /// The same with the name that applications know, where the store has sealed ones.
    fn with_logical_name(mut self, store: &dyn RecordStore) -> Self {
        let Some(named) = store.named() else {
            return self;
        };
        match named.logical(&self.record) {
            Ok(name) => self.record = name,
            // It was moved when names were in clear, and is restored under its sealed one.
            Err(LeftOut::Stray) => {}
            Err(_) => self.is_named = false,
        }
        self
    }
}

/// The result of restoring a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// The value is back in its record.
    Done,
    /// There is a new record of that name, which was not overwritten.
    Occupied,
    /// The value is no longer in quarantine.
    Gone,
    /// The record would have expired by now: the value stays in quarantine.
    Expired,
    /// The name of the record is sealed and does not open: the value stays in quarantine.
    Unnamed,
}

#[derive(Serialize, Deserialize)]
struct Header {
    cause: String,
    moved_at: u64,
    expires_at: Option<u64>,
}

/// Moves a value to quarantine, atomically and only if it has not changed. Returns true if it did.
pub(crate) async fn move_aside(
    store: &dyn RecordStore,
    mask: &NameMask,
    name: &RecordName,
    stored: &[u8],
    cause: &str,
    (now, keep): (u64, Duration),
) -> Result<bool, StoreError> {
    let lifetime = store.lifetimes(std::slice::from_ref(name)).await?;
    let expires_at = match lifetime.first() {
        Some(Lifetime::Until(time)) => Some(*time),
        _ => None,
    };
    let header = Header {
        cause: cause.to_owned(),
        moved_at: now,
        expires_at,
    };
    let mut quarantined = serde_json::to_vec(&header).unwrap_or_default();
    quarantined.push(b'\n');
    quarantined.extend_from_slice(stored);
    let stored_name = match store.named() {
        Some(named) => named.stored(name)?,
        None => Cow::Borrowed(name),
    };
    let mut to = format!("{PREFIX}{{").into_bytes();
    to.extend_from_slice(stored_name.as_bytes());
    // Over the name as well: several records can hold copies of one value.
    let tag = mask.show("", &[name.as_bytes(), b"\0", stored].concat());
    to.extend_from_slice(format!("}}:{now:x}{}", tag.trim_start_matches('#')).as_bytes());
    let moved = store
        .move_if_unchanged(Move {
            from: name,
            expected: stored,
            to: &RecordName::from(to),
            value: &quarantined,
            expiry: Expiry::After(keep),
        })
        .await?;
    Ok(moved == MoveOutcome::Done)
}

/// Lists all values in quarantine, the oldest first.
pub async fn list(store: &dyn RecordStore) -> Result<Vec<Entry>, StoreError> {
    let Ok(pattern) = RecordPattern::parse_own(&format!("{PREFIX}*")) else {
        return Ok(Vec::new());
    };
    let mut entries = Vec::new();
    let mut cursor = Cursor::start();
    loop {
        let page = store.scan(&pattern, &cursor, PAGE).await?;
        let held = store.read(&page.names).await?;
        let lifetimes = store.lifetimes(&page.names).await?;
        for ((at, held), lifetime) in page.names.into_iter().zip(held).zip(lifetimes) {
            if let Some(Record::String(bytes)) = held {
                let entry = parse(at, &bytes, lifetime).map(|(entry, _)| entry);
                entries.extend(entry.map(|entry| entry.with_logical_name(store)));
            }
        }
        match page.next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    entries.sort_by(|a, b| (a.moved_at, &a.id, &a.at).cmp(&(b.moved_at, &b.id, &b.at)));
    // A scan may return a name twice.
    entries.dedup_by(|a, b| a.at == b.at);
    Ok(entries)
}

/// Returns the value in quarantine with this id, if there is one.
pub async fn find(store: &dyn RecordStore, id: &str) -> Result<Option<Entry>, StoreError> {
    let entries = list(store).await?;
    Ok(entries.into_iter().find(|entry| entry.id == id))
}

/// Moves a value back to its record, unless there is a new one of that name.
pub async fn restore(
    store: &dyn RecordStore,
    entry: &Entry,
    now: u64,
) -> Result<Restored, StoreError> {
    if !entry.is_named {
        return Ok(Restored::Unnamed);
    }
    if entry.record_expires_at.is_some_and(|time| time <= now) {
        return Ok(Restored::Expired);
    }
    let Some(bytes) = store.get(&entry.at, &waxseal_stores::Slot::Whole).await? else {
        return Ok(Restored::Gone);
    };
    let Some((_, stored)) = parse(entry.at.clone(), &bytes, Lifetime::Persistent) else {
        return Ok(Restored::Gone);
    };
    let moved = store
        .move_if_unchanged(Move {
            from: &entry.at,
            expected: &bytes,
            to: &entry.record,
            value: stored,
            expiry: entry
                .record_expires_at
                .map_or(Expiry::Persistent, Expiry::At),
        })
        .await?;
    Ok(match moved {
        MoveOutcome::Done => Restored::Done,
        MoveOutcome::Occupied => Restored::Occupied,
        MoveOutcome::Changed => Restored::Gone,
    })
}

/// Deletes a value from quarantine permanently. Returns true if it was there.
pub async fn discard(store: &dyn RecordStore, entry: &Entry) -> Result<bool, StoreError> {
    let Some(bytes) = store.get(&entry.at, &waxseal_stores::Slot::Whole).await? else {
        return Ok(false);
    };
    Ok(store.delete_if_unchanged(&entry.at, &bytes).await? == Outcome::Done)
}

fn parse(at: RecordName, bytes: &[u8], lifetime: Lifetime) -> Option<(Entry, &[u8])> {
    let tail = at
        .as_bytes()
        .strip_prefix(PREFIX.as_bytes())?
        .strip_prefix(b"{")?;
    let end = tail.windows(2).rposition(|pair| pair == b"}:")?;
    let (record, id) = (tail.get(..end)?, tail.get(end + 2..)?);
    let line = bytes.iter().position(|byte| *byte == b'\n')?;
    let header: Header = serde_json::from_slice(bytes.get(..line)?).ok()?;
    let stored = bytes.get(line + 1..)?;
    let entry = Entry {
        id: String::from_utf8(id.to_vec()).ok()?,
        record: RecordName::from(record),
        is_named: true,
        cause: header.cause,
        moved_at: header.moved_at,
        record_expires_at: header.expires_at,
        expires_at: match lifetime {
            Lifetime::Until(time) => Some(time),
            Lifetime::Absent | Lifetime::Persistent => None,
        },
        size: stored.len(),
        shape: Shape::of(stored),
        at,
    };
    Some((entry, stored))
}
