//! A ring: a document whose keys were unwrapped and whose authentication code is correct. A change
//! returns a new ring with the next version. Where documents are stored is not known here.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use waxseal_core::{
    DataKey, KeyId, KeyRole, KeyedHash, Keyring, KeyringError, NameMask, SecretKey, SigningKey, hex,
};
use zeroize::Zeroizing;

use crate::bytes::Bytes;
use crate::custodian::{Context, Custodian, Custodians, UnwrapSource, sanitize_for_terminal};
use crate::error::{DocumentError, RingError};
use crate::keyring_document::{Entry, Erasure, FORMAT, KeyringDocument, ProtectedScope};
use crate::settings::Settings;
use crate::state::KeyState;

mod change;
mod check_value;
mod times;
mod wraps;

pub use times::WrongTime;
#[cfg(feature = "backup")]
pub(crate) use wraps::Secrets;
use wraps::wrap;
pub use wraps::{Rewrap, test_custodian};

/// The name under which the ring's own secret is wrapped.
pub(crate) const NAMES: &str = "names";
const MAC: &str = "waxseal keyring authentication v1";
const PROOF: &str = "waxseal keyring proof v1";
const USERS: &str = "waxseal user names v1";
const USER_STORES: &str = "waxseal user key stores v1";
const RECEIPTS: &str = "waxseal receipts v1";
/// The number of keys that are unwrapped at the same time.
const MAX_CONCURRENT_UNWRAPS: usize = 8;

/// A keyring document, opened.
#[derive(Clone)]
pub struct Ring {
    document: KeyringDocument,
    derived: Arc<DerivedSecrets>,
    keys: HashMap<KeyId, Arc<UnwrappedKey>>,
    /// Wraps of its document were damaged, and replaced by those of a known ring.
    is_repaired: bool,
}

/// Keys derived from the ring's own secret.
struct DerivedSecrets {
    mac: KeyedHash,
    users: KeyedHash,
    user_stores: KeyedHash,
    mask: NameMask,
    receipts: SigningKey,
}

/// A key of the ring, ready for use.
struct UnwrappedKey {
    data: Arc<DataKey>,
    /// An input of the authentication code: its author held this key.
    proof: Zeroizing<[u8; 32]>,
}

impl Ring {
    /// Creates a ring for an environment. Its first key seals at once: no process has another one yet.
    ///
    /// `adopted` are the keys of the environment that values are sealed under already: the first continues
    /// to seal, so that applications which only have these keys can open new values, and the others are
    /// decrypt-only. Without any, a new key seals.
    pub async fn create(
        environment: &str,
        settings: Settings,
        custodians: &[Arc<dyn Custodian>],
        adopted: &[SecretKey],
        now_ms: u64,
    ) -> Result<Self, RingError> {
        let ring: String = (0..2)
            .map(|_| KeyId::random().to_string())
            .collect::<Vec<_>>()
            .concat();
        let secret = SecretKey::generate()?;
        let context = |key| Context {
            environment,
            ring: &ring,
            key,
        };
        let mut names = Vec::new();
        for custodian in custodians {
            names.push(wrap(&**custodian, &secret, &context(NAMES)).await?);
        }
        let document = KeyringDocument {
            format: FORMAT,
            ring: ring.clone(),
            environment: environment.to_owned(),
            version: 1,
            fence: 0,
            rotation: settings,
            previous: None,
            names,
            keys: Vec::new(),
            protects: Vec::new(),
            erased: Vec::new(),
            mac: None,
        };
        let derived = Arc::new(DerivedSecrets::new(&secret)?);
        let mut this = Self {
            document,
            derived,
            keys: HashMap::new(),
            is_repaired: false,
        };
        let fresh = [SecretKey::generate()?];
        let is_adopted = !adopted.is_empty();
        let keys = if is_adopted { adopted } else { &fresh[..] };
        for (index, key) in keys.iter().enumerate() {
            let state = if index == 0 {
                KeyState::Sealing
            } else {
                KeyState::DecryptOnly
            };
            let id = if is_adopted { key.id() } else { this.free_id() };
            if this.entry(id).is_some() {
                continue;
            }
            this.insert(id, key, custodians, (state, is_adopted), (now_ms, now_ms))
                .await?;
        }
        this.authenticate();
        Ok(this)
    }

    /// Opens a document. Keys that `known` holds are not unwrapped again: a process that has a ring does not
    /// need its custodians for a document that only wraps the same keys differently.
    pub async fn open(
        bytes: &[u8],
        location: &str,
        environment: &str,
        custodians: &Custodians,
        known: Option<&Self>,
    ) -> Result<Self, RingError> {
        let source = custodians.unwrapping();
        Self::open_from(bytes, location, environment, &source, known).await
    }

    pub(crate) async fn open_from(
        bytes: &[u8],
        location: &str,
        environment: &str,
        source: &dyn UnwrapSource,
        known: Option<&Self>,
    ) -> Result<Self, RingError> {
        let refused = |error| RingError::Document {
            location: location.to_owned(),
            error,
        };
        let document = KeyringDocument::parse(bytes).map_err(refused)?;
        // The same code over another content: changed, whichever part it is.
        let same_code = known.filter(|known| known.document.mac == document.mac);
        if same_code.is_some_and(|known| known.document != document) {
            return Err(refused(DocumentError::Mac));
        }
        if document.environment != environment {
            return Err(RingError::Environment {
                found: sanitize_for_terminal(&document.environment),
                expected: environment.to_owned(),
            });
        }
        // The ring's own secret never changes.
        let known = known.filter(|known| known.document.ring == document.ring);
        let derived = match known {
            Some(known) => known.derived.clone(),
            None => {
                let secret = source
                    .unwrap(&document.names, &document.context(NAMES))
                    .await?;
                Arc::new(DerivedSecrets::new(&secret)?)
            }
        };
        let mut unknown = Vec::new();
        let mut keys = HashMap::with_capacity(document.keys.len());
        for entry in document.keys.iter().filter(|it| !it.wraps.is_empty()) {
            match known.and_then(|known| known.keys.get(&entry.id)) {
                Some(key) => drop(keys.insert(entry.id, key.clone())),
                None => unknown.push(UnwrappedKey::unwrap(entry, &document, source)),
            }
        }
        // The first answer has shown which custodians can be reached: now several keys at a time.
        let mut unknown = stream::iter(unknown).buffer_unordered(MAX_CONCURRENT_UNWRAPS);
        while let Some((id, key)) = unknown.try_next().await? {
            keys.insert(id, key);
        }
        drop(unknown);
        let ring = Self {
            document,
            derived,
            keys,
            is_repaired: false,
        };
        if ring.is_authentic() {
            return Ok(ring);
        }
        let repaired = known.and_then(|known| ring.with_wraps_of(known));
        repaired.ok_or_else(|| refused(DocumentError::Mac))
    }

    /// The document, as it is written.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.document.to_bytes()
    }

    /// The id of the ring: 16 hexadecimal characters.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.document.ring
    }

    /// The environment that it is for.
    #[must_use]
    pub fn environment(&self) -> &str {
        &self.document.environment
    }

    /// Grows by one with each change.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.document.version
    }

    /// The token of the last leader that changed it.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.document.fence
    }

    /// The schedule of its rotation.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.document.rotation
    }

    /// The settings that a leader uses: if times were lowered, the longer ones until every process has seen
    /// the change.
    #[must_use]
    pub fn effective_settings(&self, now_ms: u64) -> Settings {
        let settings = self.settings().clone();
        match &self.document.previous {
            Some(previous) if now_ms < previous.until => Settings {
                propagation_ms: settings.propagation_ms.max(previous.propagation_ms),
                refresh_ms: settings.refresh_ms.max(previous.refresh_ms),
                retention_ms: settings.retention_ms.max(previous.retention_ms),
                ..settings
            },
            _ => settings,
        }
    }

    /// The time until which longer times apply than those of the settings, if times were lowered.
    #[must_use]
    pub fn longer_times_until(&self) -> Option<u64> {
        self.document
            .previous
            .as_ref()
            .map(|previous| previous.until)
    }

    /// All keys, oldest first.
    #[must_use]
    pub fn keys(&self) -> &[Entry] {
        &self.document.keys
    }

    /// A key's entry.
    #[must_use]
    pub fn entry(&self, id: KeyId) -> Option<&Entry> {
        self.document.keys.iter().find(|entry| entry.id == id)
    }

    /// The keys in a state, oldest first.
    pub fn in_state(&self, state: KeyState) -> impl Iterator<Item = &Entry> {
        let keys = self.document.keys.iter();
        keys.filter(move |entry| entry.state == state)
    }

    /// The sealing key. It depends on the document alone, so that all processes with the same ring seal
    /// under the same key, whatever their clocks say.
    ///
    /// # Panics
    ///
    /// Never: a document in which not exactly one key seals is not a valid ring.
    #[must_use]
    pub fn sealing(&self) -> &Entry {
        let mut sealing = self.in_state(KeyState::Sealing);
        sealing.next().expect("exactly one key of a ring seals")
    }

    /// The records that processes protect under this ring.
    #[must_use]
    pub fn protected_scopes(&self) -> &[ProtectedScope] {
        &self.document.protects
    }

    /// The URLs of the custodians that wrapped its keys.
    pub fn custodians(&self) -> impl Iterator<Item = &str> {
        let wraps = self.document.names.iter();
        wraps.map(|wrap| wrap.custodian.as_str())
    }

    /// The users that were erased.
    #[must_use]
    pub fn erasures(&self) -> &[Erasure] {
        &self.document.erased
    }

    /// The erasure of a user, by the user's keyed hash.
    #[must_use]
    pub fn erasure(&self, user: &str) -> Option<&Erasure> {
        let erased = &self.document.erased;
        let index = erased.binary_search_by(|erasure| erasure.user.as_str().cmp(user));
        index.ok().and_then(|index| erased.get(index))
    }

    /// The keyed hash of a user: 64 hexadecimal characters. The same for the ring's whole life.
    #[must_use]
    pub fn user(&self, user: &[u8]) -> String {
        hex::encode(&self.derived.users.hash(&[user]))
    }

    /// The content of the record that marks a store as the one of this ring's users' keys. The same for the
    /// ring's whole life, whatever keys it has.
    pub(crate) fn user_store_mark(&self) -> Vec<u8> {
        let code = hex::encode(&self.derived.user_stores.hash(&[self.id().as_bytes()]));
        format!("waxseal users of ring {} v1 {code}\n", self.id()).into_bytes()
    }

    /// The key that signs receipts. Its public part is the same for the ring's whole life.
    #[must_use]
    pub fn receipts(&self) -> &SigningKey {
        &self.derived.receipts
    }

    /// The mask for record names in messages.
    #[must_use]
    pub fn mask(&self) -> &NameMask {
        &self.derived.mask
    }

    /// The keyring that sealers use.
    pub fn keyring(&self) -> Result<Keyring, KeyringError> {
        let mut sealing = None;
        let mut others = Vec::new();
        for entry in &self.document.keys {
            let (Some(key), Some(role)) = (self.keys.get(&entry.id), entry.state.role()) else {
                continue;
            };
            match role {
                KeyRole::Sealing => sealing = Some(key.data.clone()),
                _ => others.push((key.data.clone(), role)),
            }
        }
        // The likeliest keys are tried first: decrypt-only before archived, newer before older.
        others.reverse();
        others.sort_by_key(|(_, role)| *role);
        let sealing = sealing.ok_or(KeyringError::Sealing(waxseal_core::KeyError::Library))?;
        Keyring::assemble(sealing, others, self.derived.mask.clone())
    }

    /// True if both are the same document.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.document.mac == other.document.mac && self.document.version == other.document.version
    }

    /// Checks that this document may follow a known one: of the same ring, and not older. One of the same
    /// version with another content may: the store decides, and what it lacks is merged into it
    /// ([`merged_with`](Self::merged_with)).
    pub fn may_follow(&self, known: &Self, location: &str) -> Result<(), RingError> {
        if self.id() != known.id() {
            return Err(RingError::OtherRing {
                location: location.to_owned(),
            });
        }
        if self.version() < known.version() {
            return Err(RingError::Rollback {
                location: location.to_owned(),
                found: self.version(),
                known: known.version(),
            });
        }
        Ok(())
    }

    fn free_id(&self) -> KeyId {
        loop {
            let id = KeyId::random();
            if self.entry(id).is_none() {
                return id;
            }
        }
    }

    async fn insert(
        &mut self,
        id: KeyId,
        key: &SecretKey,
        custodians: &[Arc<dyn Custodian>],
        (state, adopted): (KeyState, bool),
        (created, activates): (u64, u64),
    ) -> Result<(), RingError> {
        let shown = id.to_string();
        let mut wraps = Vec::new();
        for custodian in custodians {
            wraps.push(wrap(&**custodian, key, &self.document.context(&shown)).await?);
        }
        self.document.keys.push(Entry {
            id,
            state,
            created,
            activates,
            changed: created,
            adopted,
            wraps,
        });
        self.keys.insert(id, Arc::new(UnwrappedKey::new(id, key)?));
        Ok(())
    }

    /// The authentication code is HMAC-SHA-256 under a key derived from the ring's secret, over a proof of
    /// each key and the document: it cannot be computed without all of the keys.
    fn with_authenticated<T>(&self, then: impl FnOnce(&KeyedHash, &[&[u8]]) -> T) -> T {
        let body = self.document.authenticated();
        let proofs = self.document.keys.iter().filter_map(|entry| {
            let key = self.keys.get(&entry.id)?;
            Some(&key.proof[..])
        });
        let parts: Vec<&[u8]> = proofs.chain([body.as_slice()]).collect();
        then(&self.derived.mac, &parts)
    }

    fn is_authentic(&self) -> bool {
        let Some(found) = &self.document.mac else {
            return false;
        };
        self.with_authenticated(|mac, parts| mac.verify(parts, &found.0))
    }

    fn authenticate(&mut self) {
        let mac = self.with_authenticated(KeyedHash::hash);
        self.document.mac = Some(Bytes(mac.to_vec()));
    }
}

impl DerivedSecrets {
    fn new(secret: &SecretKey) -> Result<Self, RingError> {
        Ok(Self {
            mac: KeyedHash::derived_from(secret, MAC),
            users: KeyedHash::derived_from(secret, USERS),
            user_stores: KeyedHash::derived_from(secret, USER_STORES),
            mask: NameMask::derived_from(secret),
            receipts: SigningKey::derived_from(secret, RECEIPTS)?,
        })
    }
}

impl UnwrappedKey {
    async fn unwrap(
        entry: &Entry,
        document: &KeyringDocument,
        source: &dyn UnwrapSource,
    ) -> Result<(KeyId, Arc<Self>), RingError> {
        let id = entry.id.to_string();
        let key = source.unwrap(&entry.wraps, &document.context(&id)).await?;
        Ok((entry.id, Arc::new(Self::new(entry.id, &key)?)))
    }

    fn new(id: KeyId, key: &SecretKey) -> Result<Self, RingError> {
        Ok(Self {
            data: Arc::new(DataKey::with_id(id, key)?),
            proof: Zeroizing::new(KeyedHash::derived_from(key, PROOF).hash(&[])),
        })
    }
}
