//! `AuditQuarantine`: counts the values in quarantine by the key that they are under, and changes nothing. A record in
//! quarantine holds a line of JSON about the move, then the stored bytes as they were (`docs/reference/formats.md`).

use waxseal_core::{Binding, SealError, Sealer, Shape};

use crate::audit::is_under_index_key;
use crate::tally::Class;
use crate::task::{Task, Value, Verdict};

/// Counts the values in quarantine.
pub struct AuditQuarantine {
    sealer: Sealer,
}

impl AuditQuarantine {
    /// A count that tries the keys of this sealer on values that name no key.
    #[must_use]
    pub fn new(sealer: Sealer) -> Self {
        // Which versions are accepted says nothing about the key.
        let sealer = sealer.accepting_all();
        Self { sealer }
    }

    fn class(&self, quarantined: &[u8]) -> Class {
        let line = quarantined.iter().position(|byte| *byte == b'\n');
        let Some(stored) = line.and_then(|end| quarantined.get(end + 1..)) else {
            return Class::Plain;
        };
        if let Some(header) = Shape::of_header(stored) {
            return match Class::of_header(header) {
                Class::Sealed(id)
                    if self
                        .sealer
                        .keyring()
                        .is_some_and(|it| it.role(id).is_none())
                        && !is_under_index_key(&self.sealer, header) =>
                {
                    Class::UnknownKey(id)
                }
                class => class,
            };
        }
        // The classic format is not bound to a record, so it opens under any name.
        match self.sealer.open(stored, Binding::record(b"")) {
            Ok(Some(opened)) => Class::from(opened.form),
            Ok(None) => Class::Empty,
            Err(_) => match Shape::of(stored) {
                Shape::Plain | Shape::Empty => Class::Plain,
                _ => Class::Unopenable,
            },
        }
    }
}

impl Task for AuditQuarantine {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn judge(&self, value: &Value<'_>) -> Result<Verdict, SealError> {
        // That it does not open was reported when it was moved.
        Ok(Verdict::Keep(self.class(value.stored)))
    }
}
