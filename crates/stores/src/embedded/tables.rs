//! The tables of a store file: the records by name, the same records by the end of their lives, and
//! what is known about the file. Every record that expires is in both of the first two.

use std::ops::Bound;

use redb::{
    Database, ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata, Table,
    TableDefinition, WriteTransaction,
};

use super::fault::Fault;
use crate::changes::{Shelf, Stored, is_over};
use crate::contents::{Contents, from_hex, to_hex};
use crate::generation;
use crate::pattern::RecordPattern;
use crate::record::{Cursor, Lifetime, Page, RecordName};

type Name = &'static [u8];
/// The end of the record's life, and the encoded [`Contents`].
type Row = (u64, &'static [u8]);

const RECORDS: TableDefinition<'_, Name, Row> = TableDefinition::new("records");
const EXPIRIES: TableDefinition<'_, (u64, Name), ()> = TableDefinition::new("expiries");
const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");

/// Stands for no end in the first table; such records are not in the second.
const FOREVER: u64 = u64::MAX;

const FORMAT: (&str, &str) = ("format", "1");
const GENERATION: &str = "generation";

/// Whether the file has the tables of a store, in the format that is read here.
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

/// Makes the tables in a file that has none yet. A database of something else is left alone.
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

/// The records at one moment, to be read.
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

    /// How many records there are that have not expired.
    pub(super) fn count(&self) -> Result<u64, Fault> {
        let over = self.expiries.range(over(self.now_ms))?.count();
        Ok(self.records.len()?.saturating_sub(over as u64))
    }

    /// Whether there is anything to be removed.
    pub(super) fn has_expired(&self) -> Result<bool, Fault> {
        Ok(self
            .expiries
            .range(over(self.now_ms))?
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
            if !is_over(expires(row.value().0), self.now_ms) && pattern.matches_form(name) {
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

/// The records at one moment, to be changed.
pub(super) struct Ledger<'t> {
    records: Table<'t, Name, Row>,
    expiries: Table<'t, (u64, Name), ()>,
    now_ms: u64,
    changed: bool,
}

impl<'t> Ledger<'t> {
    pub(super) fn open(transaction: &'t WriteTransaction, now_ms: u64) -> Result<Self, Fault> {
        Ok(Self {
            records: transaction.open_table(RECORDS)?,
            expiries: transaction.open_table(EXPIRIES)?,
            now_ms,
            changed: false,
        })
    }

    /// Whether there is anything to commit.
    pub(super) fn has_changed(&self) -> bool {
        self.changed
    }

    /// Removes at most so many records that have expired, those first that did so first.
    pub(super) fn remove_expired(&mut self, most: usize) -> Result<usize, Fault> {
        let mut ends = Vec::new();
        for entry in self.expiries.range(over(self.now_ms))?.take(most) {
            let (key, ()) = entry.map(|(key, _)| (key, ()))?;
            let (end, name) = key.value();
            ends.push((end, name.to_vec()));
        }
        for (end, name) in &ends {
            self.changed = true;
            self.expiries.remove((*end, name.as_slice()))?;
            self.records.remove(name.as_slice())?;
        }
        Ok(ends.len())
    }
}

impl Shelf for Ledger<'_> {
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

    fn place(&mut self, name: &[u8], record: Stored) -> Result<(), Fault> {
        let bytes = record.contents.encode()?;
        let end = record.expires.unwrap_or(FOREVER);
        self.changed = true;
        let before = self.records.insert(name, (end, bytes.as_slice()))?;
        let before = before.map_or(FOREVER, |row| row.value().0);
        if before != end {
            if before != FOREVER {
                self.expiries.remove((before, name))?;
            }
            if end != FOREVER {
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
        if end != FOREVER {
            self.expiries.remove((end, name))?;
        }
        Ok(!is_over(expires(end), self.now_ms))
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
    if is_over(expires, now_ms) {
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
        Some(end) if is_over(end, now_ms) => Lifetime::Absent,
        Some(Some(end)) => Lifetime::Until(end),
        Some(None) => Lifetime::Persistent,
        None => Lifetime::Absent,
    })
}

fn expires(end: u64) -> Option<u64> {
    (end != FOREVER).then_some(end)
}

/// The part of the second table whose records have expired.
fn over(now_ms: u64) -> std::ops::Range<(u64, &'static [u8])> {
    (0, &[])..(now_ms.saturating_add(1), &[])
}
