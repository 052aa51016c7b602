//! Sealing: the bytes to store for a value.

use std::borrow::Cow;

use super::Sealer;
use crate::armor;
use crate::binding::Binding;
use crate::datakey;
use crate::envelope::{Flags, Header, MAGIC, Shape};
use crate::error::SealError;
use crate::index_key::{DerivedKeys, KeyUse};
use crate::key::KeyId;
use crate::keyring::{Keyring, SharedKeyring};
use crate::options::Format;
use crate::plain::{self, Expected};
use crate::sealed::{self, Place};
use crate::user_key::{UserKey, UserKeyState};
use crate::version::{EnvelopeRules, EnvelopeVersion, OldFormat};

/// The form of a new envelope.
#[derive(Clone, Copy)]
pub(super) enum Written {
    Classic,
    Random(EnvelopeVersion),
    Deterministic,
}

impl Written {
    /// What is written must open again.
    #[inline]
    pub(super) fn check_accepted(self, rules: EnvelopeRules) -> Result<(), SealError> {
        if rules.accept == EnvelopeVersion::V2 {
            return Ok(());
        }
        let written = match self {
            Self::Classic => OldFormat::Classic,
            Self::Random(EnvelopeVersion::V2) => OldFormat::V2,
            Self::Random(EnvelopeVersion::V3) | Self::Deterministic => return Ok(()),
        };
        Err(SealError::NotAccepted { written })
    }
}

/// A key that seals deterministically, and the flags of the header that belong to it.
struct DeterministicKey<'k> {
    id: KeyId,
    derived: &'k DerivedKeys,
    of_use: KeyUse,
    is_user_key: bool,
}

impl Sealer {
    /// The bytes to store for a value: sealed if the mode seals, else the value itself. A value that would not be read
    /// back as written is refused.
    pub fn to_store<'v>(
        &self,
        value: &'v [u8],
        binding: Binding<'_>,
    ) -> Result<Cow<'v, [u8]>, SealError> {
        if self.mode.seals() {
            self.seal(value, binding).map(Cow::Owned)
        } else if self.looks_damaged(value) {
            Err(SealError::LooksSealed)
        } else {
            Ok(Cow::Borrowed(value))
        }
    }

    /// True if a value that is written plain would be taken for a damaged envelope. A complete one comes from an
    /// application that seals its own values.
    fn looks_damaged(&self, value: &[u8]) -> bool {
        if value.starts_with(&MAGIC) || value.starts_with(armor::PREFIX) {
            return matches!(Shape::of(value), Shape::Malformed(_));
        }
        plain::classify(value, Expected::Anything, |id| self.knows(id)).is_err()
    }

    /// Seals a value in any mode.
    pub fn seal(&self, value: &[u8], binding: Binding<'_>) -> Result<Vec<u8>, SealError> {
        let binding = self.grouped(binding);
        let ring = self.keyring.as_ref().map(SharedKeyring::load);
        let ring = ring.as_deref().map(|ring| &**ring);
        let rules = self.rules_under(ring);
        let written = self.written(rules);
        written.check_accepted(rules)?;
        self.seal_as(ring, written, self.armored, value, &binding)
    }

    /// Seals a value in any mode so that equal values with equal bindings give equal bytes: for values that are looked
    /// up. It tells which of them are equal. Only version 3 of the sealed format has such envelopes, and without a
    /// user's key only members, list elements and record names are sealed so.
    pub fn seal_deterministic(
        &self,
        value: &[u8],
        binding: Binding<'_>,
    ) -> Result<Vec<u8>, SealError> {
        let binding = self.grouped(binding);
        let ring = self.keyring.as_ref().map(SharedKeyring::load);
        let ring = ring.as_deref().map(|ring| &**ring);
        self.check_deterministic(ring)?;
        self.seal_as(ring, Written::Deterministic, self.armored, value, &binding)
    }

    /// The deterministic envelopes of a value under every key that opens, the one under the writing key first: a value
    /// that is stored is one of them.
    pub fn deterministic_forms(
        &self,
        value: &[u8],
        binding: Binding<'_>,
    ) -> Result<Vec<Vec<u8>>, SealError> {
        let binding = self.grouped(binding);
        let ring = self.keyring.as_ref().map(SharedKeyring::load);
        let ring = ring.as_deref().map(|ring| &**ring);
        self.check_deterministic(ring)?;
        let first = self.deterministic_key(ring, &binding)?;
        let first_of_ring = (!first.is_user_key).then_some(first.id);
        let mut keys = vec![first];
        if let (Some(ring), Some(of_use)) = (ring, KeyUse::of_kind(binding.kind())) {
            let others = ring.all_deterministic();
            let others = others.filter(|(id, _)| Some(*id) != first_of_ring);
            keys.extend(others.map(|(id, derived)| DeterministicKey {
                id,
                derived,
                of_use,
                is_user_key: false,
            }));
        }
        let forms = keys.iter().map(|key| {
            let envelope = seal_deterministic(key, value, place(ring, &binding))?;
            Ok(armored_if(self.armored, envelope))
        });
        forms.collect()
    }

    /// The form of new envelopes. A user's key has no classic format.
    pub(super) fn written(&self, rules: EnvelopeRules) -> Written {
        match (self.format, &self.user) {
            (Format::Classic, None) => Written::Classic,
            _ => Written::Random(rules.write),
        }
    }

    fn check_deterministic(&self, ring: Option<&Keyring>) -> Result<(), SealError> {
        match self.rules_under(ring).write {
            EnvelopeVersion::V3 => Ok(()),
            EnvelopeVersion::V2 => Err(SealError::NeedsVersion3 {
                what: "deterministic sealing",
            }),
        }
    }

    #[inline]
    pub(super) fn seal_as(
        &self,
        ring: Option<&Keyring>,
        written: Written,
        armored: bool,
        value: &[u8],
        binding: &Binding<'_>,
    ) -> Result<Vec<u8>, SealError> {
        let place = place(ring, binding);
        let envelope = match (written, self.user.as_deref()) {
            (_, Some(UserKey(UserKeyState::Erased { .. }))) => return Err(SealError::Erased),
            (Written::Deterministic, _) => {
                let key = self.deterministic_key(ring, binding)?;
                seal_deterministic(&key, value, place)?
            }
            (Written::Random(version), Some(UserKey(UserKeyState::Live { id, ciphers, .. }))) => {
                let header = Header {
                    version,
                    flags: binding.flags(version)?.with_user_key(),
                    key: *id,
                };
                datakey::seal(&ciphers.xaes, header, value, place)?
            }
            (Written::Random(version), None) => {
                let ring = ring.ok_or(SealError::NoKey)?;
                ring.sealing().seal(version, value, place)?
            }
            (Written::Classic, _) => {
                let ring = ring.ok_or(SealError::NoKey)?;
                return ring.sealing().seal_classic(value);
            }
        };
        Ok(armored_if(armored, envelope))
    }

    /// The id of the key of a new deterministic envelope.
    pub(super) fn deterministic_id(
        &self,
        ring: Option<&Keyring>,
        binding: &Binding<'_>,
    ) -> Result<KeyId, SealError> {
        self.deterministic_key(ring, binding).map(|key| key.id)
    }

    fn deterministic_key<'k>(
        &'k self,
        ring: Option<&'k Keyring>,
        binding: &Binding<'_>,
    ) -> Result<DeterministicKey<'k>, SealError> {
        match self.user.as_deref() {
            Some(UserKey(UserKeyState::Erased { .. })) => Err(SealError::Erased),
            Some(UserKey(UserKeyState::Live { id, ciphers, .. })) => Ok(DeterministicKey {
                id: *id,
                derived: &ciphers.derived,
                of_use: KeyUse::User,
                is_user_key: true,
            }),
            None => {
                let (id, derived) = ring.ok_or(SealError::NoKey)?.deterministic()?;
                let kind = binding.kind();
                Ok(DeterministicKey {
                    id,
                    derived,
                    of_use: KeyUse::of_kind(kind).ok_or(SealError::NotDeterministic { kind })?,
                    is_user_key: false,
                })
            }
        }
    }
}

fn armored_if(armored: bool, envelope: Vec<u8>) -> Vec<u8> {
    match armored {
        true => armor::encode(&envelope),
        false => envelope,
    }
}

/// The place of this binding under this keyring.
#[inline]
pub(super) fn place<'p>(ring: Option<&'p Keyring>, binding: &'p Binding<'p>) -> Place<'p> {
    Place {
        binding,
        domain: ring.map_or(&[], Keyring::domain),
    }
}

fn seal_deterministic(
    key: &DeterministicKey<'_>,
    value: &[u8],
    place: Place<'_>,
) -> Result<Vec<u8>, SealError> {
    let version = EnvelopeVersion::V3;
    let flags = place.binding.flags(version)?.deterministically();
    key.derived.count(key.id)?;
    let header = Header {
        version,
        flags: match key.is_user_key {
            true => Flags::with_user_key(flags),
            false => flags,
        },
        key: key.id,
    };
    let siv = key.derived.key(key.of_use);
    sealed::seal_deterministic(siv, header, place, value).ok_or(SealError::TooLong)
}
