//! Rotate: reseals everything that is not under the sealing key, or under the key of its user where users have keys of
//! their own. The sealed format is never replaced by the classic one. Under excepted names plain values stay plain, and
//! sealed ones are resealed like all others: a rotation never writes a sealed value in clear, and leaves nothing under a
//! key that is destroyed after it.

use waxseal_core::{Kind, ResealError, ResealOutcome, SealError, Sealer, Shape};

use crate::tally::Class;
use crate::task::{Task, Value, Verdict, can_seal};

/// Reseals everything under the sealing key.
pub struct Rotate(Sealer);

impl Rotate {
    /// A rotation to the sealing key of this sealer.
    #[must_use]
    pub fn new(sealer: Sealer) -> Self {
        Self(sealer)
    }
}

impl Task for Rotate {
    fn name(&self) -> &'static str {
        "rotate"
    }

    fn is_in_written_form(&self, value: &Value<'_>) -> Option<bool> {
        value.is_in_written_form(&self.0)
    }

    fn judge(&self, value: &Value<'_>) -> Result<Verdict, SealError> {
        let sealer = value.sealer(&self.0);
        if value.is_plain_as_excepted(&sealer) {
            return Ok(Verdict::Keep(Class::Plain));
        }
        if value.stored.is_empty() && value.is_value() {
            return value.reseal(&sealer, Class::Plain);
        }
        match sealer.reseal(value.stored, value.binding()) {
            Ok(ResealOutcome::Current) => Ok(Verdict::Keep(self.current_class(value))),
            Ok(ResealOutcome::Replaced(envelope)) => {
                Ok(Verdict::Replace(old_class(value, &sealer), envelope))
            }
            Err(ResealError::Open(error)) => Ok(value.fault(error).accept_erased()),
            Err(ResealError::Seal(error)) => value.seal_failure(old_class(value, &sealer), error),
        }
    }

    fn seals(&self) -> bool {
        true
    }

    fn can_seal(&self, kind: Kind) -> bool {
        can_seal(&self.0, kind)
    }
}

impl Rotate {
    /// Returns the class of a value that needs no change: without a header it is classic, and under the sealing key.
    fn current_class(&self, value: &Value<'_>) -> Class {
        match (Shape::of_header(value.stored), self.0.keyring()) {
            _ if value.stored.is_empty() => Class::Empty,
            (Some(header), _) => Class::of_header(header),
            (None, Some(ring)) => Class::Classic(ring.sealing_id()),
            (None, None) => Class::Plain,
        }
    }
}

/// Returns the class of a value before it was resealed.
fn old_class(value: &Value<'_>, sealer: &Sealer) -> Class {
    match Shape::of_header(value.stored) {
        Some(header) => Class::of_header(header),
        None => value
            .open(sealer)
            .map_or(Class::Unopenable, |(_, class)| class),
    }
}
