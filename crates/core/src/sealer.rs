//! The sealer: seals, opens and reseals values under a keyring, according to mode and format.

use std::borrow::Cow;
use std::sync::Arc;

use crate::armor;
use crate::binding::Binding;
use crate::classic::{self, ClassicValue};
use crate::datakey::{self, DataKey};
use crate::envelope::{self, Body, Defect, Flags, Header, MAGIC, Shape};
use crate::error::{OpenError, ResealError, SealError};
use crate::key::KeyId;
use crate::keyring::{Keyring, SharedKeyring};
use crate::options::{Format, Mode, PlainValues};
use crate::plain::{self, Expected};
use crate::sealed;
use crate::user_key::{UserKey, UserKeyState};

/// Seals values and opens envelopes under one keyring, mode and format.
///
/// Cheap to clone: the keyring is shared.
#[derive(Clone)]
pub struct Sealer {
    keyring: Option<SharedKeyring>,
    user: Option<Arc<UserKey>>,
    mode: Mode,
    format: Format,
    armored: bool,
    plain: PlainValues,
    /// The mode and format by which plain values are distinguished from damaged ones, if not those of this sealer.
    classification: Option<(Mode, Format)>,
    /// True if all values are written as JSON, in every mode.
    only_json: bool,
}

/// An opened value.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenedValue<'a> {
    /// The value.
    pub value: Cow<'a, [u8]>,
    /// The form in which it was stored.
    pub form: Form,
}

/// The form in which a value was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In plaintext.
    Plain,
    /// In the classic format, under this key.
    Classic {
        /// The key that opened it.
        key: KeyId,
    },
    /// In the sealed format, under this key.
    Sealed {
        /// The key that opened it.
        key: KeyId,
        /// True if it was in the armored form.
        armored: bool,
    },
}

/// The outcome of resealing.
#[derive(Clone, PartialEq, Eq)]
pub enum ResealOutcome {
    /// The value is empty, or already under the sealing key in a format at least as good as the one that is written.
    Current,
    /// The new envelope.
    Replaced(Vec<u8>),
}

impl Form {
    /// The key that the value was under, if any.
    #[must_use]
    pub fn key(self) -> Option<KeyId> {
        match self {
            Self::Plain => None,
            Self::Classic { key } | Self::Sealed { key, .. } => Some(key),
        }
    }
}

impl Sealer {
    /// A sealer under this keyring: an `Arc<Keyring>`, or a [`SharedKeyring`] that can be replaced. Plain values are
    /// taken to be JSON unless [`plain_values`](Self::plain_values) says otherwise.
    #[must_use]
    pub fn new(keyring: impl Into<SharedKeyring>, mode: Mode, format: Format) -> Self {
        Self {
            keyring: Some(keyring.into()),
            user: None,
            mode,
            format,
            armored: false,
            plain: PlainValues::Json,
            classification: None,
            only_json: false,
        }
    }

    /// A sealer without keys: plain values are accepted, nothing is sealed, no envelope opens. Base64 that may be a
    /// classic value is not plain, unless [`classifying_as`](Self::classifying_as) says otherwise: there is no key to
    /// try on it.
    #[must_use]
    pub fn without_keys() -> Self {
        Self {
            keyring: None,
            user: None,
            mode: Mode::Off,
            format: Format::Classic,
            armored: false,
            plain: PlainValues::Json,
            classification: Some((Mode::On, Format::Classic)),
            only_json: false,
        }
    }

    /// The same sealer for records with this form of plain values.
    #[must_use]
    pub fn plain_values(mut self, plain: PlainValues) -> Self {
        self.plain = plain;
        self
    }

    /// The same sealer, which distinguishes plain values from damaged ones as a sealer of this mode and format does: for
    /// code that reads or writes in another mode than the applications.
    #[must_use]
    pub fn classifying_as(mut self, mode: Mode, format: Format) -> Self {
        self.classification = Some((mode, format));
        self
    }

    /// The same sealer for values that are all written as JSON, in any mode, unless [`plain_values`](Self::plain_values)
    /// says otherwise: bytes that are not text, and bare Base64, are not plain values.
    #[must_use]
    pub fn only_json(mut self) -> Self {
        self.only_json = true;
        self
    }

    /// The same sealer for records that are excepted from sealing: values are written plain, plain ones of any form are
    /// accepted, and sealed ones open.
    #[must_use]
    pub fn writing_plain(self) -> Self {
        Self {
            mode: Mode::Off,
            plain: PlainValues::Any,
            ..self
        }
    }

    /// True if Base64 that no key opens is taken for a damaged classic value: if the mode seals, the format is classic,
    /// and plain values are JSON. In mode `off` such a value may have been written plain by this sealer.
    #[must_use]
    pub fn expects_classic(&self) -> bool {
        self.expected() != Expected::Anything
    }

    fn expected(&self) -> Expected {
        let (mode, format) = self.classification.unwrap_or((self.mode, self.format));
        match self.plain {
            PlainValues::Any => Expected::Anything,
            PlainValues::Json if self.only_json => Expected::Json,
            PlainValues::Json if mode.seals() && format == Format::Classic => Expected::Classic,
            PlainValues::Json => Expected::Anything,
        }
    }

    /// The same sealer writing another format.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// The same sealer writing the armored form of the sealed format, for stores that cannot hold
    /// binary.
    #[must_use]
    pub fn armored(mut self, armored: bool) -> Self {
        self.armored = armored;
        self
    }

    /// The same sealer for the records of one user, who has a key of their own. Such values are
    /// always in the sealed format.
    #[must_use]
    pub fn for_user(mut self, key: Arc<UserKey>) -> Self {
        self.user = Some(key);
        self.format = Format::Sealed;
        self
    }

    /// The mode.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The format that is written.
    #[must_use]
    pub fn written_format(&self) -> Format {
        self.format
    }

    /// The current keyring, if there is one.
    #[must_use]
    pub fn keyring(&self) -> Option<Arc<Keyring>> {
        self.keyring.as_ref().map(SharedKeyring::current)
    }

    /// The current sealing key of the keyring, if there is one.
    #[inline]
    #[must_use]
    pub fn sealing_id(&self) -> Option<KeyId> {
        let ring = self.keyring.as_ref()?.load();
        Some(ring.sealing_id())
    }

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
        self.seal_as(self.format, self.armored, value, binding)
    }

    /// Opens stored bytes. `None` if they are empty: an empty value means the same as no value.
    pub fn open<'s>(
        &self,
        stored: &'s [u8],
        binding: Binding<'_>,
    ) -> Result<Option<OpenedValue<'s>>, OpenError> {
        if stored.is_empty() {
            return Ok(None);
        }
        if stored.starts_with(&MAGIC) {
            return self.open_sealed(stored, false, binding).map(Some);
        }
        if stored.starts_with(armor::PREFIX) {
            let bytes = armor::decode(stored).ok_or(OpenError::Malformed(Defect::Armor))?;
            return self.open_sealed(&bytes, true, binding).map(Some);
        }
        let ring = self.keyring.as_ref().map(SharedKeyring::load);
        let keys = ring.iter().flat_map(|ring| ring.keys());
        match classic::open(stored, keys, DataKey::classic) {
            ClassicValue::Opened { key, value } => Ok(Some(OpenedValue {
                value: Cow::Owned(value),
                form: Form::Classic { key: key.id() },
            })),
            ClassicValue::Refused if let Some(id) = self.compromised(stored) => {
                Err(OpenError::Compromised { id })
            }
            ClassicValue::Refused | ClassicValue::OtherForm => self.accept_plain(stored).map(Some),
        }
    }

    /// Opens stored bytes and, unless they are already as this sealer would write them, seals the value again. A value in
    /// the sealed format keeps it: an envelope never loses its binding.
    pub fn reseal(
        &self,
        stored: &[u8],
        binding: Binding<'_>,
    ) -> Result<ResealOutcome, ResealError> {
        let Some(opened) = self.open(stored, binding)? else {
            return Ok(ResealOutcome::Current);
        };
        let sealing = match &self.user {
            Some(user) => user.id(),
            None => self.keyring().map(|ring| ring.sealing_id()),
        };
        let (format, armored) = match opened.form {
            Form::Sealed { armored, .. } => (Format::Sealed, armored || self.armored),
            Form::Plain | Form::Classic { .. } => (self.format, self.armored),
        };
        let as_written = match opened.form {
            Form::Plain => false,
            Form::Classic { .. } => format == Format::Classic,
            Form::Sealed {
                armored: was_armored,
                ..
            } => was_armored == armored,
        };
        // An id belongs to a key of the ring or to the one of the user, according to the flag.
        let owner = Shape::of_header(stored).is_some_and(|header| header.flags.per_user_key());
        if as_written && opened.form.key() == sealing && owner == self.user.is_some() {
            return Ok(ResealOutcome::Current);
        }
        Ok(ResealOutcome::Replaced(self.seal_as(
            format,
            armored,
            &opened.value,
            binding,
        )?))
    }

    fn seal_as(
        &self,
        format: Format,
        armored: bool,
        value: &[u8],
        binding: Binding<'_>,
    ) -> Result<Vec<u8>, SealError> {
        let envelope = match self.user.as_deref() {
            Some(UserKey(UserKeyState::Erased { .. })) => return Err(SealError::Erased),
            Some(UserKey(UserKeyState::Live { id, key, .. })) => {
                datakey::seal(*id, key, value, binding, Flags::with_user_key)?
            }
            None => {
                let ring = self.keyring.as_ref().ok_or(SealError::NoKey)?;
                ring.load().sealing().seal(format, value, binding)?
            }
        };
        let armor = armored && format == Format::Sealed;
        Ok(if armor {
            armor::encode(&envelope)
        } else {
            envelope
        })
    }

    /// The compromised key that a classic value is under, if it is one. Such a value is not plain.
    fn compromised(&self, stored: &[u8]) -> Option<KeyId> {
        let ring = self.keyring.as_ref()?.load();
        match classic::open(stored, ring.compromised(), DataKey::classic) {
            ClassicValue::Opened { key, .. } => Some(key.id()),
            ClassicValue::Refused | ClassicValue::OtherForm => None,
        }
    }

    fn open_sealed(
        &self,
        bytes: &[u8],
        armored: bool,
        binding: Binding<'_>,
    ) -> Result<OpenedValue<'static>, OpenError> {
        let (header, body) = envelope::split(bytes).map_err(OpenError::Malformed)?;
        let value = self.open_body(header, body, binding)?;
        let form = Form::Sealed {
            key: header.key,
            armored,
        };
        Ok(OpenedValue {
            value: Cow::Owned(value),
            form,
        })
    }

    fn open_body(
        &self,
        header: Header,
        body: Body<'_>,
        binding: Binding<'_>,
    ) -> Result<Vec<u8>, OpenError> {
        let unknown = OpenError::UnknownKey { id: header.key };
        if !header.flags.per_user_key() {
            let ring = self.keyring.as_ref().ok_or(unknown)?.load();
            let key = ring.find(header.key)?;
            return sealed::open(key.xaes(), header, body, binding).ok_or(OpenError::Refused);
        }
        let key = match self.user.as_deref() {
            Some(UserKey(UserKeyState::Live { id, key, .. })) if *id == header.key => key,
            Some(UserKey(
                UserKeyState::Erased { at }
                | UserKeyState::Live {
                    before: Some(at), ..
                },
            )) => return Err(OpenError::Erased { at: *at }),
            Some(UserKey(UserKeyState::Live { before: None, .. })) | None => return Err(unknown),
        };
        sealed::open(key, header, body, binding).ok_or(OpenError::Refused)
    }

    /// True if this is a key of the ring, or the one of the user.
    fn knows(&self, id: KeyId) -> bool {
        let ring = self.keyring.as_ref().map(SharedKeyring::load);
        ring.is_some_and(|ring| ring.role(id).is_some())
            || self.user.as_ref().and_then(|user| user.id()) == Some(id)
    }

    fn accept_plain<'s>(&self, stored: &'s [u8]) -> Result<OpenedValue<'s>, OpenError> {
        plain::classify(stored, self.expected(), |id| self.knows(id))?;
        if self.mode == Mode::Required {
            return Err(OpenError::Plaintext);
        }
        Ok(OpenedValue {
            value: Cow::Borrowed(stored),
            form: Form::Plain,
        })
    }
}
