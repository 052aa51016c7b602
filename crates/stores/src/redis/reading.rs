//! Reading many records: strings by `MGET`, as many at a time as fit into a bound of bytes, and the types of
//! the others. Whatever a server does not have is done without.

use std::sync::atomic::Ordering;

use redis::{RedisError, Value, cmd};

use super::commands::are_text;
use super::{RedisStore, command, reply};
use crate::error::StoreError;
use crate::record::{Record, RecordName};

/// Records whose sizes are asked for at once.
const MAX_SIZED: usize = 500;
/// Records that are read first where the server does not tell sizes.
pub(super) const FIRST_COUNT: usize = 16;
/// Records that are read at once at most where the server does not tell sizes.
const MAX_COUNT: usize = 512;
/// About so many bytes are read at once where the caller sets no bound.
const REPLY_BYTES: u64 = 64 << 20;

impl RedisStore {
    /// Reads all of these records, however many requests that takes.
    pub(super) async fn read_all(
        &self,
        names: &[RecordName],
    ) -> Result<Vec<Option<Record>>, StoreError> {
        let mut held = Vec::with_capacity(names.len());
        while let Some(rest) = names.get(held.len()..).filter(|rest| !rest.is_empty()) {
            held.extend(self.read_some(rest, REPLY_BYTES).await?);
        }
        Ok(held)
    }

    /// Reads the first of these records, about so many bytes of values, and at least one record.
    pub(super) async fn read_some(
        &self,
        names: &[RecordName],
        max_bytes: u64,
    ) -> Result<Vec<Option<Record>>, StoreError> {
        let names = names.get(..MAX_SIZED).unwrap_or(names);
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
        let held = self.read_page(names, bytes).await;
        match &held {
            Ok(_) => self.limits.note_reply(bytes),
            Err(error) if error.is_interruption() && count > 1 && bytes > 0 => {
                self.limits.note_lost_reply(bytes);
            }
            Err(_) => {}
        }
        let held = held?;
        if bytes == 0 {
            self.adjust_count(max_bytes, &held);
        }
        Ok(held)
    }

    /// The bytes of each record's value, those of hashes and lists as none; `None` where the server does
    /// not tell.
    async fn sizes(&self, names: &[RecordName]) -> Result<Option<Vec<u64>>, StoreError> {
        if !self.tells_size.load(Ordering::Relaxed) {
            return Ok(None);
        }
        if self.lacks("STRLEN", text(names)).await? {
            self.tells_size.store(false, Ordering::Relaxed);
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
                // Also of a single record that the user may not read: reading it will tell.
                Err(StoreError::Denied { .. } | StoreError::NoCommand { .. }) => {
                    self.tells_size.store(false, Ordering::Relaxed);
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Some(sizes))
    }

    /// Fewer records at a time where they turn out to be large.
    fn adjust_count(&self, max_bytes: u64, held: &[Option<Record>]) {
        let bytes = |held: &Option<Record>| match held {
            Some(Record::String(bytes)) => bytes.len() as u64,
            _ => 0,
        };
        let bytes: u64 = held.iter().map(bytes).sum();
        let count = match bytes {
            _ if bytes > max_bytes => held.len() / 2,
            _ if bytes.saturating_mul(4) < max_bytes => held.len().saturating_mul(2),
            _ => held.len(),
        };
        self.count
            .store(count.clamp(1, MAX_COUNT), Ordering::Relaxed);
    }

    async fn read_page(
        &self,
        names: &[RecordName],
        bytes: u64,
    ) -> Result<Vec<Option<Record>>, StoreError> {
        let mut held = Vec::with_capacity(names.len());
        let mut missing = Vec::new();
        for (index, answer) in self.strings(names, bytes).await?.into_iter().enumerate() {
            let bytes = reply::bytes(answer)?;
            if bytes.is_none() {
                missing.push(index);
            }
            held.push(bytes.map(Record::String));
        }
        if !missing.is_empty() {
            let others = self.read_others(names, &missing).await?;
            for (index, other) in missing.into_iter().zip(others) {
                if let Some(place) = held.get_mut(index) {
                    *place = other;
                }
            }
        }
        Ok(held)
    }

    /// What the string records among these hold, and nothing for the others.
    async fn strings(&self, names: &[RecordName], bytes: u64) -> Result<Vec<Value>, StoreError> {
        if self.has_mget.load(Ordering::Relaxed) && self.lacks("MGET", text(names)).await? {
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
        let told = answers.into_iter().map(|answer| match answer {
            Ok(value) => Ok(value),
            Err(error) => match self.link.explain(&error) {
                StoreError::WrongType => Ok(Value::Nil),
                error => Err(error),
            },
        });
        told.collect()
    }

    /// Tells the types of records that are not strings, or gone.
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
                // It became a string in between.
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

    /// How many elements or fields a record has; `None` where the server does not tell.
    pub(super) async fn count_slots(&self, name: &RecordName) -> Result<Option<u64>, StoreError> {
        if !self.tells_count.load(Ordering::Relaxed) {
            return Ok(None);
        }
        for word in ["LLEN", "HLEN"] {
            if self.lacks(word, are_text([name.as_bytes()])).await? {
                return Ok(None);
            }
        }
        let ask = ["LLEN", "HLEN"].map(|word| command(word, &[name.as_bytes()]));
        let answers = self.link.send_all(ask.into()).await?;
        let is_refused = |answer: &Result<Value, RedisError>| {
            let error = answer.as_ref().err().map(|error| self.link.explain(error));
            error.is_some_and(|error| error != StoreError::WrongType)
        };
        if answers.iter().all(is_refused) {
            self.tells_count.store(false, Ordering::Relaxed);
        }
        let counts = answers.into_iter().filter_map(Result::ok);
        let counts = counts.filter_map(|count| reply::number(&count).ok());
        Ok(counts.filter_map(|count| u64::try_from(count).ok()).max())
    }
}

fn text(names: &[RecordName]) -> bool {
    are_text(names.iter().map(RecordName::as_bytes))
}

/// How many of the first records are about so many bytes together, at least one; and how many they are.
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
