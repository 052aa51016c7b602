//! The cache of users' keys, bounded in number and age. Two generations: when the younger is half full
//! it becomes the older, and what nobody asked for since goes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use waxseal_core::UserKey;

use super::Cached;

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
    Key(Arc<UserKey>),
    Absent,
}

pub(super) struct Cache {
    bounds: CacheBounds,
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashMap<Vec<u8>, (Kept, Instant)>,
    old: HashMap<Vec<u8>, (Kept, Instant)>,
}

impl Cache {
    pub(super) fn new(bounds: CacheBounds) -> Self {
        Self {
            bounds,
            generations: Mutex::default(),
        }
    }

    pub(super) fn get(&self, user: &[u8]) -> Cached {
        self.with(|generations| {
            if let Some((kept, since)) = generations.young.get(user) {
                return self.fresh(kept, *since);
            }
            let Some((name, (kept, since))) = generations.old.remove_entry(user) else {
                return Cached::Unknown;
            };
            let cached = self.fresh(&kept, since);
            if !matches!(cached, Cached::Unknown) {
                self.insert(generations, name, kept, since);
            }
            cached
        })
    }

    pub(super) fn keep(&self, user: &[u8], kept: Kept) {
        let now = Instant::now();
        self.with(|generations| {
            generations.old.remove(user);
            self.insert(generations, user.to_vec(), kept, now);
        });
    }

    pub(super) fn forget(&self, user: &[u8]) {
        self.with(|generations| {
            generations.young.remove(user);
            generations.old.remove(user);
        });
    }

    fn fresh(&self, kept: &Kept, since: Instant) -> Cached {
        if since.elapsed() < self.bounds.age {
            kept.clone().into()
        } else {
            Cached::Unknown
        }
    }

    fn insert(&self, generations: &mut Generations, user: Vec<u8>, kept: Kept, since: Instant) {
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

impl From<Kept> for Cached {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::Key(key) => Self::Key(key),
            Kept::Absent => Self::Absent,
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
            cache.keep(&user.to_be_bytes(), Kept::Absent);
            // One that is asked for all the time stays.
            assert!(!matches!(cache.get(&0u32.to_be_bytes()), Cached::Unknown));
        }
        let generations = cache.generations.lock().unwrap();
        assert!(generations.young.len() + generations.old.len() <= 100);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_old_is_unknown_however_often_it_is_asked_for() {
        let cache = cache(100, Duration::from_secs(60));
        cache.keep(b"u", Kept::Absent);
        for _ in 0..59 {
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(matches!(cache.get(b"u"), Cached::Absent));
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(matches!(cache.get(b"u"), Cached::Unknown));
    }
}
