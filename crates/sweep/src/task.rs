//! The interface between the loop and its tasks: one value in, one verdict out. A task is pure; it sees neither the
//! store nor the clock.

use std::borrow::Cow;
use std::sync::Arc;

use waxseal_core::{
    Binding, Form, Keyring, Kind, OldFormat, OpenError, ResealError, ResealOutcome, SealError,
    Sealer, Shape, UserKey,
};
use waxseal_stores::{RecordName, Slot};

use crate::tally::Class;

/// The decision about each value in a pass over all records.
pub trait Task: Send + Sync {
    /// Judges one value. An error stops the whole pass: it concerns every value alike.
    fn judge(&self, value: &Value<'_>) -> Result<Verdict, SealError>;

    /// The label of its passes in metrics.
    fn name(&self) -> &'static str {
        "other"
    }

    /// True if it seals values: then users without a key get one.
    fn seals(&self) -> bool {
        false
    }

    /// True if it can seal values of this kind. Records of other kinds are skipped, if it seals.
    fn can_seal(&self, _kind: Kind) -> bool {
        true
    }

    /// True if a value that is found by its bytes is stored in the form that is written; `None` for all other values.
    fn is_in_written_form(&self, _value: &Value<'_>) -> Option<bool> {
        None
    }

    /// The records that it judges.
    fn scope(&self) -> Scope {
        Scope::All
    }

    /// True if the report contains the expiry of values of this class.
    fn needs_expiry(&self, _class: Class) -> bool {
        false
    }
}

/// The records of a pattern that a task judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    All,
    /// Those whose names are not excepted from the pattern.
    NotExcepted,
    /// Those whose names are excepted from it.
    Excepted,
}

/// One stored value and where it is stored.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    /// The record that holds it.
    pub name: &'a RecordName,
    /// The slot in the record.
    pub slot: &'a Slot,
    /// The stored bytes.
    pub stored: &'a [u8],
    /// The key of the user of the record, or the mark that it was destroyed; `None` if records belong to no user, or
    /// users have no keys of their own.
    pub user: Option<&'a Arc<UserKey>>,
    /// True if the name of the record is excepted from the pattern: then a plain value is intended.
    pub is_excepted: bool,
}

/// The outcome for one value.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Leave it unchanged.
    Keep(Class),
    /// Replace it.
    Replace(Class, Vec<u8>),
    /// Report it, and leave it unchanged: something is wrong with it.
    Fault(Class, OpenError),
}

impl Value<'_> {
    /// The binding of an envelope in this slot.
    #[must_use]
    pub fn binding(&self) -> Binding<'_> {
        Binding::of_value(self.slot.kind(), self.name.as_bytes(), self.slot.field())
    }

    /// Returns the sealer for this value: with the user's key if there is one. Under an excepted name a plain value may
    /// look like anything.
    #[must_use]
    pub fn sealer<'s>(&self, sealer: &'s Sealer) -> Cow<'s, Sealer> {
        let sealer = match self.is_excepted {
            true => Cow::Owned(sealer.clone().writing_plain()),
            false => Cow::Borrowed(sealer),
        };
        match self.user {
            Some(key) => Cow::Owned(sealer.into_owned().for_user(key.clone())),
            None => sealer,
        }
    }

    /// Returns true if it is stored in the form that is written; `None` if it is not found by its bytes, or under an
    /// excepted name.
    pub(crate) fn is_in_written_form(&self, sealer: &Sealer) -> Option<bool> {
        if self.is_excepted {
            return None;
        }
        self.sealer(sealer)
            .is_in_written_form(self.stored, self.binding())
    }

    /// Returns true if it is plain under an excepted name.
    pub(crate) fn is_plain_as_excepted(&self, sealer: &Sealer) -> bool {
        self.is_excepted && matches!(self.open(sealer), Ok((_, Class::Plain)))
    }

    /// Returns the verdict on a value that does not open.
    pub(crate) fn fault(&self, error: OpenError) -> Verdict {
        let class = match error {
            // There are as many ids as users, so they are counted together.
            OpenError::UnknownKey { .. } if self.is_under_user_key() => Class::OfUser,
            OpenError::UnknownKey { id } => Class::UnknownKey(id),
            OpenError::Compromised { id } => match Shape::of_header(self.stored) {
                Some(_) => Class::Sealed(id),
                None => Class::Classic(id),
            },
            // Its key is still needed.
            OpenError::Version { found, key } => match found {
                OldFormat::Classic => Class::Classic(key),
                OldFormat::V2 if self.is_under_user_key() => Class::OfUser,
                OldFormat::V2 => Class::Sealed(key),
            },
            OpenError::Plaintext => Class::Plain,
            OpenError::Erased { .. } => Class::Erased,
            _ => Class::Unopenable,
        };
        Verdict::Fault(class, error)
    }

    /// True if the stored bytes are a value: empty ones mean the same as no value, unless they are a member.
    pub(crate) fn is_value(&self) -> bool {
        is_value(self.slot, self.stored)
    }

    /// Opens the value with its sealer. The error is the verdict on it.
    pub(crate) fn open<'s>(&'s self, sealer: &Sealer) -> Result<(Cow<'s, [u8]>, Class), Verdict> {
        match sealer.open(self.stored, self.binding()) {
            Ok(Some(opened)) => {
                let class = match opened.form {
                    Form::Sealed { .. } if self.is_under_user_key() => Class::OfUser,
                    form => Class::from(form),
                };
                Ok((opened.value, class))
            }
            Ok(None) if self.is_value() => Ok((Cow::Borrowed(self.stored), Class::Plain)),
            Ok(None) => Err(Verdict::Keep(Class::Empty)),
            Err(error) => Err(self.fault(error)),
        }
    }

    /// Reseals a value of this class with its sealer, unless it is as the sealer would write it.
    pub(crate) fn reseal(&self, sealer: &Sealer, class: Class) -> Result<Verdict, SealError> {
        if self.stored.is_empty() && self.is_value() {
            return match sealer.seal(self.stored, self.binding()) {
                Ok(envelope) => Ok(Verdict::Replace(class, envelope)),
                Err(error) => self.seal_failure(class, error),
            };
        }
        match sealer.reseal(self.stored, self.binding()) {
            Ok(ResealOutcome::Current) => Ok(Verdict::Keep(class)),
            Ok(ResealOutcome::Replaced(envelope)) => Ok(Verdict::Replace(class, envelope)),
            Err(ResealError::Open(error)) => Ok(self.fault(error)),
            Err(ResealError::Seal(error)) => self.seal_failure(class, error),
        }
    }

    /// Returns the verdict on a value that cannot be sealed: a finding if its user was erased. Any other error concerns
    /// all values.
    pub(crate) fn seal_failure(
        &self,
        class: Class,
        error: SealError,
    ) -> Result<Verdict, SealError> {
        match (error, self.user.and_then(|key| key.erased_at())) {
            (SealError::Erased, Some(at)) => Ok(Verdict::Fault(class, OpenError::Erased { at })),
            _ => Err(error),
        }
    }

    pub(crate) fn is_under_user_key(&self) -> bool {
        Shape::of_header(self.stored).is_some_and(|header| header.flags.per_user_key())
    }
}

/// True if this sealer can seal values of this kind: all versions of Waxseal that may read its keyring know them.
pub(crate) fn can_seal(sealer: &Sealer, kind: Kind) -> bool {
    let keyring = sealer.keyring();
    kind.is_in_version_2() || !keyring.is_some_and(|it| Keyring::is_read_by_old_versions(&it))
}

/// True if stored bytes are a value: empty ones mean the same as no value, unless they are a member.
pub(crate) fn is_value(slot: &Slot, stored: &[u8]) -> bool {
    !stored.is_empty() || matches!(slot, Slot::Member(_))
}

impl Verdict {
    /// Returns the verdict of a task that accepts values of erased users: these are permanently erased, as intended.
    pub(crate) fn accept_erased(self) -> Self {
        match self {
            Self::Fault(Class::Erased, _) => Self::Keep(Class::Erased),
            other => other,
        }
    }
}
