//! Opening: the value in stored bytes.

use std::borrow::Cow;

use super::sealing::place;
use super::{Form, OpenedValue, Sealer};
use crate::armor;
use crate::binding::Binding;
use crate::classic::{self, ClassicValue};
use crate::datakey::DataKey;
use crate::envelope::{self, Body, Defect, Header, MAGIC};
use crate::error::OpenError;
use crate::index_key::KeyUse;
use crate::key::KeyId;
use crate::keyring::{Keyring, SharedKeyring};
use crate::options::Mode;
use crate::plain::{self, Expected};
use crate::sealed;
use crate::user_key::{UserKey, UserKeyState};
use crate::version::{EnvelopeVersion, OldFormat};

impl Sealer {
    /// Opens stored bytes. `None` if they are empty: an empty value means the same as no value.
    pub fn open<'s>(
        &self,
        stored: &'s [u8],
        binding: Binding<'_>,
    ) -> Result<Option<OpenedValue<'s>>, OpenError> {
        if stored.is_empty() {
            return Ok(None);
        }
        let binding = self.grouped(binding);
        let ring = self.keyring.as_ref().map(SharedKeyring::load);
        let ring = ring.as_deref().map(|ring| &**ring);
        if stored.starts_with(&MAGIC) {
            return self.open_sealed(ring, stored, false, &binding).map(Some);
        }
        if stored.starts_with(armor::PREFIX) {
            let bytes = armor::decode(stored).ok_or(OpenError::Malformed(Defect::Armor))?;
            return self.open_sealed(ring, &bytes, true, &binding).map(Some);
        }
        if !binding.kind().is_in_version_2() {
            // The classic format never had such values.
            return self.accept_plain(stored, Expected::Anything).map(Some);
        }
        let keys = ring.into_iter().flat_map(Keyring::keys);
        match classic::open(stored, keys, DataKey::classic) {
            // Only a key that opens it shows that it is classic.
            ClassicValue::Opened { key, .. }
                if self.rules_under(ring).accept == EnvelopeVersion::V3 =>
            {
                let (found, key) = (OldFormat::Classic, key.id());
                Err(OpenError::Version { found, key })
            }
            ClassicValue::Opened { key, value } => Ok(Some(OpenedValue {
                value: Cow::Owned(value),
                form: Form::Classic { key: key.id() },
            })),
            ClassicValue::Refused if let Some(id) = compromised(ring, stored) => {
                Err(OpenError::Compromised { id })
            }
            ClassicValue::Refused | ClassicValue::OtherForm => {
                self.accept_plain(stored, self.expected()).map(Some)
            }
        }
    }

    #[inline]
    fn open_sealed(
        &self,
        ring: Option<&Keyring>,
        bytes: &[u8],
        armored: bool,
        binding: &Binding<'_>,
    ) -> Result<OpenedValue<'static>, OpenError> {
        let (header, body) = envelope::split(bytes).map_err(OpenError::Malformed)?;
        let is_refused = header.version == EnvelopeVersion::V2
            && self.rules_under(ring).accept == EnvelopeVersion::V3;
        let value = match header.flags.per_user_key() {
            true => self.open_of_user(ring, (header, is_refused), body, binding)?,
            false => open_of_ring(ring, (header, is_refused), body, binding)?,
        };
        let form = Form::Sealed {
            key: header.key,
            armored,
        };
        Ok(OpenedValue {
            value: Cow::Owned(value),
            form,
        })
    }

    /// Opens a value under a user's key. `is_refused`: its version is not accepted.
    fn open_of_user(
        &self,
        ring: Option<&Keyring>,
        (header, is_refused): (Header, bool),
        body: Body<'_>,
        binding: &Binding<'_>,
    ) -> Result<Vec<u8>, OpenError> {
        let ciphers = match self.user.as_deref() {
            Some(UserKey(UserKeyState::Live { id, ciphers, .. })) if *id == header.key => ciphers,
            Some(UserKey(
                UserKeyState::Erased { at }
                | UserKeyState::Live {
                    before: Some(at), ..
                },
            )) => return Err(OpenError::Erased { at: *at }),
            Some(UserKey(UserKeyState::Live { before: None, .. })) | None => {
                return Err(OpenError::UnknownKey { id: header.key });
            }
        };
        check_version(header, is_refused)?;
        let place = place(ring, binding);
        let value = match body {
            Body::Random {
                nonce,
                ciphertext,
                tag,
            } => sealed::open(&ciphers.xaes, header, (nonce, ciphertext, tag), place),
            Body::Deterministic { iv, ciphertext } => {
                let key = ciphers.derived.key(KeyUse::User);
                sealed::open_deterministic(key, header, (iv, ciphertext), place)
            }
        };
        value.ok_or(OpenError::Refused)
    }

    /// True if this is a key of the ring, or the one of the user.
    pub(super) fn knows(&self, id: KeyId) -> bool {
        let ring = self.keyring.as_ref().map(SharedKeyring::load);
        ring.is_some_and(|ring| ring.knows(id))
            || self.user.as_ref().and_then(|user| user.id()) == Some(id)
    }

    fn accept_plain<'s>(
        &self,
        stored: &'s [u8],
        expected: Expected,
    ) -> Result<OpenedValue<'s>, OpenError> {
        plain::classify(stored, expected, |id| self.knows(id))?;
        if self.mode == Mode::Required {
            return Err(OpenError::Plaintext);
        }
        Ok(OpenedValue {
            value: Cow::Borrowed(stored),
            form: Form::Plain,
        })
    }
}

/// Refuses a version that is not accepted. Nothing was decrypted before, but the key was looked up: what is said of a
/// key that is unknown, compromised or erased holds in every version.
#[inline]
fn check_version(header: Header, is_refused: bool) -> Result<(), OpenError> {
    match is_refused {
        true => Err(OpenError::Version {
            found: OldFormat::V2,
            key: header.key,
        }),
        false => Ok(()),
    }
}

/// Opens a value under a key of the ring. `is_refused`: its version is not accepted.
#[inline]
fn open_of_ring(
    ring: Option<&Keyring>,
    (header, is_refused): (Header, bool),
    body: Body<'_>,
    binding: &Binding<'_>,
) -> Result<Vec<u8>, OpenError> {
    let place = place(ring, binding);
    let ring = ring.ok_or(OpenError::UnknownKey { id: header.key })?;
    let value = match body {
        Body::Random {
            nonce,
            ciphertext,
            tag,
        } => {
            let key = ring.find(header.key)?;
            check_version(header, is_refused)?;
            sealed::open(key.xaes(), header, (nonce, ciphertext, tag), place)
        }
        Body::Deterministic { iv, ciphertext } => {
            let derived = ring.find_deterministic(header.key)?;
            let of_use = KeyUse::of_kind(binding.kind()).ok_or(OpenError::Refused)?;
            let key = derived.key(of_use);
            sealed::open_deterministic(key, header, (iv, ciphertext), place)
        }
    };
    value.ok_or(OpenError::Refused)
}

/// The compromised key that a classic value is under, if it is one. Such a value is not plain.
fn compromised(ring: Option<&Keyring>, stored: &[u8]) -> Option<KeyId> {
    match classic::open(stored, ring?.compromised(), DataKey::classic) {
        ClassicValue::Opened { key, .. } => Some(key.id()),
        ClassicValue::Refused | ClassicValue::OtherForm => None,
    }
}
