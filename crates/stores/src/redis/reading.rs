//! Reading many records: strings by `MGET`, as many at a time as fit into a byte limit, and the
//! types of the others. Every command except `GET` and `TYPE` is optional.

use std::sync::atomic::Ordering;

use redis::{Value, cmd};

use super::commands::are_all_text;
use super::{RedisStore, command, reply};
use crate::error::StoreError;
use crate::record::{Record, RecordName};

/// Records whose sizes are requested at once.
const MAX_SIZES: usize = 500;
/// Records in the first read where the server does not report sizes.
pub(super) const FIRST_RECORDS: usize = 16;
/// Maximum records per read where the server does not report sizes.
const MAX_RECORDS: usize = 512;
/// Approximate bytes per read where the caller sets no bound.
const REPLY_BYTES: u64 = 64 << 20;

impl RedisStore {
    /// Reads all of these records, in as many requests as needed.
    pub(super) async fn read_all(
        &self,
        names: &[RecordName],
    ) -> Result<Vec<Option<Record>>, StoreError> {
        let mut records = Vec::with_capacity(names.len());
        while let Some(remaining) = names
            .get(records.len()..)
            .filter(|remaining| !remaining.is_empty())
        {
            records.extend(self.read_within_bytes(remaining, REPLY_BYTES).await?);
        }
        Ok(records)
    }

    /// Reads the first of these records, about `max_bytes` of values, and at least one record.
    pub(super) async fn read_within_bytes(
        &self,
        names: &[RecordName],
        max_bytes: u64,
    ) -> Result<Vec<Option<Record>>, StoreError> {
        let names = names.get(..MAX_SIZES).unwrap_or(names);
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let (count, bytes) = match self.sizes(names).await? {
            Some(sizes) => {
                let budget = self.reply_budget(max_bytes, sizes.iter().sum()).await?;
                fitting(&sizes, budget)
            }
            None => (self.count.load(Ordering::Relaxed).min(names.len()), 0),
        };
        let names = names.get(..count).unwrap_or(names);
        let records = self.read_page(names, bytes).await;
        match &records {
            Ok(_) => self.limits.reply_received(bytes),
            Err(error) if error.is_interruption() && count > 1 && bytes > 0 => {
                self.limits.reply_lost(bytes);
            }
            Err(_) => {}
        }
        let records = records?;
        if bytes == 0 {
            self.adjust_count(max_bytes, &records);
        }
        Ok(records)
    }

    /// The size of each record's value, 0 for hashes and lists; `None` where the server does not
    /// report it.
    async fn sizes(&self, names: &[RecordName]) -> Result<Option<Vec<u64>>, StoreError> {
        if !self.reports_size.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if self.lacks("STRLEN", are_names_text(names)).await? {
            self.reports_size.store(false, Ordering::Relaxed);
            return Ok(None);
        }
        let ask = names
            .iter()
            .map(|name| command("STRLEN", &[name.as_bytes()]));
        let mut sizes = Vec::with_capacity(names.len());
        for answer in self.link.send_all(ask.collect()).await? {
            match answer.map_err(|error| self.link.explain(&error)) {
                Ok(size) => sizes.push(u64::try_from(reply::number(&size)?).unwrap_or_default()),
                Err(StoreError::WrongType) => sizes.push(0),
                // Possibly because of a single record that the user may not read: reading it will
                // report that.
                Err(StoreError::Denied { .. } | StoreError::NoCommand { .. }) => {
                    self.reports_size.store(false, Ordering::Relaxed);
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Some(sizes))
    }

    /// Adapts the number of records per read to their size.
    fn adjust_count(&self, max_bytes: u64, records: &[Option<Record>]) {
        let bytes = |record: &Option<Record>| match record {
            Some(Record::String(bytes)) => bytes.len() as u64,
            _ => 0,
        };
        let bytes: u64 = records.iter().map(bytes).sum();
        let count = match bytes {
            _ if bytes > max_bytes => records.len() / 2,
            _ if bytes.saturating_mul(4) < max_bytes => records.len().saturating_mul(2),
            _ => records.len(),
        };
        self.count
            .store(count.clamp(1, MAX_RECORDS), Ordering::Relaxed);
    }

    async fn read_page(
        &self,
        names: &[RecordName],
        bytes: u64,
    ) -> Result<Vec<Option<Record>>, StoreError> {
        let mut records = Vec::with_capacity(names.len());
        let mut missing = Vec::new();
        for (index, answer) in self.strings(names, bytes).await?.into_iter().enumerate() {
            let bytes = reply::bytes(answer)?;
            if bytes.is_none() {
                missing.push(index);
            }
            records.push(bytes.map(Record::String));
        }
        if !missing.is_empty() {
            let others = self.read_others(names, &missing).await?;
            for (index, other) in missing.into_iter().zip(others) {
                if let Some(slot) = records.get_mut(index) {
                    *slot = other;
                }
            }
        }
        Ok(records)
    }

    /// The values of the string records among these, nil for the others.
    async fn strings(&self, names: &[RecordName], bytes: u64) -> Result<Vec<Value>, StoreError> {
        if self.has_mget.load(Ordering::Relaxed)
            && self.lacks("MGET", are_names_text(names)).await?
        {
            self.has_mget.store(false, Ordering::Relaxed);
        }
        if self.has_mget.load(Ordering::Relaxed) {
            let mut mget = cmd("MGET");
            for name in names {
                mget.arg(name.as_bytes());
            }
            match self.link.send_expecting(&mget, bytes).await {
                Err(error) if error.is_missing_command() => {
                    self.has_mget.store(false, Ordering::Relaxed);
                }
                answer => return reply::array(answer?),
            }
        }
        let ask = names.iter().map(|name| command("GET", &[name.as_bytes()]));
        let answers = self.link.send_all_expecting(ask.collect(), bytes).await?;
        let values = answers.into_iter().map(|answer| match answer {
            Ok(value) => Ok(value),
            Err(error) => match self.link.explain(&error) {
                StoreError::WrongType => Ok(Value::Nil),
                error => Err(error),
            },
        });
        values.collect()
    }

    /// Reads the types of records that are not strings, or absent.
    async fn read_others(
        &self,
        names: &[RecordName],
        missing: &[usize],
    ) -> Result<Vec<Option<Record>>, StoreError> {
        let missing_names = || missing.iter().filter_map(|&index| names.get(index));
        let types = missing_names().map(|name| command("TYPE", &[name.as_bytes()]));
        let types = self.link.send_each(types.collect()).await?;
        let mut others = Vec::with_capacity(missing.len());
        for (answer, name) in types.into_iter().zip(missing_names()) {
            others.push(match reply::text(answer)?.as_str() {
                "none" => None,
                "hash" => Some(Record::Hash),
                "list" => Some(Record::List),
                "set" => Some(Record::Set),
                "zset" => Some(Record::SortedSet),
                "stream" => Some(Record::Stream),
                // It became a string meanwhile.
                "string" => match self.read_string(name).await {
                    Ok(bytes) => bytes.map(Record::String),
                    Err(StoreError::WrongType) => None,
                    Err(error) => return Err(error),
                },
                other => Some(Record::Other(other.to_owned())),
            });
        }
        Ok(others)
    }

    async fn read_string(&self, name: &RecordName) -> Result<Option<Vec<u8>>, StoreError> {
        reply::bytes(self.link.send(&command("GET", &[name.as_bytes()])).await?)
    }

    /// The number of slots of a record, of entries of a stream; `None` where the server does not report it.
    pub(super) async fn count_slots(&self, name: &RecordName) -> Result<Option<u64>, StoreError> {
        if !self.reports_count.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let kind = self.link.send(cmd("TYPE").arg(name.as_bytes())).await?;
        let count = match reply::text(kind)?.as_str() {
            "list" => "LLEN",
            "hash" => "HLEN",
            "set" => "SCARD",
            "zset" => "ZCARD",
            "stream" => "XLEN",
            _ => return Ok(None),
        };
        if self.lacks(count, are_all_text([name.as_bytes()])).await? {
            return Ok(None);
        }
        match self.link.send(&command(count, &[name.as_bytes()])).await {
            Ok(count) => Ok(u64::try_from(reply::number(&count)?).ok()),
            // Of another type since.
            Err(StoreError::WrongType) => Ok(None),
            Err(error) if error.is_missing_command() => {
                self.reports_count.store(false, Ordering::Relaxed);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn are_names_text(names: &[RecordName]) -> bool {
    are_all_text(names.iter().map(RecordName::as_bytes))
}

/// How many of the first records fit into the budget, at least one; and their total size.
fn fitting(sizes: &[u64], budget: u64) -> (usize, u64) {
    let (mut count, mut bytes) = (0, 0_u64);
    for size in sizes {
        let more = bytes.saturating_add(*size);
        if count > 0 && more > budget {
            break;
        }
        (count, bytes) = (count + 1, more);
    }
    (count, bytes)
}

#[cfg(test)]
mod tests {
    use super::fitting;

    #[test]
    fn as_many_records_as_fit_and_at_least_one() {
        for (sizes, read) in [
            (&[10, 10, 10][..], (3, 30)),
            (&[10, 25, 10], (1, 10)),
            (&[40, 1], (1, 40)),
            (&[0, 0, 31], (2, 0)),
        ] {
            assert_eq!(fitting(sizes, 30), read, "{sizes:?}");
        }
    }
}
