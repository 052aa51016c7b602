//! The joint between everything that uses records and the databases that keep them.

use async_trait::async_trait;

use crate::commands::MissingCommand;
use crate::error::StoreError;
use crate::neighbors::Neighbors;
use crate::pattern::RecordPattern;
use crate::record::{Cursor, Expiry, Lifetime, Page, Record, RecordName, Slot, SlotPage};

/// After so many records in a row that a store does not give, it is the store.
const MAX_LEFT_OUT: usize = 3;

/// A database of records.
///
/// The contract, beyond what each method says:
///
/// - Names, fields and values are any bytes, and come back as they were given.
/// - A record that has expired is absent for every method.
/// - An operation that returns an error may or may not have been carried out, but never half: a
///   single change is atomic. In a call with several changes each is atomic by itself.
/// - A store that cannot be reached answers [`StoreError::Unavailable`] or, where it is known why,
///   [`StoreError::Connection`] within a bounded time. It reconnects by itself: a later call
///   succeeds once the store is back.
/// - No error holds a value, a credential or a whole record name.
#[async_trait]
pub trait RecordStore: Send + Sync {
    /// Where the store is, for messages: without credentials.
    fn location(&self) -> String;

    /// What is known about the store as a whole.
    async fn status(&self) -> Result<Status, StoreError>;

    /// Asks the store whether this is still its generation: false only if it says otherwise. One that does not
    /// tell a restart from a lost connection is taken to be the same.
    async fn is_generation(&self, generation: &str) -> Result<bool, StoreError> {
        Ok(self.status().await?.generation == generation)
    }

    /// Comes back as soon as the store answers another client, to measure how busy it is.
    async fn ping(&self) -> Result<(), StoreError>;

    /// The time by the store's own clock, in milliseconds since the Unix epoch; `None` where the store has no
    /// clock but this process's, or does not tell.
    async fn time_ms(&self) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    /// One page of the names that have the pattern's form, about `count` records further. Every
    /// record that is there from the first page to the last is named at least once. Waxseal's own
    /// names are given like any other ([`RecordPattern::names`]): the caller leaves them out.
    async fn scan(
        &self,
        pattern: &RecordPattern,
        cursor: &Cursor,
        count: usize,
    ) -> Result<Page, StoreError>;

    /// What lies under each of these names, in their order.
    async fn read(&self, names: &[RecordName]) -> Result<Vec<Option<Record>>, StoreError>;

    /// The same of the first of these names: about so many bytes of values, and at least one record. Where
    /// records are large, that is fewer than were asked for.
    async fn read_within(
        &self,
        names: &[RecordName],
        max_bytes: u64,
    ) -> Result<Vec<Option<Record>>, StoreError> {
        let _ = max_bytes;
        self.read(names).await
    }

    /// The same, for a sample: a record that the store does not give, because it is too large for it, is left
    /// out like one that is gone.
    async fn read_sample(&self, names: &[RecordName]) -> Result<Vec<Option<Record>>, StoreError> {
        match self.read(names).await {
            Err(error) if error.may_concern_one_record() => {}
            held => return held,
        }
        let (mut sample, mut left_out) = (Vec::with_capacity(names.len()), 0);
        for name in names {
            match self.read(std::slice::from_ref(name)).await {
                Ok(held) => {
                    left_out = 0;
                    sample.extend(held);
                }
                Err(error) if error.may_concern_one_record() && left_out < MAX_LEFT_OUT => {
                    left_out += 1;
                    sample.push(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(sample)
    }

    /// The type of a record as Redis names it, `None` where there is none.
    async fn kind(&self, name: &RecordName) -> Result<Option<String>, StoreError> {
        let held = self.read(std::slice::from_ref(name)).await?.pop();
        Ok(held.flatten().map(|held| held.kind().to_owned()))
    }

    /// How many slots a hash or list record has; `None` where the store does not tell.
    async fn slot_count(&self, name: &RecordName) -> Result<Option<u64>, StoreError> {
        let _ = name;
        Ok(None)
    }

    /// One page of about `count` slots of a hash or list record. An absent record has none.
    async fn read_slots(
        &self,
        name: &RecordName,
        cursor: &Cursor,
        count: usize,
    ) -> Result<SlotPage, StoreError>;

    /// What one slot holds. [`StoreError::WrongType`] where the record is of another type.
    async fn get(&self, name: &RecordName, slot: &Slot) -> Result<Option<Vec<u8>>, StoreError>;

    /// Writes one slot, whatever was there. [`Slot::Whole`] replaces a record of any type; a field
    /// or an element needs a hash or list record (a field makes one where there is none), an element
    /// must be there, and neither changes how long the record lives, whatever `expiry` says.
    async fn put(
        &self,
        name: &RecordName,
        slot: &Slot,
        value: &[u8],
        expiry: Expiry,
    ) -> Result<(), StoreError>;

    /// Writes each slot that still holds the expected bytes, and says for each whether it did.
    async fn replace_if_unchanged(
        &self,
        changes: &[Change<'_>],
    ) -> Result<Vec<Outcome>, StoreError>;

    /// Deletes a string record that still holds the expected bytes.
    async fn delete_if_unchanged(
        &self,
        name: &RecordName,
        expected: &[u8],
    ) -> Result<Outcome, StoreError>;

    /// Deletes a record of any type; whether there was one.
    async fn delete(&self, name: &RecordName) -> Result<bool, StoreError>;

    /// Puts a new string record in the place of another, both steps or neither.
    async fn move_if_unchanged(&self, change: Move<'_>) -> Result<MoveOutcome, StoreError>;

    /// The other databases of the same server, and whether they hold records of each pattern's form: for
    /// callers that find none here. The effort is bounded, and what the server's user may not see is unknown,
    /// not an error.
    async fn neighbors(&self, patterns: &[RecordPattern]) -> Result<Neighbors, StoreError> {
        let _ = patterns;
        Ok(Neighbors::Unknown)
    }

    /// The commands of the store's server that the store would use and cannot. Changes nothing.
    async fn missing_commands(&self) -> Result<Vec<MissingCommand>, StoreError> {
        Ok(Vec::new())
    }

    /// How long each of these records lives, in their order.
    async fn lifetimes(&self, names: &[RecordName]) -> Result<Vec<Lifetime>, StoreError>;
}

/// What is known about a store as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// How many records there are, of every name.
    pub records: u64,
    /// Changes when the store has been restarted or replaced, and with it the meaning of every
    /// [`Cursor`].
    pub generation: String,
    /// What the server calls itself, with its version.
    pub server: String,
    /// Findings about how the store is set up that an operator should know, for example
    /// `("maxmemory-policy", "allkeys-lru")`. Only what the store is willing to tell.
    pub settings: Vec<(String, String)>,
}

/// One slot to be written if it still holds the expected bytes.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    /// The record.
    pub name: &'a RecordName,
    /// The slot in it.
    pub slot: &'a Slot,
    /// What it must still hold; `None`: it must still be absent (whole records only).
    pub expected: Option<&'a [u8]>,
    /// What it shall hold.
    pub value: &'a [u8],
    /// How long the record shall live. For a field or an element always [`Expiry::Keep`].
    pub expiry: Expiry,
}

/// Whether a slot still held the expected bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did, and the change was made.
    Done,
    /// It did not (or the record is gone, or of another type): nothing was changed.
    Changed,
}

/// A string record to be taken away, and the record to be put elsewhere in its stead.
#[derive(Clone, Copy)]
pub struct Move<'a> {
    /// The record to delete.
    pub from: &'a RecordName,
    /// What it must still hold.
    pub expected: &'a [u8],
    /// The record to write; it must be absent.
    pub to: &'a RecordName,
    /// What it shall hold.
    pub value: &'a [u8],
    /// How long it shall live; [`Expiry::Keep`]: as long as the one that is deleted.
    pub expiry: Expiry,
}

/// What a move came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// Both steps were made.
    Done,
    /// The record no longer held the expected bytes: nothing was changed.
    Changed,
    /// There was a record in the new place: nothing was changed.
    Occupied,
}
