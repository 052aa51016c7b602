//! Keys of single users: each user has a random data key, sealed under the ring, in a record of its own.
//! The ledger of the ring says who was erased; it overrides whatever a store brings back.
//!
//! Where the records are stored is not known here ([`UserKeyStore`]).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::time::Instant;
use waxseal_core::{EnvelopeRules, Format, KeyId, Mode, OpenError, Sealer, SecretKey, UserKey};

use crate::live::LiveRing;

mod cache;
mod lookup;
mod mark;
mod memory;
mod record;
mod records;
mod store;

pub use cache::{CacheBounds, CacheLookup};
pub use lookup::{Freshness, UserKeyBatch};
pub use mark::UserStoreMark;
pub use memory::MemoryUserKeys;
pub use store::{UserChange, UserKeyError, UserKeyStore};

use cache::{Cache, CacheEntry};
use record::UserRecord;
use records::{record_name, user_key};

/// The prefix of the records that hold users' keys.
pub(crate) const PREFIX: &str = "waxseal:user:";
/// The number of attempts at a change while others change the same record.
const MAX_ATTEMPTS: usize = 8;

/// The state of a user's key in its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredUserKey {
    /// There is no record.
    Absent,
    /// There is a key that opens values.
    Live,
    /// There is the mark of a destroyed key, or a key that the ledger voids.
    Destroyed,
}

/// The keys of single users, with a cache. Cheap to clone.
#[derive(Clone)]
pub struct UserKeys(Arc<Inner>);

struct Inner {
    store: Arc<dyn UserKeyStore>,
    ring: LiveRing,
    sealer: Sealer,
    cache: Cache,
    /// This process has seen the mark of the store.
    has_seen_mark: AtomicBool,
    /// The caller has accepted the store although it has no mark.
    is_accepted: AtomicBool,
}

impl UserKeys {
    /// The keys in this store, sealed under this ring.
    #[must_use]
    pub fn new(store: Arc<dyn UserKeyStore>, ring: LiveRing, bounds: CacheBounds) -> Self {
        // Whatever versions values may be in: the keys of users must open in all.
        // In version 2 whatever the ring says: former versions of Waxseal read them.
        let sealer = Sealer::new(ring.keyring(), Mode::Required, Format::Sealed)
            .rules(EnvelopeRules::default())
            .accepting_all();
        Self(Arc::new(Inner {
            store,
            sealer,
            cache: Cache::new(bounds),
            has_seen_mark: AtomicBool::new(false),
            is_accepted: AtomicBool::new(false),
            ring,
        }))
    }

    /// The ring that seals the keys.
    #[must_use]
    pub fn ring(&self) -> &LiveRing {
        &self.0.ring
    }

    /// The location of the store, without credentials.
    #[must_use]
    pub fn location(&self) -> String {
        self.0.store.location()
    }

    /// Returns what the cache knows about a user's key. Entries older than the cache's bound are unknown:
    /// for so long an erased user stays readable.
    #[must_use]
    pub fn cached(&self, user: &[u8]) -> CacheLookup {
        self.0.cache.get(user)
    }

    /// Returns the live keys of some users, in their order. Creates those that are missing, and new ones
    /// for users who were erased and come back.
    ///
    /// The error is [`UserKeyError::Lost`] if the store has no mark of the ring and was not accepted
    /// ([`Self::accept_store`]).
    pub async fn read_or_create(&self, users: &[&[u8]]) -> Result<Vec<Arc<UserKey>>, UserKeyError> {
        let is_live = |key: &Arc<UserKey>| key.id().is_some();
        let mut found: Vec<_> = users
            .iter()
            .map(|user| match self.cached(user) {
                CacheLookup::Key(key) => Some(key).filter(is_live),
                CacheLookup::Absent | CacheLookup::Unknown => None,
            })
            .collect();
        for _ in 0..MAX_ATTEMPTS {
            let without = users.iter().zip(&found).filter(|(_, key)| key.is_none());
            let missing: BTreeSet<&[u8]> = without.map(|(user, _)| *user).collect();
            if missing.is_empty() {
                return Ok(found.into_iter().flatten().collect());
            }
            let missing: Vec<&[u8]> = missing.into_iter().collect();
            let created = self.try_create(&missing).await?;
            for (user, key) in users.iter().zip(&mut found) {
                if key.is_none() {
                    *key = created.get(*user).cloned();
                }
            }
        }
        Err(UserKeyError::Contended)
    }

    /// Reads the state of a user's key, bypassing the cache. Creates nothing.
    pub async fn stored_key(&self, user: &[u8]) -> Result<StoredUserKey, UserKeyError> {
        let ring = self.0.ring.ring();
        let hash = ring.user(user);
        let name = record_name(&hash);
        let stored = self.0.store.read(std::slice::from_ref(&name)).await?;
        let Some(stored) = stored.into_iter().next().flatten() else {
            return Ok(StoredUserKey::Absent);
        };
        let erased = ring.erasure(&hash).map_or(0, |erasure| erasure.epoch);
        Ok(match self.0.open(&name, &hash, &stored).await {
            Ok(UserRecord::Live { epoch, .. }) if epoch >= erased => StoredUserKey::Live,
            Ok(_) => StoredUserKey::Destroyed,
            // It may open elsewhere.
            Err(_) => StoredUserKey::Live,
        })
    }

    /// Destroys the key of a user, leaving a mark in its place: a process that does not know the ledger's
    /// newest entry yet then creates a key that is not void. Called after the ledger was written, and
    /// again if that was interrupted. Returns true if the user had a key, even one that an earlier call
    /// destroyed.
    pub async fn destroy(&self, user: &[u8]) -> Result<bool, UserKeyError> {
        self.confirm_ring().await?;
        for _ in 0..MAX_ATTEMPTS {
            let ring = self.0.ring.ring();
            let hash = ring.user(user);
            let name = record_name(&hash);
            let stored = self.0.store.read(std::slice::from_ref(&name)).await?;
            let expected = stored.into_iter().next().flatten();
            let (had_key, previous_epoch) = match &expected {
                Some(stored) => match self.0.open(&name, &hash, stored).await {
                    Ok(UserRecord::Erased { had_key, epoch, .. }) => (had_key, epoch),
                    Ok(UserRecord::Live { epoch, .. }) => (true, epoch),
                    // One that does not open here is destroyed as well: it may open elsewhere.
                    Err(_) => (true, 0),
                },
                None => (false, 0),
            };
            let erasure = ring.erasure(&hash);
            let (at, epoch) = erasure.map_or((self.0.ring.now_ms(), 1), |it| (it.at, it.epoch));
            let mark = UserRecord::Erased {
                at,
                epoch: epoch.max(previous_epoch),
                had_key,
            };
            let new = self.0.seal(&name, &mark)?;
            let change = UserChange {
                name,
                expected,
                new,
            };
            self.0.cache.remove(user);
            if self.0.store.replace(&[change]).await?.first() == Some(&true) {
                return Ok(had_key);
            }
        }
        Err(UserKeyError::Contended)
    }

    /// Opens about `count` of the records, of any users, and returns the result of each: they open if the
    /// store is that of this ring.
    pub async fn sample(&self, count: usize) -> Result<Vec<Result<(), OpenError>>, UserKeyError> {
        let mut opened = Vec::new();
        for (name, stored) in self.0.store.sample(count).await? {
            let user = name.strip_prefix(PREFIX).unwrap_or_default();
            opened.push(match self.0.open(&name, user, &stored).await {
                Ok(_) => Ok(()),
                Err(UserKeyError::Record { error, .. }) => Err(error),
                Err(_) => Err(OpenError::Refused),
            });
        }
        Ok(opened)
    }

    /// The name of the record that holds a user's key.
    #[must_use]
    pub fn record_name(&self, user: &[u8]) -> String {
        record_name(&self.0.ring.ring().user(user))
    }

    /// Confirms the ring before something is sealed under it: under a key that was destroyed in the
    /// meantime it could never be opened.
    async fn confirm_ring(&self) -> Result<(), UserKeyError> {
        if !self.0.ring.is_confirmed() {
            self.0.ring.confirm().await?;
        }
        Ok(())
    }

    /// One attempt to create keys for these users. Users whose record others changed in the meantime are
    /// not in the result.
    async fn try_create<'u>(
        &self,
        users: &[&'u [u8]],
    ) -> Result<HashMap<&'u [u8], Arc<UserKey>>, UserKeyError> {
        self.confirm_ring().await?;
        let ring = self.0.ring.ring();
        let asked = Instant::now();
        let mut live = HashMap::with_capacity(users.len());
        let mut changes = Vec::new();
        let mut created = Vec::new();
        let (records, mark) = self.0.read_with_mark(&ring, users).await?;
        for (user, loaded) in users.iter().zip(records) {
            if let Some(key) = loaded.key(&ring)?.filter(|key| key.id().is_some()) {
                let entry = CacheEntry::new(Some(&key), loaded.stored);
                self.0.cache.insert(user, entry, asked);
                live.insert(*user, key);
                continue;
            }
            let record = UserRecord::Live {
                created: self.0.ring.now_ms(),
                epoch: loaded.next_epoch(&ring),
                id: KeyId::random(),
                key: SecretKey::generate().map_err(UserKeyError::from_key_error)?,
            };
            changes.push(UserChange {
                new: self.0.seal(&loaded.name, &record)?,
                name: loaded.name,
                expected: loaded.stored,
            });
            let erased_at = ring.erasure(&loaded.user).map(|erasure| erasure.at);
            created.push((*user, user_key(&record, erased_at)?));
        }
        if changes.is_empty() {
            return Ok(live);
        }
        changes.extend(self.0.missing_mark(&ring, mark)?);
        let replaced = self.0.store.replace(&changes).await?;
        for (((user, key), change), is_replaced) in created.into_iter().zip(changes).zip(replaced) {
            if is_replaced {
                let entry = CacheEntry::new(Some(&key), Some(change.new));
                self.0.cache.insert(user, entry, asked);
                live.insert(user, key);
            }
        }
        Ok(live)
    }
}
