//! Users' keys that a lookup did not find. A value under a key that was destroyed can be requested again
//! and again, and on a lane all clients would wait each time.

use std::hash::{BuildHasher, RandomState};

use waxseal_core::KeyId;
use waxseal_keys::NegativeCache;

/// Keys of users that were looked up a short while ago, and not found.
#[derive(Default)]
pub(crate) struct RejectedKeys {
    hasher: RandomState,
    /// By a hash of the user: names can be long.
    cache: NegativeCache<(u64, KeyId)>,
}

impl RejectedKeys {
    /// True if this key of this user was looked up a short while ago, and not found.
    pub(crate) fn contains(&self, user: &[u8], id: KeyId) -> bool {
        self.cache.contains(&self.entry(user, id))
    }

    /// Records that a lookup has just not found this key.
    pub(crate) fn insert(&self, user: &[u8], id: KeyId) {
        self.cache.insert(self.entry(user, id));
    }

    fn entry(&self, user: &[u8], id: KeyId) -> (u64, KeyId) {
        (self.hasher.hash_one(user), id)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rejected_key_is_one_key_of_one_user_for_a_while() {
        let (rejected, id) = (RejectedKeys::default(), KeyId::from_u32(7));
        rejected.insert(b"u", id);
        assert!(rejected.contains(b"u", id));
        assert!(!rejected.contains(b"v", id) && !rejected.contains(b"u", KeyId::from_u32(8)));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(!rejected.contains(b"u", id));
    }
}
