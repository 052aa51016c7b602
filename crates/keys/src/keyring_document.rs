//! The keyring document as it lies in its place: JSON, parsed and written. Nothing is unwrapped here;
//! whether its authentication code is right is found out in `ring`, which has the keys.

use std::collections::HashSet;

use base64_simd::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use waxseal_core::KeyId;

use crate::custodian::{Context, Wrapped};
use crate::error::DocumentError;
use crate::settings::Settings;
use crate::state::KeyState;

/// The most custodians of one key.
const MAX_WRAPS: usize = 16;
/// The only format that this version knows.
pub(crate) const FORMAT: u32 = 1;

/// A keyring document.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyringDocument {
    pub(crate) format: u32,
    /// The ring: 16 random hexadecimal characters. Stays for the ring's whole life.
    pub(crate) ring: String,
    pub(crate) environment: String,
    /// Grows by one with each change.
    pub(crate) version: u64,
    /// The token of the last leader that wrote.
    pub(crate) fence: u64,
    pub(crate) rotation: Settings,
    /// Longer times than those of `rotation`, which hold until every process has seen the shorter ones.
    #[serde(rename = "before", default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<PreviousTimes>,
    /// A secret of the ring that is no data key: for the names of users, the authentication code and
    /// signatures.
    pub(crate) names: Vec<Wrap>,
    pub(crate) keys: Vec<Entry>,
    pub(crate) protects: Vec<ProtectedScope>,
    pub(crate) erased: Vec<Erasure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mac: Option<Bytes>,
}

/// Times that were lowered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviousTimes {
    pub(crate) propagation_ms: u64,
    pub(crate) refresh_ms: u64,
    #[serde(rename = "rest_ms")]
    pub(crate) retention_ms: u64,
    /// Until when they hold (milliseconds since the Unix epoch).
    pub(crate) until: u64,
}

/// One key of the ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its id.
    #[serde(with = "key_id")]
    pub id: KeyId,
    /// Where it is in its life.
    pub state: KeyState,
    /// When it was made (milliseconds since the Unix epoch).
    pub created: u64,
    /// From when on it may seal.
    pub activates: u64,
    /// When it came into its present state.
    pub changed: u64,
    /// It was the key of the environment before there was a keyring: applications may have it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// The key, wrapped by each custodian; nothing for a destroyed one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wraps: Vec<Wrap>,
}

/// A key as one custodian wrapped it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wrap {
    /// The custodian's URL.
    pub custodian: String,
    /// How, where the custodian has more ways than one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mechanism: Option<String>,
    /// What it made of the key.
    pub wrapped: Bytes,
}

impl Wrap {
    pub(crate) fn new(custodian: &str, wrapped: Wrapped) -> Self {
        Self {
            custodian: custodian.to_owned(),
            mechanism: wrapped.mechanism,
            wrapped: Bytes(wrapped.bytes),
        }
    }

    /// As its custodian takes it.
    pub(crate) fn to_wrapped(&self) -> Wrapped {
        Wrapped {
            mechanism: self.mechanism.clone(),
            bytes: self.wrapped.0.clone(),
        }
    }
}

/// Whether these are by different custodians, and not many.
fn are_of_few(wraps: &[Wrap]) -> bool {
    let mut seen = HashSet::new();
    wraps.len() <= MAX_WRAPS && wraps.iter().all(|wrap| seen.insert(&wrap.custodian))
}

/// Records that a process protects under the ring: no key is given up before these were looked at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtectedScope {
    /// Where the store is, without credentials.
    pub store: String,
    /// The pattern of the record names.
    pub records: String,
}

/// A user who was erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// A keyed hash of the user: 64 hexadecimal characters.
    pub user: String,
    /// When (milliseconds since the Unix epoch).
    pub at: u64,
    /// How often by now. Keys of this user with a lower number are void, whatever store they come from.
    pub epoch: u32,
}

/// Bytes, in base64url without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&URL_SAFE_NO_PAD.encode_to_string(&self.0))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode_to_vec(text.as_bytes());
        bytes
            .map(Self)
            .map_err(|_| serde::de::Error::custom("no base64url"))
    }
}

mod key_id {
    //! A key id as 8 hexadecimal characters.

    use serde::{Deserialize, Deserializer, Serializer};
    use waxseal_core::KeyId;

    pub(super) fn serialize<S: Serializer>(id: &KeyId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<KeyId, D::Error> {
        let text = String::deserialize(deserializer)?;
        let id = (text.len() == 8).then(|| text.parse().ok()).flatten();
        id.ok_or_else(|| serde::de::Error::custom("no key id"))
    }
}

impl KeyringDocument {
    /// Reads a document and checks what can be checked without keys.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(DocumentError::Empty);
        }
        let form = |error: serde_json::Error| DocumentError::Form {
            line: error.line(),
            column: error.column(),
        };
        // A newer format may look different in every other part.
        let head: Head = serde_json::from_slice(bytes).map_err(form)?;
        if head.format != FORMAT {
            return Err(DocumentError::Format(head.format));
        }
        let document: Self = serde_json::from_slice(bytes).map_err(form)?;
        document.check()?;
        Ok(document)
    }

    /// The document as it is written, for people to read as well.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers only: writing them cannot fail.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// What the authentication code is over: everything else, without white space.
    pub(crate) fn authenticated(&self) -> Vec<u8> {
        let bare = Self {
            mac: None,
            ..self.clone()
        };
        serde_json::to_vec(&bare).unwrap_or_default()
    }

    /// What a key of this ring is wrapped for.
    pub(crate) fn context<'a>(&'a self, key: &'a str) -> Context<'a> {
        Context {
            environment: &self.environment,
            ring: &self.ring,
            key,
        }
    }

    fn check(&self) -> Result<(), DocumentError> {
        let inconsistent = |what| Err(DocumentError::Inconsistent(what));
        let mut ids = HashSet::new();
        if !self.keys.iter().all(|key| ids.insert(key.id)) {
            return inconsistent("two keys have one id");
        }
        let sealing = |key: &&Entry| key.state == KeyState::Sealing;
        if self.keys.iter().filter(sealing).count() != 1 {
            return inconsistent("not exactly one key seals");
        }
        let gone = |key: &Entry| key.state == KeyState::Destroyed;
        if self
            .keys
            .iter()
            .any(|key| gone(key) != key.wraps.is_empty())
        {
            return inconsistent("a destroyed key is there, or another one is not");
        }
        if self.names.is_empty() || self.mac.is_none() {
            return inconsistent("it has no secret or no authentication code");
        }
        // Custodians are asked before the authentication code can be checked: whoever wrote this must not
        // decide how often.
        let of_keys = self.keys.iter().map(|key| &key.wraps[..]);
        if !of_keys.chain([&self.names[..]]).all(are_of_few) {
            return inconsistent("a key is wrapped twice by one custodian, or by too many");
        }
        if self.environment.is_empty() || self.ring.is_empty() {
            return inconsistent("it names no environment or no ring");
        }
        Ok(())
    }
}
