//! Rotate: everything that is not under the sealing key comes under it. The sealed format is never
//! given up for the classic one.

use waxseal_core::{ResealError, Resealed, SealError, Sealer, Shape};

use crate::tally::Class;
use crate::task::{Task, Value, Verdict};

/// Brings everything under the sealing key.
pub struct Rotate(Sealer);

impl Rotate {
    /// A rotation to the sealing key of this sealer.
    #[must_use]
    pub fn new(sealer: Sealer) -> Self {
        Self(sealer)
    }
}

impl Task for Rotate {
    fn judge(&self, value: &Value<'_>) -> Result<Verdict, SealError> {
        match self.0.reseal(value.stored, value.binding()) {
            Ok(Resealed::Current) => Ok(Verdict::Keep(self.current(value))),
            Ok(Resealed::Replaced(envelope)) => Ok(Verdict::Replace(self.was(value), envelope)),
            Err(ResealError::Open(error)) => Ok(value.fault(error)),
            Err(ResealError::Seal(error)) => Err(error),
        }
    }
}

impl Rotate {
    /// The class of a value that is as it shall be: what has no header is classic, and under the
    /// sealing key.
    fn current(&self, value: &Value<'_>) -> Class {
        match (Shape::of_header(value.stored), self.0.keyring()) {
            _ if value.stored.is_empty() => Class::Empty,
            (Some(header), _) => Class::Sealed(header.key),
            (None, Some(ring)) => Class::Classic(ring.sealing_id()),
            (None, None) => Class::Plain,
        }
    }

    /// The class of a value that opened.
    fn was(&self, value: &Value<'_>) -> Class {
        match Shape::of_header(value.stored) {
            Some(header) => Class::Sealed(header.key),
            None => value
                .open(&self.0)
                .map_or(Class::Unopenable, |(_, class)| class),
        }
    }
}
