//! Everything in one database, byte for byte, to compare before and after. Compares the output of
//! `DUMP`: the same records in the same process compare equal; after a restart, or between two
//! servers, the order inside a big hash or set may differ, so compare only strings there.

use std::collections::BTreeMap;
use std::fmt;

use crate::client::{Client, Reply};

/// One record as the server stores it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// The output of `DUMP`: kind and content.
    pub dump: Vec<u8>,
    /// Its expiry, in milliseconds since 1970; `None` without one.
    pub expires_at_ms: Option<i64>,
}

impl fmt::Debug for StoredRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dump = self.dump.escape_ascii();
        write!(
            f,
            "StoredRecord {{ dump: \"{dump}\", expires_at_ms: {:?} }}",
            self.expires_at_ms
        )
    }
}

/// All records of database 0.
#[derive(Clone, PartialEq, Eq)]
pub struct Snapshot {
    records: BTreeMap<Vec<u8>, StoredRecord>,
}

impl Snapshot {
    /// Reads all records of the database that `client` is connected to.
    pub(crate) fn take(client: &mut Client) -> Self {
        let mut records = BTreeMap::new();
        let mut cursor = b"0".to_vec();
        loop {
            let mut page = client
                .cmd(&[&b"SCAN"[..], &cursor, b"COUNT", b"1000"])
                .array();
            let names = page.pop().expect("SCAN returns names").array();
            cursor = page
                .pop()
                .expect("SCAN returns a cursor")
                .bytes()
                .expect("a cursor");
            let names: Vec<Vec<u8>> = names.into_iter().filter_map(Reply::bytes).collect();
            records.extend(read(client, names));
            if cursor == b"0" {
                return Self { records };
            }
        }
    }

    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True if there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// All records by name.
    #[must_use]
    pub fn records(&self) -> &BTreeMap<Vec<u8>, StoredRecord> {
        &self.records
    }

    /// One record.
    #[must_use]
    pub fn get(&self, name: impl AsRef<[u8]>) -> Option<&StoredRecord> {
        self.records.get(name.as_ref())
    }

    /// Only the records whose name satisfies the predicate.
    #[must_use]
    pub fn only(mut self, keep: impl Fn(&[u8]) -> bool) -> Self {
        self.records.retain(|name, _| keep(name));
        self
    }

    /// Names of records that were added, removed or changed between the two, expiry included.
    #[must_use]
    pub fn changed_names(&self, other: &Self) -> Vec<Vec<u8>> {
        let here = self
            .records
            .iter()
            .filter(|(name, it)| other.records.get(*name) != Some(*it));
        let there = other
            .records
            .iter()
            .filter(|(name, _)| !self.records.contains_key(*name));
        here.chain(there).map(|(name, _)| name.clone()).collect()
    }
}

/// Only the count: a failed `assert_eq!` over 200,000 records would bury everything else.
impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Snapshot of {} records (ask changed_names what differs)",
            self.len()
        )
    }
}

fn read(client: &mut Client, names: Vec<Vec<u8>>) -> Vec<(Vec<u8>, StoredRecord)> {
    let dumps: Vec<[&[u8]; 2]> = names.iter().map(|name| [&b"DUMP"[..], name]).collect();
    let dumps = client.pipeline(&dumps);
    let expiries = expiries(client, &names);
    let found = names.into_iter().zip(dumps).zip(expiries);
    found
        .filter_map(|((name, dump), expiry)| {
            // Deleted between SCAN and DUMP: not part of the database any more.
            let dump = dump.bytes()?;
            (expiry != -2).then(|| {
                let expires_at_ms = (expiry >= 0).then_some(expiry);
                (
                    name,
                    StoredRecord {
                        dump,
                        expires_at_ms,
                    },
                )
            })
        })
        .collect()
}

/// The reply of `PEXPIRETIME`: -1 without expiry, -2 without a record.
fn expiries(client: &mut Client, names: &[Vec<u8>]) -> Vec<i64> {
    let commands: Vec<[&[u8]; 2]> = names
        .iter()
        .map(|name| [&b"PEXPIRETIME"[..], name])
        .collect();
    let replies = client.pipeline(&commands);
    if replies.iter().any(|reply| reply.error().is_some()) {
        return names
            .iter()
            .map(|name| expiry_from_remaining_time(client, name))
            .collect();
    }
    replies.into_iter().map(Reply::int).collect()
}

/// Redis before 7.0 reports only the remaining time. Between two readings of the server's clock
/// that show the same millisecond, the sum is exact.
fn expiry_from_remaining_time(client: &mut Client, name: &[u8]) -> i64 {
    loop {
        let replies =
            client.pipeline::<&[&[u8]], &[u8]>(&[&[b"TIME"], &[b"PTTL", name], &[b"TIME"]]);
        let [before, remaining, after] = <[Reply; 3]>::try_from(replies).expect("three replies");
        let remaining = remaining.int();
        if remaining < 0 {
            return remaining;
        }
        let (before, after) = (milliseconds(before), milliseconds(after));
        if before == after {
            return before + remaining;
        }
    }
}

fn milliseconds(time: Reply) -> i64 {
    let parts: Vec<i64> = time
        .array()
        .iter()
        .map(|part| part.to_text().parse().expect("TIME returns numbers"))
        .collect();
    parts[0] * 1000 + parts[1] / 1000
}
