//! The joint between the loop and what is done on it: one value in, one verdict out. A task is
//! pure; it sees neither the store nor the clock.

use waxseal_core::{Binding, OpenError, SealError, Sealer};
use waxseal_stores::{RecordName, Slot};

use crate::tally::Class;

/// What a pass over all records does with each value.
pub trait Task: Send + Sync {
    /// The verdict on one value. An error stops the whole pass: it concerns every value alike.
    fn judge(&self, value: &Value<'_>) -> Result<Verdict, SealError>;

    /// Whether the report shall tell until when records of this class live.
    fn wants_lifetime(&self, _class: Class) -> bool {
        false
    }
}

/// One stored value and its place.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    /// The record that holds it.
    pub name: &'a RecordName,
    /// Where in the record.
    pub slot: &'a Slot,
    /// The stored bytes.
    pub stored: &'a [u8],
}

/// The outcome for one value.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is as it shall be.
    Keep(Class),
    /// It shall be replaced.
    Replace(Class, Vec<u8>),
    /// Something is wrong with it; it is left as it is.
    Fault(Class, OpenError),
}

impl Value<'_> {
    /// The binding of an envelope in this place. Elements of a list move about, so they are bound
    /// to the record only.
    #[must_use]
    pub fn binding(&self) -> Binding<'_> {
        match self.slot {
            Slot::Field(field) => Binding::field(self.name.as_bytes(), field),
            Slot::Whole | Slot::Element(_) => Binding::record(self.name.as_bytes()),
        }
    }

    /// The verdict on a value that does not open.
    pub(crate) fn fault(&self, error: OpenError) -> Verdict {
        let class = match error {
            OpenError::UnknownKey { id } => Class::UnknownKey(id),
            OpenError::Plaintext => Class::Plain,
            _ => Class::Unopenable,
        };
        Verdict::Fault(class, error)
    }

    /// Opens the value; the error is the verdict that follows.
    pub(crate) fn open<'s>(
        &'s self,
        sealer: &Sealer,
    ) -> Result<(std::borrow::Cow<'s, [u8]>, Class), Verdict> {
        match sealer.open(self.stored, self.binding()) {
            Ok(Some(opened)) => Ok((opened.value, Class::from(opened.form))),
            Ok(None) => Err(Verdict::Keep(Class::Empty)),
            Err(error) => Err(self.fault(error)),
        }
    }
}
