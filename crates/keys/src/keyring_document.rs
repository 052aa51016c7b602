//! The keyring document: JSON, parsed and written. Nothing is unwrapped here; its authentication code is
//! checked in `ring`, which has the keys.

use std::collections::HashSet;

use serde::{Deserialize, Deserializer, Serialize};
use waxseal_core::KeyId;

use crate::bytes::Bytes;
use crate::custodian::{Context, Wrap};
use crate::document_format::DocumentFormat;
use crate::envelope_settings::EnvelopeSettings;
use crate::error::DocumentError;
use crate::index_state::IndexKeyState;
use crate::protected_scope::ProtectedScope;
use crate::settings::Settings;
use crate::state::KeyState;

/// The largest number of custodians of one key.
const MAX_WRAPS: usize = 16;
/// The name under which the ring's own secret is wrapped.
pub(crate) const NAMES: &str = "names";
const PARTS_OF_FORMAT_2: &str = "it is of format 1 and has parts of format 2";

/// A keyring document.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyringDocument {
    pub(crate) format: DocumentFormat,
    /// The id of the ring: 16 random hexadecimal characters. Never changes.
    pub(crate) ring: String,
    pub(crate) environment: String,
    /// Grows by one with each change.
    pub(crate) version: u64,
    /// The token of the last leader that wrote the document.
    pub(crate) fence: u64,
    pub(crate) rotation: Settings,
    /// Longer times than those of `rotation`, which apply until every process has seen the shorter ones.
    #[serde(rename = "before", default, skip_serializing_if = "Option::is_none")]
    pub(crate) previous: Option<PreviousTimes>,
    /// The versions of the sealed format; not in format 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) envelopes: Option<EnvelopeSettings>,
    /// The ring's own secret, which is not a data key: for the names of users, the authentication code and
    /// signatures.
    pub(crate) names: Vec<Wrap>,
    pub(crate) keys: Vec<Entry>,
    /// The keys for deterministic values; not in format 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) index_keys: Vec<IndexEntry>,
    pub(crate) protects: Vec<ProtectedScope>,
    pub(crate) erased: Vec<Erasure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mac: Option<Bytes>,
}

/// The times before they were lowered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PreviousTimes {
    pub(crate) propagation_ms: u64,
    pub(crate) refresh_ms: u64,
    #[serde(rename = "rest_ms")]
    pub(crate) retention_ms: u64,
    /// The end of their validity (milliseconds since the Unix epoch).
    pub(crate) until: u64,
}

/// One key of the ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its id.
    #[serde(with = "key_id")]
    pub id: KeyId,
    /// Its state.
    pub state: KeyState,
    /// The time of its creation (milliseconds since the Unix epoch).
    pub created: u64,
    /// The time from which it may seal.
    pub activates: u64,
    /// The time of its last change of state.
    pub changed: u64,
    /// True if it was the key of the environment before there was a keyring: applications may have it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub adopted: bool,
    /// The key as each custodian wrapped it; empty for a destroyed one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wraps: Vec<Wrap>,
}

/// One index key of the ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IndexEntry {
    /// Its id.
    #[serde(with = "key_id")]
    pub id: KeyId,
    /// Its state.
    pub state: IndexKeyState,
    /// The time of its creation (milliseconds since the Unix epoch).
    pub created: u64,
    /// The time from which it may write: every process has it by then.
    pub activates: u64,
    /// The time of its last change of state.
    pub changed: u64,
    /// The key as each custodian wrapped it; empty for a destroyed one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wraps: Vec<Wrap>,
}

/// True for a member that is there, whatever its value.
fn is_there<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
}

/// True if these are by different custodians, and no more than allowed.
fn are_valid_wraps(wraps: &[Wrap]) -> bool {
    let mut seen = HashSet::new();
    wraps.len() <= MAX_WRAPS && wraps.iter().all(|wrap| seen.insert(&wrap.custodian))
}

/// A user who was erased.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Erasure {
    /// A keyed hash of the user: 64 hexadecimal characters.
    pub user: String,
    /// The time of the erasure (milliseconds since the Unix epoch).
    pub at: u64,
    /// The number of erasures so far. Keys of this user with a lower number are void, whatever store they
    /// come from.
    pub epoch: u32,
}

pub(crate) mod key_id {
    //! A key id as 8 hexadecimal characters.

    use serde::{Deserialize, Deserializer, Serializer};
    use waxseal_core::KeyId;

    pub(crate) fn serialize<S: Serializer>(id: &KeyId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<KeyId, D::Error> {
        let text = String::deserialize(deserializer)?;
        let id = (text.len() == 8).then(|| text.parse().ok()).flatten();
        id.ok_or_else(|| serde::de::Error::custom("not a key id"))
    }
}

impl KeyringDocument {
    /// Reads a document and checks what can be checked without keys.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        #[derive(Deserialize)]
        struct Head {
            format: u32,
            #[serde(default, deserialize_with = "is_there")]
            envelopes: bool,
            #[serde(default, deserialize_with = "is_there")]
            index_keys: bool,
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
        let format = DocumentFormat::try_from(head.format);
        let format = format.map_err(|_| DocumentError::Format(head.format))?;
        // Empty ones as well, which are not told from missing ones below.
        if format == DocumentFormat::V1 && (head.envelopes || head.index_keys) {
            return Err(DocumentError::Inconsistent(PARTS_OF_FORMAT_2));
        }
        let document: Self = serde_json::from_slice(bytes).map_err(form)?;
        document.check()?;
        Ok(document)
    }

    /// The document as it is written: formatted, as people read it as well.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers only: writing them cannot fail.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// The input of the authentication code: everything else, without white space.
    pub(crate) fn authenticated(&self) -> Vec<u8> {
        let bare = Self {
            mac: None,
            ..self.clone()
        };
        serde_json::to_vec(&bare).unwrap_or_default()
    }

    /// The context that a key of this ring is wrapped for.
    pub(crate) fn context<'a>(&'a self, key: &'a str) -> Context<'a> {
        Context {
            environment: &self.environment,
            ring: &self.ring,
            key,
        }
    }

    /// The wraps of all secrets, by the name under which each is wrapped: the ring's own secret first, then the
    /// data keys, then the index keys. Destroyed keys have none.
    pub(crate) fn wrapped(&self) -> Vec<(String, &[Wrap])> {
        let keys = self.keys.iter().map(|key| (key.id, &key.wraps));
        let index_keys = self.index_keys.iter().map(|key| (key.id, &key.wraps));
        let present = keys.chain(index_keys).filter(|(_, it)| !it.is_empty());
        let present = present.map(|(id, wraps)| (id.to_string(), &wraps[..]));
        let names = (NAMES.to_owned(), &self.names[..]);
        std::iter::once(names).chain(present).collect()
    }

    /// The wraps of the same secrets, to be replaced.
    pub(crate) fn wrapped_mut(&mut self) -> Vec<(String, &mut Vec<Wrap>)> {
        let keys = self.keys.iter_mut().map(|key| (key.id, &mut key.wraps));
        let index_keys = self.index_keys.iter_mut();
        let index_keys = index_keys.map(|key| (key.id, &mut key.wraps));
        let present = keys.chain(index_keys).filter(|(_, it)| !it.is_empty());
        let present = present.map(|(id, wraps)| (id.to_string(), wraps));
        let names = (NAMES.to_owned(), &mut self.names);
        std::iter::once(names).chain(present).collect()
    }

    fn check(&self) -> Result<(), DocumentError> {
        let inconsistent = |what| Err(DocumentError::Inconsistent(what));
        let ids = self.keys.iter().map(|key| key.id);
        let mut ids = ids.chain(self.index_keys.iter().map(|key| key.id));
        let mut seen = HashSet::new();
        if !ids.all(|id| seen.insert(id)) {
            return inconsistent("two keys have one id");
        }
        let sealing = |key: &&Entry| key.state == KeyState::Sealing;
        if self.keys.iter().filter(sealing).count() != 1 {
            return inconsistent("not exactly one key seals");
        }
        let keys = self.keys.iter().map(|key| {
            let is_destroyed = key.state == KeyState::Destroyed;
            is_destroyed == key.wraps.is_empty()
        });
        let index_keys = self.index_keys.iter().map(|key| {
            let is_destroyed = key.state == IndexKeyState::Destroyed;
            is_destroyed == key.wraps.is_empty()
        });
        if !keys.chain(index_keys).all(|fits| fits) {
            return inconsistent("a destroyed key is there, or another one is not");
        }
        if self.names.is_empty() || self.mac.is_none() {
            return inconsistent("it has no secret or no authentication code");
        }
        // Custodians are called before the authentication code can be checked: the writer of an unauthentic
        // document must not decide how often.
        if !self.wrapped().iter().all(|(_, it)| are_valid_wraps(it)) {
            return inconsistent("a key is wrapped twice by one custodian, or by too many");
        }
        if self.environment.is_empty() || self.ring.is_empty() {
            return inconsistent("it names no environment or no ring");
        }
        match self.format {
            DocumentFormat::V1 => self.check_format_1(),
            DocumentFormat::V2 => self.check_format_2(),
        }
    }

    fn check_format_1(&self) -> Result<(), DocumentError> {
        let mut scopes = self.protects.iter();
        let has_more = scopes.any(|it| it.settings.is_some() || it.members.is_some());
        if self.envelopes.is_some() || !self.index_keys.is_empty() || has_more {
            return Err(DocumentError::Inconsistent(PARTS_OF_FORMAT_2));
        }
        Ok(())
    }

    fn check_format_2(&self) -> Result<(), DocumentError> {
        let inconsistent = |what| Err(DocumentError::Inconsistent(what));
        let Some(envelopes) = &self.envelopes else {
            return inconsistent("it is of format 2 and names no versions of the sealed format");
        };
        if envelopes.accept > envelopes.write {
            return inconsistent("it does not accept the version that it writes");
        }
        let writing = |key: &&IndexEntry| key.state == IndexKeyState::Writing;
        if self.index_keys.iter().filter(writing).count() != 1 {
            return inconsistent("not exactly one index key writes");
        }
        let scopes = self.protects.iter();
        let mut known = HashSet::new();
        let mut scopes = scopes.map(|scope| known.insert((&scope.store, &scope.records)));
        if !scopes.all(|is_new| is_new) {
            return inconsistent("it has two entries for the same protected records");
        }
        Ok(())
    }
}
