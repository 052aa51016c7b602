//! The cache of users' keys, bounded in number and age. Two generations: when the younger is half full
//! it becomes the older, and entries that were not read since are dropped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;
use waxseal_core::UserKey;
use waxseal_metrics::CacheMetrics;

use crate::sync::lock;

/// A sealed record is entry this many times as long as the key that was read from it.
const RECORD_AGE_FACTOR: u32 = 60;

/// The bounds of a cache of users' keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheBounds {
    /// The largest number of users.
    pub users: usize,
    /// The age at which a key is read again: the bound on how long an erased user stays readable.
    pub age: Duration,
}

impl Default for CacheBounds {
    /// 25,000 users (about 20 MB), for 60 seconds each.
    fn default() -> Self {
        Self {
            users: 25_000,
            age: Duration::from_secs(60),
        }
    }
}

/// The result of a cache lookup.
#[derive(Clone)]
pub enum CacheLookup {
    /// The key, or the knowledge that it was destroyed.
    Key(Arc<UserKey>),
    /// There was no key a short while ago.
    Absent,
    /// The cache does not know: the store must be asked.
    Unknown,
}

/// A cached fact about a user.
#[derive(Clone)]
pub(super) enum CacheEntry {
    /// The key and, for a live one, its sealed record.
    Key(Arc<UserKey>, Option<Arc<[u8]>>),
    /// There was no key.
    Absent,
    /// Only the sealed record of a key that is too old, in case the store loses it.
    Record(Arc<[u8]>),
}

impl CacheEntry {
    pub(super) fn new(key: Option<&Arc<UserKey>>, record: Option<Vec<u8>>) -> Self {
        let Some(key) = key else {
            return Self::Absent;
        };
        let record = record.filter(|_| key.id().is_some());
        Self::Key(key.clone(), record.map(Arc::from))
    }
}

type Entries = HashMap<Vec<u8>, (CacheEntry, Instant)>;

pub(super) struct Cache {
    bounds: CacheBounds,
    generations: Mutex<Generations>,
    metrics: CacheMetrics,
}

#[derive(Default)]
struct Generations {
    young: Entries,
    old: Entries,
    /// When expired entries were removed last.
    pruned: Option<Instant>,
}

impl Generations {
    fn users(&self) -> usize {
        self.young.len().saturating_add(self.old.len())
    }
}

impl Cache {
    pub(super) fn new(bounds: CacheBounds) -> Self {
        Self {
            bounds,
            generations: Mutex::default(),
            metrics: CacheMetrics::new(),
        }
    }

    pub(super) fn get(&self, user: &[u8]) -> CacheLookup {
        let cached = self.find(user);
        self.metrics
            .record_lookup(!matches!(cached, CacheLookup::Unknown));
        cached
    }

    fn find(&self, user: &[u8]) -> CacheLookup {
        self.with(|generations| {
            if let Some((entry, since)) = generations.young.get_mut(user) {
                return self.fresh(entry, *since);
            }
            let Some((name, (mut entry, since))) = generations.old.remove_entry(user) else {
                return CacheLookup::Unknown;
            };
            let cached = self.fresh(&mut entry, since);
            self.put(generations, name, entry, since);
            cached
        })
    }

    /// The sealed record of a user's live key, as it was read some time ago.
    pub(super) fn record(&self, user: &[u8]) -> Option<Arc<[u8]>> {
        self.with(|generations| {
            let entry = generations.young.get(user);
            match &entry.or_else(|| generations.old.get(user))?.0 {
                CacheEntry::Key(_, record) => record.clone(),
                CacheEntry::Record(record) => Some(record.clone()),
                CacheEntry::Absent => None,
            }
        })
    }

    /// Inserts an entry that was read from the store at the moment `asked` or later.
    pub(super) fn insert(&self, user: &[u8], entry: CacheEntry, asked: Instant) {
        self.with(|generations| {
            generations.old.remove(user);
            self.put(generations, user.to_vec(), entry, asked);
            self.metrics.set_entries(generations.users());
        });
    }

    pub(super) fn remove(&self, user: &[u8]) {
        self.with(|generations| {
            generations.young.remove(user);
            generations.old.remove(user);
            self.metrics.set_entries(generations.users());
        });
    }

    /// Returns what is still valid, and drops an expired key: none stays in memory for longer.
    fn fresh(&self, entry: &mut CacheEntry, since: Instant) -> CacheLookup {
        if since.elapsed() < self.bounds.age {
            return entry.clone().into();
        }
        if let CacheEntry::Key(_, record) = entry {
            *entry = record.take().map_or(CacheEntry::Absent, CacheEntry::Record);
        }
        CacheLookup::Unknown
    }

    /// True if the entry is valid, or its record may still be needed.
    fn is_needed(&self, entry: &mut CacheEntry, since: Instant) -> bool {
        let is_fresh = !matches!(self.fresh(entry, since), CacheLookup::Unknown);
        let is_record = matches!(entry, CacheEntry::Record(_));
        is_fresh || (is_record && since.elapsed() < self.bounds.age * RECORD_AGE_FACTOR)
    }

    fn put(&self, generations: &mut Generations, user: Vec<u8>, entry: CacheEntry, since: Instant) {
        let age = self.bounds.age;
        if generations
            .pruned
            .is_none_or(|pruned| pruned.elapsed() >= age)
        {
            for entries in [&mut generations.young, &mut generations.old] {
                entries.retain(|_, (entry, since)| self.is_needed(entry, *since));
            }
            generations.pruned = Some(Instant::now());
        }
        if generations.young.len() >= (self.bounds.users / 2).max(1) {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(user, (entry, since));
    }

    fn with<T>(&self, then: impl FnOnce(&mut Generations) -> T) -> T {
        then(&mut lock(&self.generations))
    }
}

impl From<CacheEntry> for CacheLookup {
    fn from(entry: CacheEntry) -> Self {
        match entry {
            CacheEntry::Key(key, _) => Self::Key(key),
            CacheEntry::Absent => Self::Absent,
            CacheEntry::Record(_) => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(users: usize, age: Duration) -> Cache {
        Cache::new(CacheBounds { users, age })
    }

    #[test]
    fn is_bounded_and_keeps_users_that_are_read_all_the_time() {
        let cache = cache(100, Duration::from_secs(60));
        for user in 0..1_000u32 {
            cache.insert(&user.to_be_bytes(), CacheEntry::Absent, Instant::now());
            // A user that is read all the time stays.
            assert!(!matches!(
                cache.get(&0u32.to_be_bytes()),
                CacheLookup::Unknown
            ));
        }
        let generations = cache.generations.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 100);
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_entry_expires_however_often_it_is_read() {
        let cache = cache(100, Duration::from_secs(60));
        cache.insert(b"u", CacheEntry::Absent, Instant::now());
        for _ in 0..59 {
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(matches!(cache.get(b"u"), CacheLookup::Absent));
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(matches!(cache.get(b"u"), CacheLookup::Unknown));
    }
}
