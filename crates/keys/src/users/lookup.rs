//! Lookups of many users' keys at once: in batches, so that one damaged record does not keep the keys of
//! other users from being found.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::time::Instant;
use waxseal_core::UserKey;

use super::cache::{CacheEntry, CacheLookup};
use super::{UserKeyError, UserKeys};

/// The largest number of users in one request to the store.
const MAX_BATCH: usize = 1000;

/// The required freshness of a user's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freshness {
    /// As the cache knows it, or as it is if the cache does not.
    Cached,
    /// As it is now, whatever the cache knows.
    Current,
    /// A live key: created if there is none.
    Live,
}

/// The result of one batch of a lookup.
pub struct UserKeyBatch<'a, 'u> {
    /// The users of the batch.
    pub users: &'a [&'u [u8]],
    /// Their keys, in their order (`None` for a user without one), or why the batch failed. An error
    /// that concerns a single user comes with that user alone.
    pub keys: Result<Vec<Option<Arc<UserKey>>>, UserKeyError>,
}

impl UserKeys {
    /// Returns the keys of some users, in their order: one round trip for all that are not cached. `None`
    /// for users without one. Creates nothing.
    pub async fn read(&self, users: &[&[u8]]) -> Result<Vec<Option<Arc<UserKey>>>, UserKeyError> {
        let mut found = Vec::with_capacity(users.len());
        let mut unknown = Vec::new();
        for (index, user) in users.iter().enumerate() {
            found.push(match self.cached(user) {
                CacheLookup::Key(key) => Some(key),
                CacheLookup::Absent => None,
                CacheLookup::Unknown => {
                    unknown.push(index);
                    None
                }
            });
        }
        self.fill(users, &unknown, &mut found).await?;
        Ok(found)
    }

    /// Reads like [`read`](Self::read), bypassing the cache: for a value that names another key of the
    /// user than the cached one.
    pub async fn reread(&self, users: &[&[u8]]) -> Result<Vec<Option<Arc<UserKey>>>, UserKeyError> {
        let mut found = vec![None; users.len()];
        let all: Vec<usize> = (0..users.len()).collect();
        self.fill(users, &all, &mut found).await?;
        Ok(found)
    }

    /// Looks up the keys of any number of users, and passes on the result of each batch as soon as it is
    /// there. A batch that fails because of a single user is split until that user is alone, so that the
    /// others get their keys. `on_batch` may end the lookup.
    pub async fn look_up<'u>(
        &self,
        users: &[&'u [u8]],
        freshness: Freshness,
        mut on_batch: impl FnMut(UserKeyBatch<'_, 'u>) -> ControlFlow<()>,
    ) {
        let mut batches: Vec<_> = users.chunks(MAX_BATCH).collect();
        while let Some(users) = batches.pop() {
            let keys = match self.look_up_batch(users, freshness).await {
                Err(error) if users.len() > 1 && error.is_about_single_user() => {
                    let (first, second) = users.split_at(users.len() / 2);
                    batches.extend([first, second]);
                    continue;
                }
                keys => keys,
            };
            if on_batch(UserKeyBatch { users, keys }).is_break() {
                return;
            }
        }
    }

    async fn look_up_batch(
        &self,
        users: &[&[u8]],
        freshness: Freshness,
    ) -> Result<Vec<Option<Arc<UserKey>>>, UserKeyError> {
        match freshness {
            Freshness::Cached => self.read(users).await,
            Freshness::Current => self.reread(users).await,
            Freshness::Live => {
                let live = self.read_or_create(users).await?;
                Ok(live.into_iter().map(Some).collect())
            }
        }
    }

    /// Reads the keys of the users at these indices.
    async fn fill(
        &self,
        users: &[&[u8]],
        indices: &[usize],
        found: &mut [Option<Arc<UserKey>>],
    ) -> Result<(), UserKeyError> {
        if indices.is_empty() {
            return Ok(());
        }
        let ring = self.0.ring.ring();
        let user_at = |index: &usize| users.get(*index).copied().unwrap_or_default();
        let names: Vec<&[u8]> = indices.iter().map(user_at).collect();
        let asked = Instant::now();
        for (index, loaded) in indices.iter().zip(self.0.read(&ring, &names).await?) {
            let key = loaded.key(&ring)?;
            let entry = CacheEntry::new(key.as_ref(), loaded.stored);
            self.0.cache.insert(user_at(index), entry, asked);
            if let Some(slot) = found.get_mut(*index) {
                *slot = key;
            }
        }
        Ok(())
    }
}
