//! Keys of single users: each has a random data key, sealed under the ring, in a record of its own. The
//! ledger of the ring says who was erased; it wins over whatever a store brings back.
//!
//! Where the records are kept is not known here ([`UserKeyStore`]).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::time::Instant;
use waxseal_core::{Binding, Form, Format, KeyId, Mode, OpenError, Sealer, SecretKey, UserKey};

use crate::live::LiveRing;
use crate::ring::Ring;

mod cache;
mod mark;
mod memory;
mod record;
mod store;

pub use cache::CacheBounds;
pub use mark::UserStoreMark;
pub use memory::MemoryUserKeys;
pub use store::{UserChange, UserKeyError, UserKeyStore};

use cache::{Cache, Kept};
use record::UserRecord;

/// What the records of users' keys begin with.
pub(crate) const PREFIX: &str = "waxseal:user:";
/// How often a key is made that others make at the same time.
const ATTEMPTS: usize = 8;

/// What is known about a user's key without asking.
#[derive(Clone)]
pub enum CacheLookup {
    /// The key, or the knowledge that it was destroyed.
    Key(Arc<UserKey>),
    /// There was none a short while ago.
    Absent,
    /// It must be asked.
    Unknown,
}

/// The state of a user's key in its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoredUserKey {
    /// Nothing.
    Absent,
    /// A key that opens values.
    Live,
    /// The mark that there was one, or one that the ledger voids.
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
    /// Whether this process has seen the mark of the store.
    has_seen_mark: AtomicBool,
    /// Whether this process was told that the store is the right one, though it bears no mark.
    is_accepted: AtomicBool,
}

/// A user's record as it was read.
struct Read {
    name: String,
    /// The user's keyed hash.
    user: String,
    stored: Option<Vec<u8>>,
    record: Option<UserRecord>,
}

impl UserKeys {
    /// The keys that lie in this store, sealed under this ring.
    #[must_use]
    pub fn new(store: Arc<dyn UserKeyStore>, ring: LiveRing, bounds: CacheBounds) -> Self {
        let sealer = Sealer::new(ring.keyring(), Mode::Required, Format::Sealed);
        Self(Arc::new(Inner {
            store,
            sealer,
            cache: Cache::new(bounds),
            has_seen_mark: AtomicBool::new(false),
            is_accepted: AtomicBool::new(false),
            ring,
        }))
    }

    /// The ring that seals them.
    #[must_use]
    pub fn ring(&self) -> &LiveRing {
        &self.0.ring
    }

    /// Where they are kept.
    #[must_use]
    pub fn location(&self) -> String {
        self.0.store.location()
    }

    /// What is known about a user's key without asking. A key that was asked for longer ago than the
    /// cache keeps is unknown: so long an erased user stays readable.
    #[must_use]
    pub fn cached(&self, user: &[u8]) -> CacheLookup {
        self.0.cache.get(user)
    }

    /// The keys of some users, in their order: one round trip for all that are not cached. `None` for
    /// who has none. Makes nothing.
    pub async fn read(&self, users: &[&[u8]]) -> Result<Vec<Option<Arc<UserKey>>>, UserKeyError> {
        let mut found = Vec::with_capacity(users.len());
        let mut asked = Vec::new();
        for (index, user) in users.iter().enumerate() {
            found.push(match self.cached(user) {
                CacheLookup::Key(key) => Some(key),
                CacheLookup::Absent => None,
                CacheLookup::Unknown => {
                    asked.push(index);
                    None
                }
            });
        }
        self.fill(users, &asked, &mut found).await?;
        Ok(found)
    }

    /// The same past the cache: where a value names another key of the user than the one at hand.
    pub async fn reread(&self, users: &[&[u8]]) -> Result<Vec<Option<Arc<UserKey>>>, UserKeyError> {
        let mut found = vec![None; users.len()];
        let all: Vec<usize> = (0..users.len()).collect();
        self.fill(users, &all, &mut found).await?;
        Ok(found)
    }

    /// The live keys of some users, in their order. Makes those that are missing, and new ones for
    /// users who were erased and come back.
    ///
    /// [`UserKeyError::Lost`] where the store bears no mark of the ring and nobody has judged it
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
        for _ in 0..ATTEMPTS {
            let without = users.iter().zip(&found).filter(|(_, key)| key.is_none());
            let missing: BTreeSet<&[u8]> = without.map(|(user, _)| *user).collect();
            if missing.is_empty() {
                return Ok(found.into_iter().flatten().collect());
            }
            let missing: Vec<&[u8]> = missing.into_iter().collect();
            let made = self.make(&missing).await?;
            for (user, key) in users.iter().zip(&mut found) {
                if key.is_none() {
                    *key = made.get(*user).cloned();
                }
            }
        }
        Err(UserKeyError::Contended)
    }

    /// Reads the state of a user's key past the cache. Makes nothing.
    pub async fn stored_key(&self, user: &[u8]) -> Result<StoredUserKey, UserKeyError> {
        let ring = self.0.ring.ring();
        let hash = ring.user(user);
        let name = name(&hash);
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

    /// Destroys the key of a user: in its store stays a mark that there was one, so that who does not
    /// know the ledger's newest entry makes a key that is not void. Called after the ledger was
    /// written, and again where that was cut off. Whether the user had a key, be it destroyed by now or
    /// by an earlier call.
    pub async fn destroy(&self, user: &[u8]) -> Result<bool, UserKeyError> {
        if !self.0.ring.is_confirmed() {
            self.0.ring.confirm().await?;
        }
        for _ in 0..ATTEMPTS {
            let ring = self.0.ring.ring();
            let hash = ring.user(user);
            let name = name(&hash);
            let stored = self.0.store.read(std::slice::from_ref(&name)).await?;
            let expected = stored.into_iter().next().flatten();
            let (had_key, before) = match &expected {
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
                epoch: epoch.max(before),
                had_key,
            };
            let new = self.0.seal(&name, &mark)?;
            let change = UserChange {
                name,
                expected,
                new,
            };
            self.0.cache.forget(user);
            if self.0.store.replace(&[change]).await?.first() == Some(&true) {
                return Ok(had_key);
            }
        }
        Err(UserKeyError::Contended)
    }

    /// Opens about so many of the records, whoever they belong to, and tells for each why it did not:
    /// whether the store is that of this ring.
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
        name(&self.0.ring.ring().user(user))
    }

    async fn fill(
        &self,
        users: &[&[u8]],
        asked: &[usize],
        found: &mut [Option<Arc<UserKey>>],
    ) -> Result<(), UserKeyError> {
        if asked.is_empty() {
            return Ok(());
        }
        let ring = self.0.ring.ring();
        let of = |index: &usize| users.get(*index).copied().unwrap_or_default();
        let names: Vec<&[u8]> = asked.iter().map(of).collect();
        let began = Instant::now();
        for (index, read) in asked.iter().zip(self.0.read(&ring, &names).await?) {
            let key = read.key(&ring)?;
            self.0
                .cache
                .keep(of(index), kept(key.as_ref(), read.stored), began);
            if let Some(slot) = found.get_mut(*index) {
                *slot = key;
            }
        }
        Ok(())
    }

    /// One attempt at making keys for these users. Those whose record others changed meanwhile are not
    /// in the answer.
    async fn make<'u>(
        &self,
        users: &[&'u [u8]],
    ) -> Result<HashMap<&'u [u8], Arc<UserKey>>, UserKeyError> {
        if !self.0.ring.is_confirmed() {
            // What is sealed under a key that was destroyed meanwhile could never be opened.
            self.0.ring.confirm().await?;
        }
        let ring = self.0.ring.ring();
        let began = Instant::now();
        let mut live = HashMap::with_capacity(users.len());
        let mut changes = Vec::new();
        let mut made = Vec::new();
        let (read, mark) = self.0.read_marked(&ring, users).await?;
        for (user, read) in users.iter().zip(read) {
            if let Some(key) = read.key(&ring)?.filter(|key| key.id().is_some()) {
                let record = kept(Some(&key), read.stored);
                self.0.cache.keep(user, record, began);
                live.insert(*user, key);
                continue;
            }
            let record = UserRecord::Live {
                made: self.0.ring.now_ms(),
                epoch: read.next_epoch(&ring),
                id: KeyId::random(),
                key: SecretKey::generate().map_err(making)?,
            };
            changes.push(UserChange {
                new: self.0.seal(&read.name, &record)?,
                name: read.name,
                expected: read.stored,
            });
            let erased_at = ring.erasure(&read.user).map(|erasure| erasure.at);
            made.push((*user, key_of(&record, erased_at)?));
        }
        if changes.is_empty() {
            return Ok(live);
        }
        changes.extend(self.0.missing_mark(&ring, mark)?);
        let done = self.0.store.replace(&changes).await?;
        for (((user, key), change), done) in made.into_iter().zip(changes).zip(done) {
            if done {
                let record = kept(Some(&key), Some(change.new));
                self.0.cache.keep(user, record, began);
                live.insert(user, key);
            }
        }
        Ok(live)
    }
}

impl Inner {
    async fn read(&self, ring: &Ring, users: &[&[u8]]) -> Result<Vec<Read>, UserKeyError> {
        let hashes: Vec<String> = users.iter().map(|user| ring.user(user)).collect();
        let names: Vec<String> = hashes.iter().map(|user| name(user)).collect();
        let stored = self.store.read(&names).await?;
        self.opened(ring, users, (hashes, names, stored)).await
    }

    /// The same, with the mark of the store as it was at that moment: in one round trip.
    async fn read_marked(
        &self,
        ring: &Ring,
        users: &[&[u8]],
    ) -> Result<(Vec<Read>, Option<Vec<u8>>), UserKeyError> {
        let hashes: Vec<String> = users.iter().map(|user| ring.user(user)).collect();
        let mut names: Vec<String> = hashes.iter().map(|user| name(user)).collect();
        names.push(mark::name(ring));
        let mut stored = self.store.read(&names).await?;
        let mark = stored.pop().flatten();
        names.pop();
        let read = self.opened(ring, users, (hashes, names, stored)).await?;
        Ok((read, mark))
    }

    /// The records of these users, opened.
    async fn opened(
        &self,
        ring: &Ring,
        users: &[&[u8]],
        (hashes, names, stored): (Vec<String>, Vec<String>, Vec<Option<Vec<u8>>>),
    ) -> Result<Vec<Read>, UserKeyError> {
        let mut read = Vec::with_capacity(users.len());
        for ((name, user), stored) in names.into_iter().zip(hashes).zip(stored) {
            let record = match &stored {
                Some(stored) => Some(self.open(&name, &user, stored).await?),
                None => None,
            };
            read.push(Read {
                name,
                user,
                stored,
                record,
            });
        }
        self.put_back(ring, users, &mut read).await?;
        Ok(read)
    }

    /// Puts records back that this process has read and that their store has lost. What the ledger
    /// says of a user goes before.
    async fn put_back(
        &self,
        ring: &Ring,
        users: &[&[u8]],
        read: &mut [Read],
    ) -> Result<(), UserKeyError> {
        let mut changes = Vec::new();
        let mut lost = Vec::new();
        for (index, (user, read)) in users.iter().zip(read.iter()).enumerate() {
            let Some(stored) = self.cache.record(user).filter(|_| read.stored.is_none()) else {
                continue;
            };
            let Ok(record) = self.open(&read.name, &read.user, &stored).await else {
                continue;
            };
            let erased = ring.erasure(&read.user).map_or(0, |erasure| erasure.epoch);
            if record.epoch() >= erased {
                changes.push(UserChange {
                    name: read.name.clone(),
                    expected: None,
                    new: stored.to_vec(),
                });
                lost.push((index, stored.to_vec(), record));
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let done = self.store.replace(&changes).await?;
        tracing::error!(
            "{} keys of users were lost at {} AND PUT BACK; find out who removed them",
            done.iter().filter(|done| **done).count(),
            self.store.location()
        );
        for ((index, stored, record), done) in lost.into_iter().zip(done) {
            if let Some(read) = read.get_mut(index).filter(|_| done) {
                read.stored = Some(stored);
                read.record = Some(record);
            }
        }
        Ok(())
    }

    async fn open(
        &self,
        name: &str,
        user: &str,
        stored: &[u8],
    ) -> Result<UserRecord, UserKeyError> {
        let binding = Binding::record(name.as_bytes());
        let mut opened = self.sealer.open(stored, binding);
        if let Err(OpenError::UnknownKey { id }) = opened
            && self.ring.learn(id).await
        {
            opened = self.sealer.open(stored, binding);
        }
        let shown = || user.chars().take(8).collect::<String>();
        let opened = opened.map_err(|error| UserKeyError::Record {
            user: shown(),
            error,
        })?;
        let record = opened
            .filter(|opened| opened.form != Form::Plain)
            .and_then(|opened| {
                UserRecord::parse(&zeroize::Zeroizing::new(opened.value.into_owned()))
            });
        record.ok_or_else(|| UserKeyError::Form { user: shown() })
    }

    fn seal(&self, name: &str, record: &UserRecord) -> Result<Vec<u8>, UserKeyError> {
        self.sealer
            .seal(&record.to_bytes(), Binding::record(name.as_bytes()))
            .map_err(|error| UserKeyError::Making(error.to_string()))
    }
}

impl Read {
    /// The key in the record, as the ledger allows it.
    fn key(&self, ring: &Ring) -> Result<Option<Arc<UserKey>>, UserKeyError> {
        let erasure = ring.erasure(&self.user);
        match (&self.record, erasure) {
            (Some(record), Some(erasure)) if record.epoch() < erasure.epoch => {
                Ok(Some(Arc::new(UserKey::erased(erasure.at))))
            }
            (None, Some(erasure)) => Ok(Some(Arc::new(UserKey::erased(erasure.at)))),
            (Some(record), erasure) => {
                let at = erasure.map(|erasure| erasure.at);
                key_of(record, at).map(Some)
            }
            (None, None) => Ok(None),
        }
    }

    /// The number that a new key must have so that no erasure so far concerns it.
    fn next_epoch(&self, ring: &Ring) -> u32 {
        let ledger = ring.erasure(&self.user).map_or(0, |erasure| erasure.epoch);
        let record = self.record.as_ref().map_or(0, UserRecord::epoch);
        ledger.max(record)
    }
}

/// What is kept of a key and the record that it was in.
fn kept(key: Option<&Arc<UserKey>>, record: Option<Vec<u8>>) -> Kept {
    let Some(key) = key else {
        return Kept::Absent;
    };
    let record = record.filter(|_| key.id().is_some());
    Kept::Key(key.clone(), record.map(Arc::from))
}

fn key_of(record: &UserRecord, erased_at: Option<u64>) -> Result<Arc<UserKey>, UserKeyError> {
    Ok(Arc::new(match record {
        UserRecord::Live { id, key, .. } => {
            let key = UserKey::live(*id, key).map_err(making)?;
            match erased_at {
                Some(at) => key.after_erasure(at),
                None => key,
            }
        }
        UserRecord::Erased { at, .. } => UserKey::erased(*at),
    }))
}

fn name(user: &str) -> String {
    format!("{PREFIX}{user}")
}

fn making(error: waxseal_core::KeyError) -> UserKeyError {
    UserKeyError::Making(error.to_string())
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
