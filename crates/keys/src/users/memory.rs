//! The reference store of users' keys, in memory, which counts the calls.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;

use super::{UserChange, UserKeyError, UserKeyStore};
use crate::sync::lock;

/// A store of users' keys in memory, which can be made unreachable.
#[derive(Default)]
pub struct MemoryUserKeys {
    records: Mutex<HashMap<String, Vec<u8>>>,
    calls: AtomicUsize,
    out_of_reach: AtomicBool,
}

impl MemoryUserKeys {
    /// The number of calls so far: each would be a round trip.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Makes every call fail from now on, or succeed again.
    pub fn set_out_of_reach(&self, out_of_reach: bool) {
        self.out_of_reach.store(out_of_reach, Ordering::SeqCst);
    }

    /// All records, as a backup would hold them.
    #[must_use]
    pub fn backup(&self) -> HashMap<String, Vec<u8>> {
        lock(&self.records).clone()
    }

    /// Replaces all records with a backup.
    pub fn restore(&self, backup: HashMap<String, Vec<u8>>) {
        *lock(&self.records) = backup;
    }

    fn with<T>(
        &self,
        then: impl FnOnce(&mut HashMap<String, Vec<u8>>) -> T,
    ) -> Result<T, UserKeyError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.out_of_reach.load(Ordering::SeqCst) {
            return Err(UserKeyError::Store {
                location: self.location(),
                problem: "is out of reach".to_owned(),
                transient: true,
            });
        }
        Ok(then(&mut lock(&self.records)))
    }
}

#[async_trait]
impl UserKeyStore for MemoryUserKeys {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    async fn read(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>, UserKeyError> {
        self.with(|records| {
            names
                .iter()
                .map(|name| records.get(name).cloned())
                .collect()
        })
    }

    async fn replace(&self, changes: &[UserChange]) -> Result<Vec<bool>, UserKeyError> {
        self.with(|records| {
            let one = |change: &UserChange| {
                let as_expected = records.get(&change.name) == change.expected.as_ref();
                if as_expected {
                    records.insert(change.name.clone(), change.new.clone());
                }
                as_expected
            };
            changes.iter().map(one).collect()
        })
    }

    async fn sample(&self, count: usize) -> Result<Vec<(String, Vec<u8>)>, UserKeyError> {
        self.with(|records| {
            let some = records.iter().take(count);
            some.map(|(name, stored)| (name.clone(), stored.clone()))
                .collect()
        })
    }
}
