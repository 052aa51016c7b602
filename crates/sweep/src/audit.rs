//! Audit: counts the stored values by class, and changes nothing.

use waxseal_core::{Header, KeyRole, OldFormat, OpenError, SealError, Sealer, Shape};

use crate::tally::Class;
use crate::task::{Task, Value, Verdict};

/// Counts values by class. Sealed values are recognized by their header unless the audit is deep; classic ones have none,
/// so they are always opened.
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

    /// Returns the verdict by the header alone; `None` if opening adds something: that the user was erased, or that the
    /// value is under another key of theirs.
    fn by_header(&self, value: &Value<'_>, header: Header) -> Option<Verdict> {
        let class = Class::of_header(header);
        let verdict = || match header.version < self.sealer.accepted_version() {
            true => {
                let (found, key) = (OldFormat::V2, header.key);
                value.fault(OpenError::Version { found, key })
            }
            false => Verdict::Keep(class),
        };
        if class == Class::OfUser {
            let is_enough = value.user.is_none_or(|key| key.id() == Some(header.key));
            return is_enough.then(verdict);
        }
        Some(match self.role(class) {
            Some(_) => verdict(),
            None if is_under_index_key(&self.sealer, header) => verdict(),
            None => value.fault(OpenError::UnknownKey { id: header.key }),
        })
    }
}

/// True if a value with this header is under an index key of the keyring.
pub(crate) fn is_under_index_key(sealer: &Sealer, header: Header) -> bool {
    let keyring = sealer.keyring();
    header.flags.deterministic() && keyring.is_some_and(|it| it.index_key(header.key).is_some())
}

impl Task for Audit {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn is_in_written_form(&self, value: &Value<'_>) -> Option<bool> {
        value.is_in_written_form(&self.sealer)
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
            // Under a known key that must not open anything.
            Err(Verdict::Fault(_, OpenError::Compromised { id })) => {
                Verdict::Keep(Class::Sealed(id))
            }
            Err(verdict) => verdict.accept_erased(),
        })
    }

    /// For values under keys that no longer seal: the report says from when such a key is unused.
    fn needs_expiry(&self, class: Class) -> bool {
        matches!(
            self.role(class),
            Some(KeyRole::DecryptOnly | KeyRole::Archived | KeyRole::Compromised)
        )
    }
}
