//! Decrypt: everything back to plain, for leaving. What was sealed for an erased user stays sealed, and
//! is a finding.

use waxseal_core::{SealError, Sealer};

use crate::tally::Class;
use crate::task::{Scope, Task, Value, Verdict};

/// Turns everything back to plain.
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

    /// The same for records whose names are excepted from the pattern, and no others.
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
