//! The changes of the contract, for stores that keep their records themselves: each is one function
//! over a map of records. Atomicity is the responsibility of the implementation of the map.

use crate::contents::Contents;
use crate::error::StoreError;
use crate::record::{Expiry, Lifetime, Slot};
use crate::store::{Change, Move, MoveOutcome, Outcome, RenameOutcome};

/// A record and the time it expires, in milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) contents: Contents,
    pub(crate) expires: Option<u64>,
}

impl Stored {
    pub(crate) fn lifetime(&self) -> Lifetime {
        self.expires.map_or(Lifetime::Persistent, Lifetime::Until)
    }
}

/// A map of records while it is being changed.
pub(crate) trait RecordMap {
    /// An operation that was refused, or a failure of the map.
    type Error: From<StoreError>;

    /// The time against which expiries are compared.
    fn now_ms(&self) -> u64;

    /// The record, unless it has expired.
    fn find(&self, name: &[u8]) -> Result<Option<Stored>, Self::Error>;

    /// The lifetime of the record. Does not decode its contents.
    fn lifetime(&self, name: &[u8]) -> Result<Lifetime, Self::Error>;

    /// Writes the record unconditionally.
    fn insert(&mut self, name: &[u8], record: Stored) -> Result<(), Self::Error>;

    /// Removes the record. Returns whether there was one that had not expired.
    fn remove(&mut self, name: &[u8]) -> Result<bool, Self::Error>;
}

pub(crate) fn put<M: RecordMap>(
    map: &mut M,
    name: &[u8],
    slot: &Slot,
    value: Vec<u8>,
    expiry: Expiry,
) -> Result<(), M::Error> {
    if *slot == Slot::Whole {
        let before = match map.lifetime(name)? {
            Lifetime::Until(time) => Some(time),
            Lifetime::Persistent | Lifetime::Absent => None,
        };
        let expires = expires_at(expiry, before, map.now_ms());
        let contents = Contents::String(value);
        return map.insert(name, Stored { contents, expires });
    }
    let record = match map.find(name)? {
        Some(mut record) => {
            record.contents.put(slot, value)?;
            record
        }
        None => Stored {
            contents: Contents::first(slot, value)?,
            expires: None,
        },
    };
    map.insert(name, record)
}

pub(crate) fn append<M: RecordMap>(
    map: &mut M,
    name: &[u8],
    values: Vec<Vec<u8>>,
) -> Result<u64, M::Error> {
    let found = map.find(name)?;
    let empty = || Stored {
        contents: Contents::List(Vec::new()),
        expires: None,
    };
    let mut record = found.unwrap_or_else(empty);
    let len = record.contents.append(values)?;
    map.insert(name, record)?;
    Ok(len)
}

pub(crate) fn replace<M: RecordMap>(map: &mut M, change: &Change<'_>) -> Result<Outcome, M::Error> {
    let found = map.find(change.name.as_bytes())?;
    let unchanged = match (&found, change.expected) {
        (Some(record), Some(expected)) => {
            matches!(record.contents.get(change.slot), Ok(Some(value)) if value == expected)
        }
        (None, None) => *change.slot == Slot::Whole,
        _ => false,
    };
    if !unchanged {
        return Ok(Outcome::Changed);
    }
    put(
        map,
        change.name.as_bytes(),
        change.slot,
        change.value.to_vec(),
        change.expiry,
    )?;
    Ok(Outcome::Done)
}

pub(crate) fn delete_unchanged<M: RecordMap>(
    map: &mut M,
    name: &[u8],
    expected: &[u8],
) -> Result<Outcome, M::Error> {
    if !has_value(map.find(name)?.as_ref(), expected) {
        return Ok(Outcome::Changed);
    }
    map.remove(name)?;
    Ok(Outcome::Done)
}

pub(crate) fn transfer<M: RecordMap>(
    map: &mut M,
    change: &Move<'_>,
) -> Result<MoveOutcome, M::Error> {
    let Some(from) = map
        .find(change.from.as_bytes())?
        .filter(|record| has_value(Some(record), change.expected))
    else {
        return Ok(MoveOutcome::Changed);
    };
    if map.lifetime(change.to.as_bytes())? != Lifetime::Absent {
        return Ok(MoveOutcome::Occupied);
    }
    let contents = Contents::String(change.value.to_vec());
    let expires = expires_at(change.expiry, from.expires, map.now_ms());
    // Written first: if that is refused, nothing has been removed.
    map.insert(change.to.as_bytes(), Stored { contents, expires })?;
    map.remove(change.from.as_bytes())?;
    Ok(MoveOutcome::Done)
}

pub(crate) fn rename<M: RecordMap>(
    map: &mut M,
    from: &[u8],
    to: &[u8],
) -> Result<RenameOutcome, M::Error> {
    let Some(record) = map.find(from)? else {
        return Ok(RenameOutcome::Absent);
    };
    if map.lifetime(to)? != Lifetime::Absent {
        return Ok(RenameOutcome::Occupied);
    }
    // Written first: if that is refused, nothing has been removed.
    map.insert(to, record)?;
    map.remove(from)?;
    Ok(RenameOutcome::Moved)
}

/// True if the record has expired by this time.
pub(crate) fn has_expired(expires: Option<u64>, now_ms: u64) -> bool {
    expires.is_some_and(|time| time <= now_ms)
}

fn has_value(record: Option<&Stored>, expected: &[u8]) -> bool {
    matches!(record, Some(Stored { contents: Contents::String(value), .. }) if value == expected)
}

fn expires_at(expiry: Expiry, before: Option<u64>, now_ms: u64) -> Option<u64> {
    match expiry {
        Expiry::Keep => before,
        Expiry::Persistent => None,
        Expiry::After(span) => {
            let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX).max(1);
            Some(now_ms.saturating_add(span))
        }
        Expiry::At(time) => Some(time),
    }
}
