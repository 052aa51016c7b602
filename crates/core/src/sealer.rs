//! The sealer: seals, opens and reseals values under a keyring, according to mode and format.

use std::borrow::Cow;
use std::sync::Arc;

use crate::binding::Binding;
use crate::group::Group;
use crate::key::KeyId;
use crate::keyring::{Keyring, SharedKeyring};
use crate::options::{Format, Mode, PlainValues};
use crate::plain::Expected;
use crate::user_key::UserKey;
use crate::version::{EnvelopeRules, EnvelopeVersion};

mod opening;
mod other_forms;
mod resealing;
mod sealing;

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
    /// The versions of the sealed format, if not those of the keyring.
    rules: Option<EnvelopeRules>,
    /// True if every version is accepted, whatever the rules say.
    accepts_all: bool,
    /// The group that its records belong to.
    group: Option<Group>,
    /// True if elements of lists are sealed deterministically.
    deterministic_elements: bool,
    /// The name of its records, by which the keyring knows them.
    records: Option<Arc<str>>,
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
            rules: None,
            accepts_all: false,
            group: None,
            deterministic_elements: false,
            records: None,
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
            rules: None,
            accepts_all: false,
            group: None,
            deterministic_elements: false,
            records: None,
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

    /// The same sealer with these versions of the sealed format instead of those of its keyring: for records without a
    /// ring.
    #[must_use]
    pub fn rules(mut self, rules: EnvelopeRules) -> Self {
        self.rules = Some(rules);
        self
    }

    /// The same sealer, which opens every version and format, whatever the rules accept: for code that reseals old
    /// values, and for Waxseal's own records.
    #[must_use]
    pub fn accepting_all(mut self) -> Self {
        self.accepts_all = true;
        self
    }

    /// The same sealer for records of this group, unless a binding names another one: values that are bound to the group
    /// open, and if it seals, new values are bound to it.
    #[must_use]
    pub fn in_group(mut self, group: Option<Group>) -> Self {
        self.group = group;
        self
    }

    /// The same sealer for lists whose elements are found by their values: they are sealed deterministically, which needs
    /// version 3 of the sealed format.
    #[must_use]
    pub fn deterministic_elements(mut self, deterministic: bool) -> Self {
        self.deterministic_elements = deterministic;
        self
    }

    /// The same sealer for records that the keyring knows by this name: it has no other forms for their members once the
    /// keyring has them in one form ([`Keyring::with_records_in_one_form`]).
    #[must_use]
    pub fn of_records(mut self, name: impl Into<Arc<str>>) -> Self {
        self.records = Some(name.into());
        self
    }

    /// True if elements of lists are sealed deterministically.
    #[must_use]
    pub fn has_deterministic_elements(&self) -> bool {
        self.deterministic_elements
    }

    /// The group that its records belong to.
    #[must_use]
    pub fn group(&self) -> Option<&Group> {
        self.group.as_ref()
    }

    /// The binding in the group of the records.
    #[inline]
    fn grouped<'b>(&'b self, binding: Binding<'b>) -> Binding<'b> {
        match &self.group {
            Some(group) if !binding.names_group() => binding.in_group(group.id(), group.seals()),
            _ => binding,
        }
    }

    /// The version of the sealed format that is written.
    #[must_use]
    pub fn written_version(&self) -> EnvelopeVersion {
        let ring = self.keyring.as_ref().map(SharedKeyring::load);
        self.rules_under(ring.as_deref().map(|ring| &**ring)).write
    }

    /// The oldest version of the sealed format that opens.
    #[must_use]
    pub fn accepted_version(&self) -> EnvelopeVersion {
        let ring = self.keyring.as_ref().map(SharedKeyring::load);
        self.rules_under(ring.as_deref().map(|ring| &**ring)).accept
    }

    /// The rules that are in force under this keyring.
    #[inline]
    fn rules_under(&self, ring: Option<&Keyring>) -> EnvelopeRules {
        let rules = self.rules.or_else(|| Some(ring?.rules()));
        let rules = rules.unwrap_or_default();
        match self.accepts_all {
            true => EnvelopeRules {
                accept: EnvelopeVersion::V2,
                ..rules
            },
            false => rules,
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

    /// The keyring as this sealer follows it, if there is one.
    #[must_use]
    pub fn shared_keyring(&self) -> Option<SharedKeyring> {
        self.keyring.clone()
    }

    /// The current sealing key of the keyring, if there is one.
    #[inline]
    #[must_use]
    pub fn sealing_id(&self) -> Option<KeyId> {
        let ring = self.keyring.as_ref()?.load();
        Some(ring.sealing_id())
    }
}
