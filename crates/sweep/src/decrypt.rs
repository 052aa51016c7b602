//! Decrypt: writes everything in plaintext, to stop using Waxseal. Values of erased users stay sealed, and are findings.

use waxseal_core::{SealError, Sealer};

use crate::tally::Class;
use crate::task::{Scope, Task, Value, Verdict};

/// Writes everything in plaintext.
pub struct Decrypt {
    sealer: Sealer,
    scope: Scope,
}

impl Decrypt {
    /// Opens with this sealer.
    #[must_use]
    pub fn new(sealer: Sealer) -> Self {
        Self {
            sealer,
            scope: Scope::All,
        }
    }

    /// Restricts it to records whose names are excepted from the pattern.
    #[must_use]
    pub fn only_excepted(self) -> Self {
        Self {
            scope: Scope::Excepted,
            ..self
        }
    }
}

impl Task for Decrypt {
    fn name(&self) -> &'static str {
        "decrypt"
    }

    fn judge(&self, value: &Value<'_>) -> Result<Verdict, SealError> {
        Ok(match value.open(&value.sealer(&self.sealer)) {
            Ok((_, Class::Plain)) => Verdict::Keep(Class::Plain),
            Ok((plain, class)) => Verdict::Replace(class, plain.into_owned()),
            Err(verdict) => verdict,
        })
    }

    fn scope(&self) -> Scope {
        self.scope
    }
}
