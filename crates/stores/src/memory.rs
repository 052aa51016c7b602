//! The reference store: everything in a map, under one lock. It defines what the contract means
//! where the text leaves doubt, and serves tests of the layers above.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::changes::{self, RecordMap, Stored};
use crate::clock::Clock;
use crate::contents::{from_hex, to_hex};
use crate::error::StoreError;
use crate::generation;
use crate::neighbors::Neighbors;
use crate::pattern::RecordPattern;
use crate::record::{Cursor, Expiry, Lifetime, Page, Record, RecordName, Slot, SlotPage};
use crate::store::{Change, Move, MoveOutcome, Outcome, RecordStore, RenameOutcome, Status};

/// The number of records from which expired ones are purged.
const FIRST_PURGE: usize = 1024;

/// A store in memory. Dropped with the value.
pub struct MemoryStore {
    clock: Clock,
    generation: String,
    records: Mutex<Records>,
}

impl MemoryStore {
    /// An empty store that expires its records by this clock.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let records = Records {
            by_name: BTreeMap::new(),
            purge_at: FIRST_PURGE,
        };
        Self {
            clock,
            generation: generation::fresh(),
            records: Mutex::new(records),
        }
    }

    /// Appends elements to a list record, or creates one. Returns the new length.
    /// [`StoreError::WrongType`] where the record is of another type.
    pub fn append(&self, name: &RecordName, values: &[Vec<u8>]) -> Result<u64, StoreError> {
        changes::append(&mut self.lock(), name.as_bytes(), values.to_vec())
    }

    fn lock(&self) -> Locked<'_> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let now_ms = self.clock.now_ms();
        records.purge(now_ms);
        Locked { records, now_ms }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(Clock::system())
    }
}

#[async_trait]
impl RecordStore for MemoryStore {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    async fn status(&self) -> Result<Status, StoreError> {
        let lock = self.lock();
        let live = lock
            .records
            .by_name
            .values()
            .filter(|record| lock.is_live(record))
            .count();
        Ok(Status {
            records: live as u64,
            generation: self.generation.clone(),
            server: concat!("waxseal memory ", env!("CARGO_PKG_VERSION")).to_owned(),
            settings: Vec::new(),
        })
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn scan(
        &self,
        pattern: &RecordPattern,
        cursor: &Cursor,
        count: usize,
    ) -> Result<Page, StoreError> {
        let after = from_hex(cursor)?;
        let prefix = pattern.prefix().as_bytes();
        let from = match &after {
            Some(after) if after.as_slice() >= prefix => Bound::Excluded(after.as_slice()),
            _ => Bound::Included(prefix),
        };
        let lock = self.lock();
        let mut page = Page {
            names: Vec::new(),
            examined: 0,
            next: None,
        };
        let range = lock
            .records
            .by_name
            .range::<[u8], _>((from, Bound::Unbounded));
        for (name, record) in range.take_while(|(name, _)| name.starts_with(prefix)) {
            page.examined += 1;
            if lock.is_live(record) && pattern.matches_form(name) {
                page.names.push(RecordName::from(name.as_slice()));
            }
            if page.examined >= count.max(1) as u64 {
                page.next = Some(to_hex(name));
                break;
            }
        }
        Ok(page)
    }

    async fn read(&self, names: &[RecordName]) -> Result<Vec<Option<Record>>, StoreError> {
        let lock = self.lock();
        let read = |name: &RecordName| {
            let found = lock.find(name.as_bytes())?;
            Ok(found.map(|record| record.contents.into_record()))
        };
        names.iter().map(read).collect()
    }

    async fn read_slots(
        &self,
        name: &RecordName,
        cursor: &Cursor,
        count: usize,
    ) -> Result<SlotPage, StoreError> {
        match self.lock().find(name.as_bytes())? {
            Some(record) => record.contents.page(cursor, count),
            None => Ok(SlotPage {
                slots: Vec::new(),
                next: None,
            }),
        }
    }

    async fn get(&self, name: &RecordName, slot: &Slot) -> Result<Option<Vec<u8>>, StoreError> {
        match self.lock().find(name.as_bytes())? {
            Some(record) => Ok(record.contents.get(slot)?.map(<[u8]>::to_vec)),
            None => Ok(None),
        }
    }

    async fn put(
        &self,
        name: &RecordName,
        slot: &Slot,
        value: &[u8],
        expiry: Expiry,
    ) -> Result<(), StoreError> {
        changes::put(
            &mut self.lock(),
            name.as_bytes(),
            slot,
            value.to_vec(),
            expiry,
        )
    }

    async fn replace_if_unchanged(
        &self,
        changes: &[Change<'_>],
    ) -> Result<Vec<Outcome>, StoreError> {
        let mut lock = self.lock();
        changes
            .iter()
            .map(|change| changes::replace(&mut lock, change))
            .collect()
    }

    async fn delete_if_unchanged(
        &self,
        name: &RecordName,
        expected: &[u8],
    ) -> Result<Outcome, StoreError> {
        changes::delete_unchanged(&mut self.lock(), name.as_bytes(), expected)
    }

    async fn delete(&self, name: &RecordName) -> Result<bool, StoreError> {
        self.lock().remove(name.as_bytes())
    }

    async fn move_if_unchanged(&self, change: Move<'_>) -> Result<MoveOutcome, StoreError> {
        changes::transfer(&mut self.lock(), &change)
    }

    async fn rename_absent(
        &self,
        renames: &[(RecordName, RecordName)],
    ) -> Result<Vec<RenameOutcome>, StoreError> {
        let mut lock = self.lock();
        let outcomes = renames
            .iter()
            .map(|(from, to)| changes::rename(&mut lock, from.as_bytes(), to.as_bytes()));
        outcomes.collect()
    }

    async fn neighbors(&self, _: &[RecordPattern]) -> Result<Neighbors, StoreError> {
        Ok(Neighbors::None)
    }

    async fn lifetimes(&self, names: &[RecordName]) -> Result<Vec<Lifetime>, StoreError> {
        let lock = self.lock();
        names
            .iter()
            .map(|name| lock.lifetime(name.as_bytes()))
            .collect()
    }
}

struct Records {
    by_name: BTreeMap<Vec<u8>, Stored>,
    /// The number of records at which expired ones are purged next.
    purge_at: usize,
}

impl Records {
    /// Removes expired records once the map has doubled since the last purge: the amortised cost is
    /// small, and memory stays bounded.
    fn purge(&mut self, now_ms: u64) {
        if self.by_name.len() >= self.purge_at {
            self.by_name
                .retain(|_, record| !changes::has_expired(record.expires, now_ms));
            self.purge_at = self.by_name.len().saturating_mul(2).max(FIRST_PURGE);
        }
    }
}

/// The locked records, and the time at which they are read.
struct Locked<'a> {
    records: MutexGuard<'a, Records>,
    now_ms: u64,
}

impl Locked<'_> {
    fn is_live(&self, record: &Stored) -> bool {
        !changes::has_expired(record.expires, self.now_ms)
    }
}

impl RecordMap for Locked<'_> {
    type Error = StoreError;

    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn find(&self, name: &[u8]) -> Result<Option<Stored>, StoreError> {
        Ok(self
            .records
            .by_name
            .get(name)
            .filter(|record| self.is_live(record))
            .cloned())
    }

    fn lifetime(&self, name: &[u8]) -> Result<Lifetime, StoreError> {
        let found = self
            .records
            .by_name
            .get(name)
            .filter(|record| self.is_live(record));
        Ok(found.map_or(Lifetime::Absent, Stored::lifetime))
    }

    fn insert(&mut self, name: &[u8], record: Stored) -> Result<(), StoreError> {
        self.records.by_name.insert(name.to_vec(), record);
        Ok(())
    }

    fn remove(&mut self, name: &[u8]) -> Result<bool, StoreError> {
        let removed = self.records.by_name.remove(name);
        Ok(removed.is_some_and(|record| self.is_live(&record)))
    }
}
