//! Rotate: everything that is not under the sealing key comes under it, or where users have keys of
//! their own, under that of its user. The sealed format is never given up for the classic one. Under excepted
//! names plain values stay plain, and sealed ones come under the sealing key like all others: a rotation never
//! writes in clear what was sealed, and leaves nothing under a key that is destroyed after it.

use waxseal_core::{ResealError, ResealOutcome, SealError, Sealer, Shape};

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
    fn name(&self) -> &'static str {
        "rotate"
    }

    fn judge(&self, value: &Value<'_>) -> Result<Verdict, SealError> {
        let sealer = value.sealer(&self.0);
        if value.is_plain_as_excepted(&sealer) {
            return Ok(Verdict::Keep(Class::Plain));
        }
        match sealer.reseal(value.stored, value.binding()) {
            Ok(ResealOutcome::Current) => Ok(Verdict::Keep(self.current(value))),
            Ok(ResealOutcome::Replaced(envelope)) => {
                Ok(Verdict::Replace(was(value, &sealer), envelope))
            }
            Err(ResealError::Open(error)) => Ok(value.fault(error).leaving_erased()),
            Err(ResealError::Seal(error)) => value.unsealed(was(value, &sealer), error),
        }
    }

    fn seals(&self) -> bool {
        true
    }
}

impl Rotate {
    /// The class of a value that is as it shall be: what has no header is classic, and under the
    /// sealing key.
    fn current(&self, value: &Value<'_>) -> Class {
        match (Shape::of_header(value.stored), self.0.keyring()) {
            _ if value.stored.is_empty() => Class::Empty,
            (Some(header), _) => Class::of_header(header),
            (None, Some(ring)) => Class::Classic(ring.sealing_id()),
            (None, None) => Class::Plain,
        }
    }
}

/// The class of a value that opened.
fn was(value: &Value<'_>, sealer: &Sealer) -> Class {
    match Shape::of_header(value.stored) {
        Some(header) => Class::of_header(header),
        None => value
            .open(sealer)
            .map_or(Class::Unopenable, |(_, class)| class),
    }
}
