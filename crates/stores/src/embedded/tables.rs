//! The tables of a store file: the records by name, the same records by expiry, and metadata of the
//! file. Every record that expires is in both of the first two.

use std::ops::Bound;

use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata, Table,
    TableDefinition, WriteTransaction,
};

use super::fault::Fault;
use crate::changes::{RecordMap, Stored, has_expired};
use crate::contents::{Contents, from_hex, to_hex};
use crate::generation;
use crate::pattern::RecordPattern;
use crate::record::{Cursor, Lifetime, Page, RecordName};

type Name = &'static [u8];
/// The record's expiry, and the encoded [`Contents`].
type Row = (u64, &'static [u8]);

const RECORDS: TableDefinition<'_, Name, Row> = TableDefinition::new("records");
const EXPIRIES: TableDefinition<'_, (u64, Name), ()> = TableDefinition::new("expiries");
const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");

/// Marks a record without expiry in the first table; such records are not in the second.
const NO_EXPIRY: u64 = u64::MAX;

const FORMAT: (&str, &str) = ("format", "1");
const GENERATION: &str = "generation";

/// Checks that the file has the tables of a store, in the format supported here.
pub(super) fn check(transaction: &ReadTransaction) -> Result<(), Fault> {
    let meta = transaction.open_table(META)?;
    let format = meta.get(FORMAT.0)?;
    if format.is_none_or(|format| format.value() != FORMAT.1) {
        return Err(Fault::File(Box::new(redb::Error::UpgradeRequired(0))));
    }
    transaction.open_table(RECORDS)?;
    transaction.open_table(EXPIRIES)?;
    Ok(())
}

/// Creates the tables in a file that has none yet. Any other database is left unchanged.
pub(super) fn create(database: &Database) -> Result<(), Fault> {
    let transaction = database.begin_write()?;
    if transaction.list_tables()?.next().is_some() {
        let corrupted = redb::Error::TableExists(String::new());
        return Err(Fault::File(Box::new(corrupted)));
    }
    transaction.open_table(RECORDS)?;
    transaction.open_table(EXPIRIES)?;
    {
        let mut meta = transaction.open_table(META)?;
        meta.insert(FORMAT.0, FORMAT.1)?;
        meta.insert(GENERATION, generation::fresh().as_str())?;
    }
    Ok(transaction.commit()?)
}

/// A read-only view of the records.
pub(super) struct Snapshot {
    records: ReadOnlyTable<Name, Row>,
    expiries: ReadOnlyTable<(u64, Name), ()>,
    meta: ReadOnlyTable<&'static str, &'static str>,
    now_ms: u64,
}

impl Snapshot {
    pub(super) fn open(transaction: &ReadTransaction, now_ms: u64) -> Result<Self, Fault> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            expiries: transaction.open_table(EXPIRIES)?,
            meta: transaction.open_table(META)?,
            now_ms,
        })
    }

    pub(super) fn find(&self, name: &RecordName) -> Result<Option<Stored>, Fault> {
        find(&self.records, name.as_bytes(), self.now_ms)
    }

    pub(super) fn lifetime(&self, name: &RecordName) -> Result<Lifetime, Fault> {
        lifetime(&self.records, name.as_bytes(), self.now_ms)
    }

    pub(super) fn generation(&self) -> Result<String, Fault> {
        let generation = self.meta.get(GENERATION)?.ok_or(Fault::Record)?;
        Ok(generation.value().to_owned())
    }

    /// The number of records that have not expired.
    pub(super) fn count(&self) -> Result<u64, Fault> {
        let expired = self.expiries.range(expired_range(self.now_ms))?.count();
        Ok(self.records.len()?.saturating_sub(expired as u64))
    }

    /// True if there are expired records to remove.
    pub(super) fn has_expired(&self) -> Result<bool, Fault> {
        Ok(self
            .expiries
            .range(expired_range(self.now_ms))?
            .next()
            .transpose()?
            .is_some())
    }

    pub(super) fn scan(
        &self,
        pattern: &RecordPattern,
        cursor: &Cursor,
        count: usize,
    ) -> Result<Page, Fault> {
        let after = from_hex(cursor)?;
        let prefix = pattern.prefix().as_bytes();
        let from = match after.as_deref() {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let mut page = Page {
            names: Vec::new(),
            examined: 0,
            next: None,
        };
        for record in self.records.range::<&[u8]>((from, Bound::Unbounded))? {
            let (name, row) = record?;
            let name = name.value();
            if !name.starts_with(prefix) {
                break;
            }
            page.examined = page.examined.saturating_add(1);
            if !has_expired(expires(row.value().0), self.now_ms) && pattern.matches_form(name) {
                page.names.push(RecordName::from(name));
            }
            if page.examined >= count.max(1) as u64 {
                page.next = Some(to_hex(name));
                break;
            }
        }
        Ok(page)
    }
}

/// A writable view of the records, in one transaction.
pub(super) struct WriteView<'t> {
    records: Table<'t, Name, Row>,
    expiries: Table<'t, (u64, Name), ()>,
    now_ms: u64,
    changed: bool,
}

impl<'t> WriteView<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction, now_ms: u64) -> Result<Self, Fault> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            expiries: transaction.open_table(EXPIRIES)?,
            now_ms,
            changed: false,
        })
    }

    /// True if there is anything to commit.
    pub(super) fn has_changed(&self) -> bool {
        self.changed
    }

    /// Removes at most `limit` expired records, the earliest first.
    pub(super) fn remove_expired(&mut self, limit: usize) -> Result<usize, Fault> {
        let mut expired = Vec::new();
        for entry in self.expiries.range(expired_range(self.now_ms))?.take(limit) {
            let (key, ()) = entry.map(|(key, _)| (key, ()))?;
            let (end, name) = key.value();
            expired.push((end, name.to_vec()));
        }
        for (end, name) in &expired {
            self.changed = true;
            self.expiries.remove((*end, name.as_slice()))?;
            self.records.remove(name.as_slice())?;
        }
        Ok(expired.len())
    }
}

impl RecordMap for WriteView<'_> {
    type Error = Fault;

    fn now_ms(&self) -> u64 {
        self.now_ms
    }

    fn find(&self, name: &[u8]) -> Result<Option<Stored>, Fault> {
        find(&self.records, name, self.now_ms)
    }

    fn lifetime(&self, name: &[u8]) -> Result<Lifetime, Fault> {
        lifetime(&self.records, name, self.now_ms)
    }

    fn insert(&mut self, name: &[u8], record: Stored) -> Result<(), Fault> {
        let bytes = record.contents.encode()?;
        let end = record.expires.unwrap_or(NO_EXPIRY);
        self.changed = true;
        let before = self.records.insert(name, (end, bytes.as_slice()))?;
        let before = before.map_or(NO_EXPIRY, |row| row.value().0);
        if before != end {
            if before != NO_EXPIRY {
                self.expiries.remove((before, name))?;
            }
            if end != NO_EXPIRY {
                self.expiries.insert((end, name), ())?;
            }
        }
        Ok(())
    }

    fn remove(&mut self, name: &[u8]) -> Result<bool, Fault> {
        let Some(end) = self.records.remove(name)?.map(|row| row.value().0) else {
            return Ok(false);
        };
        self.changed = true;
        if end != NO_EXPIRY {
            self.expiries.remove((end, name))?;
        }
        Ok(!has_expired(expires(end), self.now_ms))
    }
}

fn find(
    records: &impl ReadableTable<Name, Row>,
    name: &[u8],
    now_ms: u64,
) -> Result<Option<Stored>, Fault> {
    let Some(row) = records.get(name)? else {
        return Ok(None);
    };
    let (end, bytes) = row.value();
    let expires = expires(end);
    if has_expired(expires, now_ms) {
        return Ok(None);
    }
    Ok(Some(Stored {
        contents: Contents::decode(bytes)?,
        expires,
    }))
}

fn lifetime(
    records: &impl ReadableTable<Name, Row>,
    name: &[u8],
    now_ms: u64,
) -> Result<Lifetime, Fault> {
    let end = records.get(name)?.map(|row| expires(row.value().0));
    Ok(match end {
        Some(end) if has_expired(end, now_ms) => Lifetime::Absent,
        Some(Some(end)) => Lifetime::Until(end),
        Some(None) => Lifetime::Persistent,
        None => Lifetime::Absent,
    })
}

fn expires(end: u64) -> Option<u64> {
    (end != NO_EXPIRY).then_some(end)
}

/// The range of the second table whose records have expired.
fn expired_range(now_ms: u64) -> std::ops::Range<(u64, &'static [u8])> {
    (0, &[])..(now_ms.saturating_add(1), &[])
}
