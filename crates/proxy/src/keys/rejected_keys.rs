//! Users' keys that were looked for in vain. A value under a key that was destroyed can be asked for
//! again and again, and on a lane everybody would wait each time.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use waxseal_core::KeyId;

/// How long a key that was not found is not looked for again.
const REST: Duration = Duration::from_secs(10);
/// Keys that are remembered, at most.
const MOST: usize = 10_000;

/// Keys of users that were looked for in vain a short while ago.
#[derive(Default)]
pub(crate) struct NegativeCache {
    hasher: RandomState,
    /// By a hash of the user: names can be long.
    since: Mutex<HashMap<(u64, KeyId), Instant>>,
}

impl NegativeCache {
    /// Whether this key of this user was looked for a short while ago, and not found.
    pub(crate) fn holds(&self, user: &[u8], id: KeyId) -> bool {
        let since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        let since = since.get(&self.name(user, id)).copied();
        since.is_some_and(|since| since.elapsed() < REST)
    }

    /// It was looked for just now, and not found.
    pub(crate) fn note(&self, user: &[u8], id: KeyId) {
        let name = self.name(user, id);
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if since.len() >= MOST {
            since.retain(|_, since| since.elapsed() < REST);
        }
        if since.len() < MOST {
            since.insert(name, Instant::now());
        }
    }

    fn name(&self, user: &[u8], id: KeyId) -> (u64, KeyId) {
        (self.hasher.hash_one(user), id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_looked_for_in_vain_is_looked_for_again_after_a_while() {
        let (rejected_keys, id) = (NegativeCache::default(), KeyId::from_u32(7));
        rejected_keys.note(b"u", id);
        assert!(rejected_keys.holds(b"u", id));
        assert!(!rejected_keys.holds(b"v", id) && !rejected_keys.holds(b"u", KeyId::from_u32(8)));
        tokio::time::advance(REST).await;
        assert!(!rejected_keys.holds(b"u", id));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_remembered_than_there_is_room_for() {
        let (rejected_keys, id) = (NegativeCache::default(), KeyId::from_u32(7));
        for user in 0..=MOST {
            rejected_keys.note(&user.to_be_bytes(), id);
        }
        assert!(!rejected_keys.holds(&MOST.to_be_bytes(), id));
        tokio::time::advance(REST).await;
        rejected_keys.note(b"u", id);
        assert!(rejected_keys.holds(b"u", id));
        assert_eq!(rejected_keys.since.lock().unwrap().len(), 1);
    }
}
