//! Rotate: everything that is not under the sealing key comes under it. The sealed format is never
//! given up for the classic one.

use waxseal_core::{ResealError, Resealed, SealError, Sealer};

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
            Ok(Resealed::Current) if value.stored.is_empty() => Ok(Verdict::Keep(Class::Empty)),
            Ok(Resealed::Current) => Ok(Verdict::Keep(self.sealing())),
            Ok(Resealed::Replaced(envelope)) => Ok(Verdict::Replace(Class::Plain, envelope)),
            Err(ResealError::Open(error)) => Ok(value.fault(error)),
            Err(ResealError::Seal(error)) => Err(error),
        }
    }
}

impl Rotate {
    fn sealing(&self) -> Class {
        self.0
            .keyring()
            .map_or(Class::Plain, |ring| Class::Sealed(ring.sealing_id()))
    }
}
