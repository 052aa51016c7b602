//! Values moved aside because they could not be opened: kept under a name of their own with an
//! expiry of their own, listed, restored or dropped by an operator. Nothing is opened here.
//!
//! A quarantine record is named `waxseal:quarantine:{NAME}:ID` and holds one line of JSON about
//! the move, then the stored bytes as they were.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use waxseal_core::NameMask;
use waxseal_stores::{
    Cursor, Expiry, Lifetime, Move, MoveOutcome, Outcome, Record, RecordName, RecordPattern,
    RecordStore, StoreError,
};

const PREFIX: &str = "waxseal:quarantine:";
const PAGE: usize = 500;

/// A value that was moved aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What names it among all quarantined values.
    pub id: String,
    /// The record that it was moved from.
    pub record: RecordName,
    /// Why, in the words of an error.
    pub cause: String,
    /// When, in milliseconds since the Unix epoch.
    pub moved_at: u64,
    /// When the record would have expired.
    pub record_expires_at: Option<u64>,
    /// When the quarantined value is gone.
    pub expires_at: Option<u64>,
    /// Length of the stored bytes.
    pub size: usize,
    at: RecordName,
}

/// What a restoring came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// The value is back in its record.
    Done,
    /// There is a record of that name now: it was not overwritten.
    Occupied,
    /// The quarantined value is gone.
    Gone,
    /// The record would have expired in the meantime: the value was left in quarantine.
    Expired,
}

#[derive(Serialize, Deserialize)]
struct Header {
    cause: String,
    moved_at: u64,
    expires_at: Option<u64>,
}

/// Moves a value aside, atomically and only if it is unchanged; whether it was.
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
    let mut parcel = serde_json::to_vec(&header).unwrap_or_default();
    parcel.push(b'\n');
    parcel.extend_from_slice(stored);
    let mut to = format!("{PREFIX}{{").into_bytes();
    to.extend_from_slice(name.as_bytes());
    // Over the name as well: copies of one value can lie in several records.
    let tag = mask.show("", &[name.as_bytes(), b"\0", stored].concat());
    to.extend_from_slice(format!("}}:{now:x}{}", tag.trim_start_matches('#')).as_bytes());
    let moved = store
        .move_if_unchanged(Move {
            from: name,
            expected: stored,
            to: &RecordName::from(to),
            value: &parcel,
            expiry: Expiry::After(keep),
        })
        .await?;
    Ok(moved == MoveOutcome::Done)
}

/// All values in quarantine.
pub async fn list(store: &dyn RecordStore) -> Result<Vec<Entry>, StoreError> {
    let Ok(pattern) = RecordPattern::of_own(&format!("{PREFIX}*")) else {
        return Ok(Vec::new());
    };
    let mut entries = Vec::new();
    let mut cursor = Cursor::start();
    loop {
        let page = store.scan(&pattern, &cursor, PAGE).await?;
        let held = store.read(&page.names).await?;
        let lifetimes = store.lifetimes(&page.names).await?;
        for ((at, held), lifetime) in page.names.into_iter().zip(held).zip(lifetimes) {
            if let Some(Record::String(parcel)) = held {
                entries.extend(parse(at, &parcel, lifetime).map(|(entry, _)| entry));
            }
        }
        match page.next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    entries.sort_by(|a, b| (a.moved_at, &a.id, &a.at).cmp(&(b.moved_at, &b.id, &b.at)));
    // A scan may give a name twice.
    entries.dedup_by(|a, b| a.at == b.at);
    Ok(entries)
}

/// Puts a value back into its record, unless there is one of that name now.
pub async fn restore(
    store: &dyn RecordStore,
    entry: &Entry,
    now: u64,
) -> Result<Restored, StoreError> {
    if entry.record_expires_at.is_some_and(|time| time <= now) {
        return Ok(Restored::Expired);
    }
    let Some(parcel) = store.get(&entry.at, &waxseal_stores::Slot::Whole).await? else {
        return Ok(Restored::Gone);
    };
    let Some((_, stored)) = parse(entry.at.clone(), &parcel, Lifetime::Persistent) else {
        return Ok(Restored::Gone);
    };
    let moved = store
        .move_if_unchanged(Move {
            from: &entry.at,
            expected: &parcel,
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

/// Deletes a value from quarantine for good; whether it was there.
pub async fn discard(store: &dyn RecordStore, entry: &Entry) -> Result<bool, StoreError> {
    let Some(parcel) = store.get(&entry.at, &waxseal_stores::Slot::Whole).await? else {
        return Ok(false);
    };
    Ok(store.delete_if_unchanged(&entry.at, &parcel).await? == Outcome::Done)
}

fn parse(at: RecordName, parcel: &[u8], lifetime: Lifetime) -> Option<(Entry, &[u8])> {
    let rest = at
        .as_bytes()
        .strip_prefix(PREFIX.as_bytes())?
        .strip_prefix(b"{")?;
    let cut = rest.windows(2).rposition(|pair| pair == b"}:")?;
    let (record, id) = (rest.get(..cut)?, rest.get(cut + 2..)?);
    let line = parcel.iter().position(|byte| *byte == b'\n')?;
    let header: Header = serde_json::from_slice(parcel.get(..line)?).ok()?;
    let stored = parcel.get(line + 1..)?;
    let entry = Entry {
        id: String::from_utf8(id.to_vec()).ok()?,
        record: RecordName::from(record),
        cause: header.cause,
        moved_at: header.moved_at,
        record_expires_at: header.expires_at,
        expires_at: match lifetime {
            Lifetime::Until(time) => Some(time),
            Lifetime::Absent | Lifetime::Persistent => None,
        },
        size: stored.len(),
        at,
    };
    Some((entry, stored))
}
