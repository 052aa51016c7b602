//! The interface between everything that uses records and the databases that keep them.

use async_trait::async_trait;

use crate::collections::Collections;
use crate::commands::MissingCommand;
use crate::error::StoreError;
use crate::named::NamedStore;
use crate::neighbors::Neighbors;
use crate::pattern::RecordPattern;
use crate::record::{Cursor, Expiry, Lifetime, Page, Record, RecordName, Slot, SlotPage};

/// Consecutive records a store may fail to return before the store itself is considered at fault.
const MAX_SKIPPED: usize = 3;

/// A database of records.
///
/// The contract, beyond what each method says:
///
/// - Names, fields and values are arbitrary bytes, and are returned exactly as they were written.
/// - A record that has expired is absent for every method.
/// - An operation that returns an error may or may not have been carried out, but never half: a
///   single change is atomic. In a call with several changes, each is atomic individually.
/// - A store that cannot be reached returns [`StoreError::Unavailable`] or, where the cause is
///   known, [`StoreError::Connection`] within a bounded time. It reconnects on its own: a later
///   call succeeds once the store is back.
/// - No error holds a value, a credential or a whole record name.
#[async_trait]
pub trait RecordStore: Send + Sync {
    /// The store's address, for messages: without credentials.
    fn location(&self) -> String;

    /// Facts about the store as a whole.
    async fn status(&self) -> Result<Status, StoreError>;

    /// Asks the store whether this is still its generation. Returns false only if the store says
    /// so: one that cannot tell a restart from a lost connection counts as unchanged.
    async fn is_generation(&self, generation: &str) -> Result<bool, StoreError> {
        Ok(self.status().await?.generation == generation)
    }

    /// Returns as soon as the store answers another client: measures how busy it is.
    async fn ping(&self) -> Result<(), StoreError>;

    /// The time by the store's own clock, in milliseconds since the Unix epoch; `None` where the
    /// store has no clock but this process's, or does not report it.
    async fn time_ms(&self) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    /// Returns one page of the names that match the pattern, advancing by about `count` records.
    /// Every record that exists from the first page to the last is returned at least once.
    /// Waxseal's own names are included ([`RecordPattern::matches_form`]): the caller filters them.
    async fn scan(
        &self,
        pattern: &RecordPattern,
        cursor: &Cursor,
        count: usize,
    ) -> Result<Page, StoreError>;

    /// Reads the records under these names, in their order.
    async fn read(&self, names: &[RecordName]) -> Result<Vec<Option<Record>>, StoreError>;

    /// Like [`read`](Self::read) for as many of the first names as fit into about this many bytes
    /// of values, at least one. Returns fewer records than requested where they are large.
    async fn read_within(
        &self,
        names: &[RecordName],
        max_bytes: u64,
    ) -> Result<Vec<Option<Record>>, StoreError> {
        let _ = max_bytes;
        self.read(names).await
    }

    /// Like [`read`](Self::read), for a sample: a record that is too large for the store to return
    /// counts as absent.
    async fn read_sample(&self, names: &[RecordName]) -> Result<Vec<Option<Record>>, StoreError> {
        match self.read(names).await {
            Err(error) if error.may_concern_one_record() => {}
            records => return records,
        }
        let (mut sample, mut skipped) = (Vec::with_capacity(names.len()), 0);
        for name in names {
            match self.read(std::slice::from_ref(name)).await {
                Ok(records) => {
                    skipped = 0;
                    sample.extend(records);
                }
                Err(error) if error.may_concern_one_record() && skipped < MAX_SKIPPED => {
                    skipped += 1;
                    sample.push(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(sample)
    }

    /// The type of a record as Redis names it, `None` if there is no such record.
    async fn kind(&self, name: &RecordName) -> Result<Option<String>, StoreError> {
        let record = self.read(std::slice::from_ref(name)).await?.pop();
        Ok(record.flatten().map(|record| record.kind().to_owned()))
    }

    /// The number of slots of a record that is not a string, or of entries of a stream record;
    /// `None` where the store does not report it.
    async fn slot_count(&self, name: &RecordName) -> Result<Option<u64>, StoreError> {
        let _ = name;
        Ok(None)
    }

    /// Returns one page of about `count` slots of a record that is not a string. An absent record
    /// has none.
    async fn read_slots(
        &self,
        name: &RecordName,
        cursor: &Cursor,
        count: usize,
    ) -> Result<SlotPage, StoreError>;

    /// The value of one slot; the value of a member is the member, where the record has it.
    /// [`StoreError::WrongType`] where the record is of another type.
    async fn get(&self, name: &RecordName, slot: &Slot) -> Result<Option<Vec<u8>>, StoreError>;

    /// Writes one slot unconditionally. [`Slot::Whole`] replaces a record of any type. A field or
    /// an element needs a hash or list record (a field creates one if absent); an element must
    /// exist. Neither changes the record's expiry, whatever `expiry` says. Members and values of
    /// streams are not written this way ([`StoreError::Unsupported`]).
    async fn put(
        &self,
        name: &RecordName,
        slot: &Slot,
        value: &[u8],
        expiry: Expiry,
    ) -> Result<(), StoreError>;

    /// Writes each slot that still holds the expected bytes, and returns the outcome of each.
    ///
    /// A member is replaced by the new one, which gets its score; where the record has that one
    /// already, it keeps its own, and the old one is removed. Values of streams cannot be replaced
    /// ([`StoreError::Unsupported`]).
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

    /// Deletes a record of any type. Returns whether it existed.
    async fn delete(&self, name: &RecordName) -> Result<bool, StoreError>;

    /// Replaces a string record by a new one under another name, atomically.
    async fn move_if_unchanged(&self, change: Move<'_>) -> Result<MoveOutcome, StoreError>;

    /// Gives each record its new name, if there is one under the old name and none under the new one: it stays otherwise as
    /// it is, whatever its type and its expiry. Returns the outcome of each, in their order; each is atomic.
    async fn rename_absent(
        &self,
        renames: &[(RecordName, RecordName)],
    ) -> Result<Vec<RenameOutcome>, StoreError> {
        let _ = renames;
        Err(StoreError::Unsupported {
            what: "rename records",
        })
    }

    /// The other databases of the same server, and whether they hold records that match each
    /// pattern: for callers that find none here. The effort is bounded; what the server's user may
    /// not see is unknown, not an error.
    async fn neighbors(&self, patterns: &[RecordPattern]) -> Result<Neighbors, StoreError> {
        let _ = patterns;
        Ok(Neighbors::Unknown)
    }

    /// The server commands that the store would use and cannot. Changes nothing.
    async fn missing_commands(&self) -> Result<Vec<MissingCommand>, StoreError> {
        Ok(Vec::new())
    }

    /// True if a client has sent this command since the server started or its statistics were reset. `None` where the
    /// store does not tell.
    async fn has_run(&self, command: &str) -> Result<Option<bool>, StoreError> {
        let _ = command;
        Ok(None)
    }

    /// The lifetime of each of these records, in their order.
    async fn lifetimes(&self, names: &[RecordName]) -> Result<Vec<Lifetime>, StoreError>;

    /// Its operations on sets, sorted sets and streams; `None` if it cannot hold them.
    fn collections(&self) -> Option<&dyn Collections> {
        None
    }

    /// Itself, if it is a store of logical names over one with stored names.
    fn named(&self) -> Option<&NamedStore> {
        None
    }
}

/// Facts about a store as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The number of records, of every name.
    pub records: u64,
    /// Changes when the store was restarted or replaced: every [`Cursor`] is invalid then.
    pub generation: String,
    /// The server's product name and version.
    pub server: String,
    /// Settings of the store that an operator should know, for example `("maxmemory-policy",
    /// "allkeys-lru")`. Only those that the store reports.
    pub settings: Vec<(String, String)>,
}

/// One slot to be written if it still holds the expected bytes.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    /// The record.
    pub name: &'a RecordName,
    /// The slot in it.
    pub slot: &'a Slot,
    /// The bytes it must still hold; `None`: it must still be absent (whole records only).
    pub expected: Option<&'a [u8]>,
    /// The new value.
    pub value: &'a [u8],
    /// The record's new expiry. Always [`Expiry::Keep`] unless the slot is the whole record.
    pub expiry: Expiry,
}

/// The outcome of a conditional change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The slot held the expected bytes, and the change was carried out.
    Done,
    /// It did not (or the record is absent, or of another type): nothing was changed.
    Changed,
}

/// A string record to delete, and the record to write in its place.
#[derive(Clone, Copy)]
pub struct Move<'a> {
    /// The record to delete.
    pub from: &'a RecordName,
    /// The bytes it must still hold.
    pub expected: &'a [u8],
    /// The record to write; it must be absent.
    pub to: &'a RecordName,
    /// The value to write.
    pub value: &'a [u8],
    /// The new record's expiry; [`Expiry::Keep`]: that of the one that is deleted.
    pub expiry: Expiry,
}

/// The outcome of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveOutcome {
    /// Both steps were carried out.
    Done,
    /// The record no longer records the expected bytes: nothing was changed.
    Changed,
    /// There was already a record under the new name: nothing was changed.
    Occupied,
}

/// The outcome of a renaming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RenameOutcome {
    /// The record has its new name.
    Moved,
    /// There is no record under the old name.
    Absent,
    /// There is a record under the new name already: nothing was changed.
    Occupied,
}
