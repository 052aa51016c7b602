//! The changes of the contract, for the stores that keep records themselves: each is one function
//! over whatever holds the records. That its steps are seen together is the holder's promise.

use crate::contents::Contents;
use crate::error::StoreError;
use crate::record::{Expiry, Lifetime, Slot};
use crate::store::{Change, Move, MoveOutcome, Outcome};

/// A record and the end of its life, in milliseconds since the Unix epoch.
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

/// What holds the records while they are changed.
pub(crate) trait Shelf {
    /// An operation that was refused, or a holder that failed.
    type Error: From<StoreError>;

    /// The time by which records have expired or have not.
    fn now_ms(&self) -> u64;

    /// The record, unless it has expired.
    fn find(&self, name: &[u8]) -> Result<Option<Stored>, Self::Error>;

    /// How long the record lives. Does not look at what it holds.
    fn lifetime(&self, name: &[u8]) -> Result<Lifetime, Self::Error>;

    /// Writes the record, whatever was there.
    fn place(&mut self, name: &[u8], record: Stored) -> Result<(), Self::Error>;

    /// Removes the record; whether there was one that had not expired.
    fn remove(&mut self, name: &[u8]) -> Result<bool, Self::Error>;
}

pub(crate) fn put<S: Shelf>(
    shelf: &mut S,
    name: &[u8],
    slot: &Slot,
    value: Vec<u8>,
    expiry: Expiry,
) -> Result<(), S::Error> {
    if *slot == Slot::Whole {
        let before = match shelf.lifetime(name)? {
            Lifetime::Until(end) => Some(end),
            Lifetime::Persistent | Lifetime::Absent => None,
        };
        let expires = ends(expiry, before, shelf.now_ms());
        let contents = Contents::String(value);
        return shelf.place(name, Stored { contents, expires });
    }
    let record = match shelf.find(name)? {
        Some(mut record) => {
            record.contents.put(slot, value)?;
            record
        }
        None => Stored {
            contents: Contents::first(slot, value)?,
            expires: None,
        },
    };
    shelf.place(name, record)
}

pub(crate) fn append<S: Shelf>(
    shelf: &mut S,
    name: &[u8],
    values: Vec<Vec<u8>>,
) -> Result<u64, S::Error> {
    let found = shelf.find(name)?;
    let empty = || Stored {
        contents: Contents::List(Vec::new()),
        expires: None,
    };
    let mut record = found.unwrap_or_else(empty);
    let len = record.contents.append(values)?;
    shelf.place(name, record)?;
    Ok(len)
}

pub(crate) fn replace<S: Shelf>(shelf: &mut S, change: &Change<'_>) -> Result<Outcome, S::Error> {
    let found = shelf.find(change.name.as_bytes())?;
    let unchanged = match (&found, change.expected) {
        (Some(record), Some(expected)) => {
            matches!(record.contents.get(change.slot), Ok(Some(held)) if held == expected)
        }
        (None, None) => *change.slot == Slot::Whole,
        _ => false,
    };
    if !unchanged {
        return Ok(Outcome::Changed);
    }
    put(
        shelf,
        change.name.as_bytes(),
        change.slot,
        change.value.to_vec(),
        change.expiry,
    )?;
    Ok(Outcome::Done)
}

pub(crate) fn delete_unchanged<S: Shelf>(
    shelf: &mut S,
    name: &[u8],
    expected: &[u8],
) -> Result<Outcome, S::Error> {
    if !holds(shelf.find(name)?.as_ref(), expected) {
        return Ok(Outcome::Changed);
    }
    shelf.remove(name)?;
    Ok(Outcome::Done)
}

pub(crate) fn transfer<S: Shelf>(
    shelf: &mut S,
    change: &Move<'_>,
) -> Result<MoveOutcome, S::Error> {
    let Some(from) = shelf
        .find(change.from.as_bytes())?
        .filter(|record| holds(Some(record), change.expected))
    else {
        return Ok(MoveOutcome::Changed);
    };
    if shelf.lifetime(change.to.as_bytes())? != Lifetime::Absent {
        return Ok(MoveOutcome::Occupied);
    }
    let contents = Contents::String(change.value.to_vec());
    let expires = ends(change.expiry, from.expires, shelf.now_ms());
    // Written first: if that is refused, nothing has been taken away.
    shelf.place(change.to.as_bytes(), Stored { contents, expires })?;
    shelf.remove(change.from.as_bytes())?;
    Ok(MoveOutcome::Done)
}

/// Whether a time by which a record expires has come.
pub(crate) fn is_over(expires: Option<u64>, now_ms: u64) -> bool {
    expires.is_some_and(|end| end <= now_ms)
}

fn holds(record: Option<&Stored>, expected: &[u8]) -> bool {
    matches!(record, Some(Stored { contents: Contents::String(held), .. }) if held == expected)
}

fn ends(expiry: Expiry, before: Option<u64>, now_ms: u64) -> Option<u64> {
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
