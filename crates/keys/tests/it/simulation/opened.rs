//! A document with its keys, and the values that a process opens and writes with them.

use std::rc::Rc;

use waxseal_core::{KeyId, Keyring};
use waxseal_keys::{DocumentFormat, IndexKeyState, ProtectedScope, Ring, RingError};

use super::process::Build;

/// The bytes of a document.
pub(crate) type Bytes = Rc<Vec<u8>>;

/// A value in a record, of which only the key and the version matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value {
    /// A data key, or the index key of a deterministic value.
    pub(crate) key: KeyId,
    pub(crate) deterministic: bool,
    /// The version of its envelope.
    pub(crate) version: u8,
    pub(crate) written: u64,
    pub(crate) expires: u64,
    /// Its writer relied on a document from which the store had lost changes.
    pub(crate) is_stray: bool,
}

impl Value {
    /// True if a value is sealed in the same way.
    pub(crate) fn is_sealed_as(&self, other: &Self) -> bool {
        (self.key, self.deterministic, self.version)
            == (other.key, other.deterministic, other.version)
    }
}

/// The records of the simulation.
pub(crate) fn scope() -> ProtectedScope {
    ProtectedScope::new("simulation", "*")
}

/// A document with its keys.
pub(crate) struct OpenedRing {
    pub(crate) ring: Ring,
    pub(crate) keyring: Keyring,
    pub(crate) bytes: Bytes,
    pub(crate) format: u8,
    /// The index keys that are not destroyed.
    pub(crate) index_keys: Vec<KeyId>,
    pub(crate) writing: Option<KeyId>,
    /// The version in which values are written, and the oldest that is accepted.
    pub(crate) write: u8,
    pub(crate) accept: u8,
    /// The time of the last change of these two.
    pub(crate) since: u64,
    /// Members are looked up in the form that is written, and in no other.
    pub(crate) in_one_form: bool,
}

impl OpenedRing {
    pub(crate) fn new(ring: Ring, bytes: Bytes) -> Result<Self, RingError> {
        let index_keys = ring.index_keys().iter();
        let index_keys = index_keys.filter(|key| key.state != IndexKeyState::Destroyed);
        let envelopes = ring.envelopes();
        let keyring = ring.keyring()?;
        let rules = keyring.rules();
        Ok(Self {
            keyring,
            bytes,
            format: match ring.format() {
                DocumentFormat::V1 => 1,
                DocumentFormat::V2 => 2,
            },
            index_keys: index_keys.map(|key| key.id).collect(),
            writing: ring.writing().map(|key| key.id),
            write: rules.write.as_u8(),
            accept: rules.accept.as_u8(),
            since: envelopes.since,
            in_one_form: ring.has_one_form(&scope()),
            ring,
        })
    }

    pub(crate) fn holds(&self, id: KeyId) -> bool {
        self.keyring.role(id).is_some() || self.index_keys.contains(&id)
    }

    /// True if a process of this build opens the value.
    pub(crate) fn opens(&self, build: Build, value: &Value) -> bool {
        let reads = match build {
            Build::Former => 2,
            Build::Current => 3,
        };
        self.holds(value.key) && (self.accept..=reads).contains(&value.version)
    }

    /// The value sealed as this ring wants it.
    pub(crate) fn sealed(&self, value: Value) -> Value {
        // Without version 3 the application does without what needs it.
        let writing = self
            .writing
            .filter(|_| self.write == 3 && value.deterministic);
        Value {
            key: writing.unwrap_or_else(|| self.keyring.sealing_id()),
            deterministic: writing.is_some(),
            version: self.write,
            ..value
        }
    }
}
