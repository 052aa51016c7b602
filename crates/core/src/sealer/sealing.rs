//! Sealing: the bytes to store for a value.

use std::borrow::Cow;

use waxseal_kinds::Kind;

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

    /// Seals a value in any mode: deterministically if values of its kind are looked up, else at random, and in version 3
    /// if the formats before it do not have its kind.
    pub fn seal(&self, value: &[u8], binding: Binding<'_>) -> Result<Vec<u8>, SealError> {
        let binding = self.grouped(binding);
        let ring = self.keyring.as_ref().map(SharedKeyring::load);
        let ring = ring.as_deref().map(|ring| &**ring);
        let rules = self.rules_under(ring);
        let written = self.written(rules, binding.kind());
        self.check_written(ring, written, binding.kind())?;
        self.seal_as(ring, written, self.armored, value, &binding)
    }

    /// Seals a value in any mode so that equal values with equal bindings give equal bytes, whatever its kind. It tells
    /// which of them are equal. Only version 3 of the sealed format has such envelopes, and without a user's key only
    /// members, list elements and record names are sealed so.
    pub fn seal_deterministic(
        &self,
        value: &[u8],
        binding: Binding<'_>,
    ) -> Result<Vec<u8>, SealError> {
        let binding = self.grouped(binding);
        let ring = self.keyring.as_ref().map(SharedKeyring::load);
        let ring = ring.as_deref().map(|ring| &**ring);
        self.check_written(ring, Written::Deterministic, binding.kind())?;
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
        self.check_written(ring, Written::Deterministic, binding.kind())?;
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

    /// The form of new envelopes of values of this kind. A user's key has no classic format.
    #[inline]
    pub(super) fn written(&self, rules: EnvelopeRules, kind: Kind) -> Written {
        if self.is_deterministic(kind) {
            return Written::Deterministic;
        }
        match (self.format, &self.user) {
            _ if !kind.is_in_version_2() => Written::Random(EnvelopeVersion::V3),
            (Format::Classic, None) => Written::Classic,
            _ => Written::Random(rules.write),
        }
    }

    /// True if values of this kind are sealed deterministically.
    #[inline]
    pub(super) fn is_deterministic(&self, kind: Kind) -> bool {
        kind.is_deterministic() || (kind == Kind::ListElement && self.deterministic_elements)
    }

    /// What is written must open again, here and wherever the keyring is read.
    #[inline]
    pub(super) fn check_written(
        &self,
        ring: Option<&Keyring>,
        written: Written,
        kind: Kind,
    ) -> Result<(), SealError> {
        if !kind.is_in_version_2() {
            // The versions that are written and accepted are about values that have a choice.
            return match ring.is_some_and(Keyring::is_read_by_old_versions) {
                true => Err(SealError::NeedsFormat2 { kind }),
                false => Ok(()),
            };
        }
        let rules = self.rules_under(ring);
        match (written, rules.write) {
            (Written::Deterministic, EnvelopeVersion::V2) => Err(SealError::NeedsVersion3 {
                what: "deterministic sealing",
            }),
            (written, _) => written.check_accepted(rules),
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
