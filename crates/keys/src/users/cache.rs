//! The cache of users' keys, bounded in number and age. Two generations: when the younger is half full
//! it becomes the older, and what nobody asked for since goes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use waxseal_core::UserKey;
use waxseal_metrics::CacheMetrics;

use super::CacheLookup;

/// How many times as long as a key its record is kept, sealed as it is.
const RECORDS: u32 = 60;

/// The bounds of a cache of users' keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheBounds {
    /// At most so many users.
    pub users: usize,
    /// A key is asked for again after so long: the bound on how long an erased user stays readable.
    pub age: Duration,
}

/// What is kept about a user.
#[derive(Clone)]
pub(super) enum Kept {
    /// The key, and for a live one its record as it was read.
    Key(Arc<UserKey>, Option<Arc<[u8]>>),
    /// There was none.
    Absent,
    /// Of a key that was asked for too long ago: its record, should its store lose it.
    Record(Arc<[u8]>),
}

type Entries = HashMap<Vec<u8>, (Kept, Instant)>;

pub(super) struct Cache {
    bounds: CacheBounds,
    generations: Mutex<Generations>,
    counted: CacheMetrics,
}

#[derive(Default)]
struct Generations {
    young: Entries,
    old: Entries,
    /// When what was too old was taken out last.
    swept: Option<Instant>,
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
            counted: CacheMetrics::new(),
        }
    }

    pub(super) fn get(&self, user: &[u8]) -> CacheLookup {
        let cached = self.find(user);
        self.counted
            .record_lookup(!matches!(cached, CacheLookup::Unknown));
        cached
    }

    fn find(&self, user: &[u8]) -> CacheLookup {
        self.with(|generations| {
            if let Some((kept, since)) = generations.young.get_mut(user) {
                return self.fresh(kept, *since);
            }
            let Some((name, (mut kept, since))) = generations.old.remove_entry(user) else {
                return CacheLookup::Unknown;
            };
            let cached = self.fresh(&mut kept, since);
            self.insert(generations, name, kept, since);
            cached
        })
    }

    /// The record of a user's live key, as it was read a while ago.
    pub(super) fn record(&self, user: &[u8]) -> Option<Arc<[u8]>> {
        self.with(|generations| {
            let kept = generations.young.get(user);
            match &kept.or_else(|| generations.old.get(user))?.0 {
                Kept::Key(_, record) => record.clone(),
                Kept::Record(record) => Some(record.clone()),
                Kept::Absent => None,
            }
        })
    }

    /// Keeps what was asked for at this moment.
    pub(super) fn keep(&self, user: &[u8], kept: Kept, asked: Instant) {
        self.with(|generations| {
            generations.old.remove(user);
            self.insert(generations, user.to_vec(), kept, asked);
            self.counted.set_entries(generations.users());
        });
    }

    pub(super) fn forget(&self, user: &[u8]) {
        self.with(|generations| {
            generations.young.remove(user);
            generations.old.remove(user);
            self.counted.set_entries(generations.users());
        });
    }

    /// What may still be used. A key that may not is dropped: none stays in memory for longer.
    fn fresh(&self, kept: &mut Kept, since: Instant) -> CacheLookup {
        if since.elapsed() < self.bounds.age {
            return kept.clone().into();
        }
        if let Kept::Key(_, record) = kept {
            *kept = record.take().map_or(Kept::Absent, Kept::Record);
        }
        CacheLookup::Unknown
    }

    /// Whether it is of any use.
    fn is_useful(&self, kept: &mut Kept, since: Instant) -> bool {
        let is_fresh = !matches!(self.fresh(kept, since), CacheLookup::Unknown);
        let is_record = matches!(kept, Kept::Record(_));
        is_fresh || (is_record && since.elapsed() < self.bounds.age * RECORDS)
    }

    fn insert(&self, generations: &mut Generations, user: Vec<u8>, kept: Kept, since: Instant) {
        let age = self.bounds.age;
        if generations.swept.is_none_or(|swept| swept.elapsed() >= age) {
            for entries in [&mut generations.young, &mut generations.old] {
                entries.retain(|_, (kept, since)| self.is_useful(kept, *since));
            }
            generations.swept = Some(Instant::now());
        }
        if generations.young.len() >= (self.bounds.users / 2).max(1) {
            generations.old = std::mem::take(&mut generations.young);
        }
        generations.young.insert(user, (kept, since));
    }

    fn with<T>(&self, then: impl FnOnce(&mut Generations) -> T) -> T {
        let mut generations = self
            .generations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        then(&mut generations)
    }
}

impl From<Kept> for CacheLookup {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Key(key, _) => Self::Key(key),
            Kept::Absent => Self::Absent,
            Kept::Record(_) => Self::Unknown,
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
    fn holds_at_most_so_many_users_and_those_that_were_asked_for_longest() {
        let cache = cache(100, Duration::from_secs(60));
        for user in 0..1_000u32 {
            cache.keep(&user.to_be_bytes(), Kept::Absent, Instant::now());
            // One that is asked for all the time stays.
            assert!(!matches!(
                cache.get(&0u32.to_be_bytes()),
                CacheLookup::Unknown
            ));
        }
        let generations = cache.generations.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 100);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_old_is_unknown_however_often_it_is_asked_for() {
        let cache = cache(100, Duration::from_secs(60));
        cache.keep(b"u", Kept::Absent, Instant::now());
        for _ in 0..59 {
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(matches!(cache.get(b"u"), CacheLookup::Absent));
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(matches!(cache.get(b"u"), CacheLookup::Unknown));
    }
}
