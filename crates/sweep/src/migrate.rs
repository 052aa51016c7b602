//! Migrate: seals plain values, and classic ones if the sealed format is asked for; where users have keys of their own,
//! everything is resealed under these; envelopes in another version of the sealed format than the one that is written are
//! resealed in that. Other envelopes under older keys of the ring are not changed: that is rotation.
//! Records with excepted names are skipped.

use waxseal_core::{Format, Kind, SealError, Sealer, Shape};

use crate::tally::Class;
use crate::task::{Scope, Task, Value, Verdict, can_seal};

/// Seals plain values.
pub struct Migrate(Sealer);

impl Migrate {
    /// A migration that writes as this sealer does.
    #[must_use]
    pub fn new(sealer: Sealer) -> Self {
        Self(sealer)
    }
}

/// True if an envelope is in another version of the sealed format than the one that is written.
fn is_of_other_version(sealer: &Sealer, value: &Value<'_>) -> bool {
    let header = Shape::of_header(value.stored);
    header.is_some_and(|header| header.version != sealer.written_version())
}

impl Task for Migrate {
    fn name(&self) -> &'static str {
        "migrate"
    }

    fn is_in_written_form(&self, value: &Value<'_>) -> Option<bool> {
        value.is_in_written_form(&self.0)
    }

    fn judge(&self, value: &Value<'_>) -> Result<Verdict, SealError> {
        let sealer = value.sealer(&self.0);
        let (plain, class) = match value.open(&sealer) {
            Ok(opened) => opened,
            Err(verdict) => return Ok(verdict.accept_erased()),
        };
        match class {
            Class::Plain => {}
            Class::Classic(_) if sealer.written_format() == Format::Sealed => {}
            // Resealing keeps the armor.
            Class::Sealed(_) if value.user.is_some() => return value.reseal(&sealer, class),
            Class::Sealed(_) | Class::OfUser if is_of_other_version(&sealer, value) => {
                return value.reseal(&sealer, class);
            }
            _ => return Ok(Verdict::Keep(class)),
        }
        match sealer.seal(&plain, value.binding()) {
            Ok(envelope) => Ok(Verdict::Replace(class, envelope)),
            Err(error) => value.seal_failure(class, error),
        }
    }

    fn seals(&self) -> bool {
        true
    }

    fn can_seal(&self, kind: Kind) -> bool {
        can_seal(&self.0, kind)
    }

    fn scope(&self) -> Scope {
        Scope::NotExcepted
    }
}
