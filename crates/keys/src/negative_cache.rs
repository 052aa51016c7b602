//! A cache of what was looked up and not found, so that the same question does not reach a server
//! again and again. Bounded in time and number, because anyone who can write values can invent ids.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::sync::lock;

/// The lifetime of an entry.
const TTL: Duration = Duration::from_secs(10);
/// Further entries are not stored until others expire.
const MAX_ENTRIES: usize = 10_000;

/// Keys that a lookup did not find a short while ago.
#[derive(Debug)]
pub struct NegativeCache<K>(Mutex<HashMap<K, Instant>>);

impl<K> Default for NegativeCache<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> NegativeCache<K> {
    /// True if a lookup of this key failed a short while ago.
    pub fn contains(&self, key: &K) -> bool {
        let since = lock(&self.0).get(key).copied();
        since.is_some_and(|since| since.elapsed() < TTL)
    }

    /// Records that a lookup of this key has just failed.
    pub fn insert(&self, key: K) {
        let mut entries = lock(&self.0);
        if entries.len() >= MAX_ENTRIES {
            entries.retain(|_, since| since.elapsed() < TTL);
        }
        if entries.len() < MAX_ENTRIES {
            entries.insert(key, Instant::now());
        }
    }

    /// Forgets all entries: the source has changed.
    pub fn clear(&self) {
        lock(&self.0).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn entries_expire() {
        let cache = NegativeCache::default();
        cache.insert(7);
        assert!(cache.contains(&7));
        assert!(!cache.contains(&8));
        tokio::time::advance(TTL).await;
        assert!(!cache.contains(&7));
    }

    #[tokio::test(start_paused = true)]
    async fn entries_are_bounded_and_expired_ones_make_room() {
        let cache = NegativeCache::default();
        for key in 0..=MAX_ENTRIES {
            cache.insert(key);
        }
        assert!(!cache.contains(&MAX_ENTRIES));
        tokio::time::advance(TTL).await;
        cache.insert(7);
        assert!(cache.contains(&7));
        assert_eq!(lock(&cache.0).len(), 1);
    }
}
