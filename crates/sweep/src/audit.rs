//! Audit: counts what lies there, and changes nothing.

use waxseal_core::{Header, KeyRole, OpenError, SealError, Sealer, Shape};

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
        let id = class.key()?;
        self.sealer.keyring().and_then(|ring| ring.role(id))
    }

    /// What the header alone tells; `None` where opening tells more at no cost: that the user was
    /// erased, or that the value is under another key of theirs.
    fn by_header(&self, value: &Value<'_>, header: Header) -> Option<Verdict> {
        let class = Class::of_header(header);
        if class == Class::OfUser {
            let told = value.user.is_none_or(|key| key.id() == Some(header.key));
            return told.then_some(Verdict::Keep(class));
        }
        Some(match self.role(class) {
            Some(_) => Verdict::Keep(class),
            None => value.fault(OpenError::UnknownKey { id: header.key }),
        })
    }
}

impl Task for Audit {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn judge(&self, value: &Value<'_>) -> Result<Verdict, SealError> {
        if let Some(header) = Shape::of_header(value.stored)
            && !self.deep
            && let Some(verdict) = self.by_header(value, header)
        {
            return Ok(verdict);
        }
        Ok(match value.open(&value.sealer(&self.sealer)) {
            Ok((_, class)) => Verdict::Keep(class),
            // Under a known key, and not opened on purpose.
            Err(Verdict::Fault(_, OpenError::Compromised { id })) => {
                Verdict::Keep(Class::Sealed(id))
            }
            Err(verdict) => verdict.leaving_erased(),
        })
    }

    /// Asked only of what is under a key that seals no more: "unused from about …".
    fn wants_lifetime(&self, class: Class) -> bool {
        matches!(
            self.role(class),
            Some(KeyRole::DecryptOnly | KeyRole::Archived | KeyRole::Compromised)
        )
    }
}
