//! Records in one file of this process (redb): for a single application without a server, and for
//! trying things out.
//!
//! A write is durable when the call returns; concurrent writers share one disk write (see
//! `writer`). Each read sees a snapshot of the file and runs on the runtime's blocking threads: a
//! page that is not in memory comes from the disk. Expired records are absent immediately; a
//! background task removes them from the file.

mod fault;
mod file;
mod tables;
mod writer;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tokio::task;

use self::fault::Fault;
use self::file::{StoreFile, guarded};
use self::tables::{Snapshot, WriteView};
use self::writer::{MAX_SWEPT_RECORDS, Writer};
use crate::changes::{self, RecordMap};
use crate::clock::Clock;
use crate::error::StoreError;
use crate::neighbors::Neighbors;
use crate::pattern::RecordPattern;
use crate::record::{Cursor, Expiry, Lifetime, Page, Record, RecordName, Slot, SlotPage};
use crate::store::{Change, Move, MoveOutcome, Outcome, RecordStore, RenameOutcome, Status};

/// A store in one file. Dropping it finishes pending changes and closes the file.
pub struct EmbeddedStore {
    file: Arc<StoreFile>,
    clock: Clock,
    writer: Writer,
}

impl EmbeddedStore {
    /// Opens the file, or creates it, for its owner alone (mode 0600). While it is open no other
    /// process can open it. After a crash the whole file is checked, which takes a while.
    pub fn open(path: &Path, clock: Clock) -> Result<Self, StoreError> {
        let file = Arc::new(StoreFile::open(path)?);
        let writer = Writer::start(Arc::clone(&file), clock.clone())?;
        Ok(Self {
            file,
            clock,
            writer,
        })
    }

    /// Appends elements to a list record, or creates one. Returns the new length.
    /// [`StoreError::WrongType`] where the record is of another type.
    pub async fn append(&self, name: &RecordName, values: &[Vec<u8>]) -> Result<u64, StoreError> {
        let (name, values) = (name.clone(), values.to_vec());
        let bytes = values.iter().map(Vec::len).sum();
        let work = move |view: &mut WriteView<'_>| changes::append(view, name.as_bytes(), values);
        self.writer.submit(bytes, work).await
    }

    /// Removes all expired records from the file now, instead of a little later. Returns their
    /// number.
    pub async fn remove_expired(&self) -> Result<u64, StoreError> {
        let mut all = 0;
        loop {
            let removed = self
                .writer
                .submit(0, |view| view.remove_expired(MAX_SWEPT_RECORDS))
                .await?;
            all += removed as u64;
            if removed < MAX_SWEPT_RECORDS {
                return Ok(all);
            }
        }
    }

    /// Reads a snapshot of the file. If the file had failed, the writer is asked to reopen it, and
    /// the read is retried once.
    async fn view<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Snapshot) -> Result<T, Fault> + Send + Sync + 'static,
    {
        let read = Arc::new(read);
        let first = self.try_read(Arc::clone(&read)).await;
        let result = match first {
            Err(fault) if fault.may_heal() => {
                self.file.mark_broken();
                self.writer.submit(0, |_| Ok(())).await?;
                self.try_read(read).await
            }
            result => result,
        };
        result.map_err(|fault| fault.explain(self.file.location()))
    }

    async fn try_read<T, F>(&self, read: Arc<F>) -> Result<T, Fault>
    where
        T: Send + 'static,
        F: Fn(&Snapshot) -> Result<T, Fault> + Send + Sync + 'static,
    {
        let (file, clock) = (Arc::clone(&self.file), self.clock.clone());
        let work = move || {
            guarded(|| {
                let transaction = file.begin_read()?;
                read(&Snapshot::open(&transaction, clock.now_ms())?)
            })
        };
        task::spawn_blocking(work).await.unwrap_or_else(|_| {
            Err(Fault::Refused(StoreError::Unavailable {
                location: self.file.location().to_owned(),
                cause: "the program is ending".to_owned(),
                interrupted: false,
            }))
        })
    }
}

#[async_trait]
impl RecordStore for EmbeddedStore {
    fn location(&self) -> String {
        self.file.location().to_owned()
    }

    async fn status(&self) -> Result<Status, StoreError> {
        let file = Arc::clone(&self.file);
        self.view(move |snapshot| {
            let bytes = std::fs::metadata(file.path())?.len();
            Ok(Status {
                records: snapshot.count()?,
                generation: snapshot.generation()?,
                server: concat!("waxseal file ", env!("CARGO_PKG_VERSION")).to_owned(),
                settings: vec![("file_bytes".to_owned(), bytes.to_string())],
            })
        })
        .await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.writer.submit(0, |_| Ok(())).await
    }

    async fn scan(
        &self,
        pattern: &RecordPattern,
        cursor: &Cursor,
        count: usize,
    ) -> Result<Page, StoreError> {
        let (pattern, cursor) = (pattern.clone(), cursor.clone());
        self.view(move |snapshot| snapshot.scan(&pattern, &cursor, count))
            .await
    }

    async fn read(&self, names: &[RecordName]) -> Result<Vec<Option<Record>>, StoreError> {
        let names = names.to_vec();
        self.view(move |snapshot| {
            let read = |name| {
                Ok(snapshot
                    .find(name)?
                    .map(|record| record.contents.into_record()))
            };
            names.iter().map(read).collect()
        })
        .await
    }

    async fn read_slots(
        &self,
        name: &RecordName,
        cursor: &Cursor,
        count: usize,
    ) -> Result<SlotPage, StoreError> {
        let (name, cursor) = (name.clone(), cursor.clone());
        self.view(move |snapshot| match snapshot.find(&name)? {
            Some(record) => Ok(record.contents.page(&cursor, count)?),
            None => Ok(SlotPage {
                slots: Vec::new(),
                next: None,
            }),
        })
        .await
    }

    async fn get(&self, name: &RecordName, slot: &Slot) -> Result<Option<Vec<u8>>, StoreError> {
        let (name, slot) = (name.clone(), slot.clone());
        self.view(move |snapshot| match snapshot.find(&name)? {
            Some(record) => Ok(record.contents.get(&slot)?.map(<[u8]>::to_vec)),
            None => Ok(None),
        })
        .await
    }

    async fn put(
        &self,
        name: &RecordName,
        slot: &Slot,
        value: &[u8],
        expiry: Expiry,
    ) -> Result<(), StoreError> {
        let (name, slot, value) = (name.clone(), slot.clone(), value.to_vec());
        let bytes = name.as_bytes().len() + value.len();
        let work = move |view: &mut WriteView<'_>| {
            changes::put(view, name.as_bytes(), &slot, value, expiry)
        };
        self.writer.submit(bytes, work).await
    }

    async fn replace_if_unchanged(
        &self,
        changes: &[Change<'_>],
    ) -> Result<Vec<Outcome>, StoreError> {
        let changes: Vec<OwnedChange> = changes.iter().map(OwnedChange::from).collect();
        let bytes = changes.iter().map(OwnedChange::bytes).sum();
        let work = move |view: &mut WriteView<'_>| {
            changes
                .iter()
                .map(|change| changes::replace(view, &change.as_change()))
                .collect()
        };
        self.writer.submit(bytes, work).await
    }

    async fn delete_if_unchanged(
        &self,
        name: &RecordName,
        expected: &[u8],
    ) -> Result<Outcome, StoreError> {
        let (name, expected) = (name.clone(), expected.to_vec());
        let bytes = name.as_bytes().len() + expected.len();
        let work = move |view: &mut WriteView<'_>| {
            changes::delete_unchanged(view, name.as_bytes(), &expected)
        };
        self.writer.submit(bytes, work).await
    }

    async fn delete(&self, name: &RecordName) -> Result<bool, StoreError> {
        let name = name.clone();
        let bytes = name.as_bytes().len();
        self.writer
            .submit(bytes, move |view| view.remove(name.as_bytes()))
            .await
    }

    async fn move_if_unchanged(&self, change: Move<'_>) -> Result<MoveOutcome, StoreError> {
        let (from, to) = (change.from.clone(), change.to.clone());
        let (expected, value) = (change.expected.to_vec(), change.value.to_vec());
        let expiry = change.expiry;
        let bytes = expected.len() + value.len();
        let work = move |view: &mut WriteView<'_>| {
            let change = Move {
                from: &from,
                expected: &expected,
                to: &to,
                value: &value,
                expiry,
            };
            changes::transfer(view, &change)
        };
        self.writer.submit(bytes, work).await
    }

    async fn rename_absent(
        &self,
        renames: &[(RecordName, RecordName)],
    ) -> Result<Vec<RenameOutcome>, StoreError> {
        let renames = renames.to_vec();
        let lengths = renames
            .iter()
            .map(|(from, to)| from.as_bytes().len() + to.as_bytes().len());
        let bytes = lengths.sum();
        let work = move |view: &mut WriteView<'_>| {
            let outcomes = renames
                .iter()
                .map(|(from, to)| changes::rename(view, from.as_bytes(), to.as_bytes()));
            outcomes.collect()
        };
        self.writer.submit(bytes, work).await
    }

    async fn neighbors(&self, _: &[RecordPattern]) -> Result<Neighbors, StoreError> {
        Ok(Neighbors::None)
    }

    async fn lifetimes(&self, names: &[RecordName]) -> Result<Vec<Lifetime>, StoreError> {
        let names = names.to_vec();
        self.view(move |snapshot| names.iter().map(|name| snapshot.lifetime(name)).collect())
            .await
    }
}

/// An owned [`Change`], to be sent to the writer.
struct OwnedChange {
    name: RecordName,
    slot: Slot,
    expected: Option<Vec<u8>>,
    value: Vec<u8>,
    expiry: Expiry,
}

impl OwnedChange {
    fn bytes(&self) -> usize {
        let expected = self.expected.as_ref().map_or(0, Vec::len);
        self.name.as_bytes().len() + expected + self.value.len()
    }

    fn as_change(&self) -> Change<'_> {
        Change {
            name: &self.name,
            slot: &self.slot,
            expected: self.expected.as_deref(),
            value: &self.value,
            expiry: self.expiry,
        }
    }
}

impl From<&Change<'_>> for OwnedChange {
    fn from(change: &Change<'_>) -> Self {
        Self {
            name: change.name.clone(),
            slot: change.slot.clone(),
            expected: change.expected.map(<[u8]>::to_vec),
            value: change.value.to_vec(),
            expiry: change.expiry,
        }
    }
}
