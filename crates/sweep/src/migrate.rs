//! Migrate: what is plain becomes sealed, and where the sealed format is asked for, what is classic
//! as well. Envelopes under older keys stay: that is rotation.

use waxseal_core::{Format, SealError, Sealer};

use crate::tally::Class;
use crate::task::{Task, Value, Verdict};

/// Seals what is plain.
pub struct Migrate(Sealer);

impl Migrate {
    /// A migration that writes as this sealer does.
    #[must_use]
    pub fn new(sealer: Sealer) -> Self {
        Self(sealer)
    }
}

impl Task for Migrate {
    fn judge(&self, value: &Value<'_>) -> Result<Verdict, SealError> {
        let (plain, class) = match value.open(&self.0) {
            Ok(opened) => opened,
            Err(verdict) => return Ok(verdict),
        };
        let upgrade =
            matches!(class, Class::Classic(_)) && self.0.written_format() == Format::Sealed;
        if class != Class::Plain && !upgrade {
            return Ok(Verdict::Keep(class));
        }
        Ok(Verdict::Replace(
            class,
            self.0.seal(&plain, value.binding())?,
        ))
    }
}
