//! Keyring: several data keys, exactly one of them sealing. This module holds them; how they are
//! kept, wrapped and rotated is not known here.

use std::fmt;

use crate::datakey::DataKey;
use crate::error::{KeyError, KeyringError};
use crate::key::{KeyId, SecretKey};
use crate::mask::NameMask;

/// Several data keys: the first seals, all open.
pub struct Keyring {
    sealing: DataKey,
    previous: Vec<DataKey>,
    mask: NameMask,
}

/// What a key of the ring is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRole {
    /// Seals new values and opens.
    Sealing,
    /// Only opens.
    Opening,
}

/// How much this process has sealed under one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyUsage {
    /// The key.
    pub id: KeyId,
    /// What it is for.
    pub role: KeyRole,
    /// Values sealed in the classic format (at most 2^32 are allowed).
    pub classic_seals: u64,
    /// Values sealed in the sealed format.
    pub sealed_seals: u64,
}

impl Keyring {
    /// A keyring of one key.
    pub fn new(sealing: SecretKey) -> Result<Self, KeyringError> {
        Ok(Self {
            mask: NameMask::of_key(&sealing),
            sealing: DataKey::new(&sealing).map_err(KeyringError::Sealing)?,
            previous: Vec::new(),
        })
    }

    /// The keyring of the environment: the sealing key and a comma-separated list of previous
    /// keys, each as 64 hexadecimal characters.
    pub fn from_hex(sealing: &str, previous: &str) -> Result<Self, KeyringError> {
        let mut ring = Self::new(SecretKey::from_hex(sealing).map_err(KeyringError::Sealing)?)?;
        let listed = previous
            .split(',')
            .map(str::trim)
            .filter(|hex| !hex.is_empty());
        for (hex, index) in listed.zip(1..) {
            let refused = |error: KeyError| KeyringError::Previous { index, error };
            ring.add_previous(&SecretKey::from_hex(hex).map_err(refused)?, refused)?;
        }
        Ok(ring)
    }

    /// The same keyring with one more key that only opens.
    pub fn with_previous(mut self, key: &SecretKey) -> Result<Self, KeyringError> {
        let index = self.previous.len().saturating_add(1);
        self.add_previous(key, |error| KeyringError::Previous { index, error })?;
        Ok(self)
    }

    /// The id of the key that seals.
    #[must_use]
    pub fn sealing_id(&self) -> KeyId {
        self.sealing.id()
    }

    /// What the key of this id is for, or `None` when the ring does not hold it.
    #[must_use]
    pub fn role(&self, id: KeyId) -> Option<KeyRole> {
        if self.sealing.id() == id {
            return Some(KeyRole::Sealing);
        }
        self.find(id).map(|_| KeyRole::Opening)
    }

    /// How much this process has sealed under each key, the sealing key first.
    pub fn usage(&self) -> impl Iterator<Item = KeyUsage> {
        let roles = std::iter::once(KeyRole::Sealing).chain(std::iter::repeat(KeyRole::Opening));
        self.keys().zip(roles).map(|(key, role)| {
            let (classic_seals, sealed_seals) = key.seals();
            KeyUsage {
                id: key.id(),
                role,
                classic_seals,
                sealed_seals,
            }
        })
    }

    /// The mask under which record names may be shown. It is derived from the sealing key.
    #[must_use]
    pub fn name_mask(&self) -> &NameMask {
        &self.mask
    }

    pub(crate) fn sealing(&self) -> &DataKey {
        &self.sealing
    }

    pub(crate) fn find(&self, id: KeyId) -> Option<&DataKey> {
        self.keys().find(|key| key.id() == id)
    }

    /// All keys, the sealing key first.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &DataKey> {
        std::iter::once(&self.sealing).chain(&self.previous)
    }

    fn add_previous(
        &mut self,
        key: &SecretKey,
        refused: impl Fn(KeyError) -> KeyringError,
    ) -> Result<(), KeyringError> {
        let key = DataKey::new(key).map_err(refused)?;
        if self.find(key.id()).is_some() {
            return Err(KeyringError::Duplicate { id: key.id() });
        }
        self.previous.push(key);
        Ok(())
    }
}

impl fmt::Debug for Keyring {
    /// Shows ids, never keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let opening: Vec<KeyId> = self.previous.iter().map(DataKey::id).collect();
        f.debug_struct("Keyring")
            .field("sealing", &self.sealing.id())
            .field("opening", &opening)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "6c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";
    const B: &str = "1c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";
    const C: &str = "2c1f0a5be2d94738a1c05f3e7b9d2846f0e1d2c3b4a5968778695a4b3c2d1e0f";

    fn id(hex: &str) -> KeyId {
        SecretKey::from_hex(hex).ok().unwrap().id()
    }

    #[test]
    fn the_first_key_seals_and_the_listed_ones_open() {
        let ring = Keyring::from_hex(A, &format!("{B}, {C},")).unwrap();
        assert_eq!(ring.sealing_id(), id(A));
        assert_eq!(ring.role(id(A)), Some(KeyRole::Sealing));
        assert_eq!(ring.role(id(C)), Some(KeyRole::Opening));
        assert_eq!(ring.role(KeyId::from_u32(1)), None);
        assert_eq!(ring.usage().count(), 3);
    }

    #[test]
    fn a_bad_previous_key_is_named_by_its_place() {
        let error = Keyring::from_hex(A, &format!("{B},{}", &C[1..])).unwrap_err();
        assert_eq!(
            error,
            KeyringError::Previous {
                index: 2,
                error: KeyError::Length { got: 63 }
            }
        );
    }

    #[test]
    fn one_key_twice_is_refused() {
        let error = Keyring::from_hex(A, A).unwrap_err();
        assert_eq!(error, KeyringError::Duplicate { id: id(A) });
    }

    #[test]
    fn debug_output_shows_ids_and_no_key() {
        let shown = format!("{:?}", Keyring::from_hex(A, B).unwrap());
        assert_eq!(
            shown,
            format!(
                "Keyring {{ sealing: KeyId({}), opening: [KeyId({})], .. }}",
                id(A),
                id(B)
            )
        );
    }
}
