//! Audit: counts what lies there, and changes nothing.

use waxseal_core::{KeyRole, OpenError, SealError, Sealer, Shape};

use crate::tally::Class;
use crate::task::{Task, Value, Verdict};

/// Counts values by class. Sealed values are told by their header unless the audit is deep; classic
/// ones have none, so they are always opened.
pub struct Audit {
    sealer: Sealer,
    deep: bool,
}

impl Audit {
    /// An audit that tries keys with this sealer; a deep one opens every value.
    #[must_use]
    pub fn new(sealer: Sealer, deep: bool) -> Self {
        Self { sealer, deep }
    }

    fn role(&self, class: Class) -> Option<KeyRole> {
        let (Class::Classic(id) | Class::Sealed(id)) = class else {
            return None;
        };
        self.sealer.keyring().and_then(|ring| ring.role(id))
    }
}

impl Task for Audit {
    fn judge(&self, value: &Value<'_>) -> Result<Verdict, SealError> {
        let by_header = match Shape::of_header(value.stored) {
            Some(header) if !self.deep && !header.flags.per_user_key() => Some(header.key),
            _ => None,
        };
        if let Some(id) = by_header {
            return Ok(match self.role(Class::Sealed(id)) {
                Some(_) => Verdict::Keep(Class::Sealed(id)),
                None => value.fault(OpenError::UnknownKey { id }),
            });
        }
        Ok(match value.open(&self.sealer) {
            Ok((_, class)) => Verdict::Keep(class),
            Err(verdict) => verdict,
        })
    }

    /// Asked only of what is under an older key: "unused from about …".
    fn wants_lifetime(&self, class: Class) -> bool {
        self.role(class) == Some(KeyRole::Opening)
    }
}
