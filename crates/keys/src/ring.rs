//! A ring: a document whose keys were unwrapped and whose authentication code is correct. A change
//! returns a new ring with the next version. Where documents are stored is not known here.

use std::collections::HashMap;
use std::sync::Arc;

use waxseal_core::{
    DataKey, IndexKey, KeyId, KeyRole, KeyedHash, Keyring, KeyringError, NameMask, SecretKey,
    SigningKey, hex,
};
use zeroize::Zeroizing;

use crate::document_format::DocumentFormat;
use crate::envelope_settings::EnvelopeSettings;
use crate::error::RingError;
use crate::keyring_document::{Entry, Erasure, KeyringDocument};
use crate::protected_scope::ProtectedScope;
use crate::settings::Settings;
use crate::state::KeyState;

mod change;
mod check_value;
mod create;
mod envelopes;
mod format;
mod index_keys;
mod members;
mod merge;
mod open;
mod scopes;
mod times;
mod wraps;

pub use times::WrongTime;
#[cfg(feature = "backup")]
pub(crate) use wraps::Secrets;
pub use wraps::{Rewrap, test_custodian};

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
    keys: HashMap<KeyId, Arc<UnwrappedKey<DataKey>>>,
    index_keys: HashMap<KeyId, Arc<UnwrappedKey<IndexKey>>>,
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
struct UnwrappedKey<K> {
    key: Arc<K>,
    /// An input of the authentication code: its author held this key.
    proof: Zeroizing<[u8; 32]>,
}

impl Ring {
    /// The document, as it is written.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.document.to_bytes()
    }

    /// The format of the document.
    #[must_use]
    pub fn format(&self) -> DocumentFormat {
        self.document.format
    }

    /// The versions of the sealed format that processes write and accept: version 2 with a document of format 1.
    #[must_use]
    pub fn envelopes(&self) -> EnvelopeSettings {
        self.document
            .envelopes
            .unwrap_or(EnvelopeSettings::FORMAT_1)
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
                KeyRole::Sealing => sealing = Some(key.key.clone()),
                _ => others.push((key.key.clone(), role)),
            }
        }
        // The likeliest keys are tried first: decrypt-only before archived, newer before older.
        others.reverse();
        others.sort_by_key(|(_, role)| *role);
        let sealing = sealing.ok_or(KeyringError::Sealing(waxseal_core::KeyError::Library))?;
        let keyring = Keyring::assemble(sealing, others, self.derived.mask.clone())?;
        // A copied value must not open in another environment that has the same keys.
        Ok(keyring
            .with_rules(self.envelopes().rules())
            .with_domain(self.environment().as_bytes())
            .with_index_keys(self.unwrapped_index_keys())
            .with_records_in_one_form(self.records_in_one_form())
            .with_old_readers(self.format() == DocumentFormat::V1))
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

impl UnwrappedKey<DataKey> {
    fn new(id: KeyId, key: &SecretKey) -> Result<Self, RingError> {
        Ok(Self {
            key: Arc::new(DataKey::with_id(id, key)?),
            proof: proof(key),
        })
    }
}

impl UnwrappedKey<IndexKey> {
    fn of_index(id: KeyId, key: &SecretKey) -> Self {
        Self {
            key: Arc::new(IndexKey::with_id(id, key)),
            proof: proof(key),
        }
    }
}

fn proof(key: &SecretKey) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(KeyedHash::derived_from(key, PROOF).hash(&[]))
}
