//! The table with the keys of one moment: logical names to stored ones, and back.

use std::sync::Arc;

use waxseal_core::{KeyId, NameError, PreparedNames, SealError};
use waxseal_kinds::LeftOut;
use waxseal_policy::{PatternId, ProtectedNames};

use crate::table::Patterns;

/// The patterns whose names are sealed, with the keys of one moment. Cheap to clone.
#[derive(Clone)]
pub struct NameView {
    patterns: Arc<Patterns>,
    names: PreparedNames,
}

/// What a stored name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// It is the logical name: its pattern has no sealed names, or it is excepted.
    Same,
    /// It is sealed: its logical name was appended.
    Name {
        /// The pattern of the logical name.
        pattern: PatternId,
        /// The key that it is sealed under.
        key: KeyId,
    },
    /// Applications cannot use it.
    LeftOut {
        /// The reason.
        reason: LeftOut,
        /// The key that it says it is sealed under, if that is the reason.
        key: Option<KeyId>,
    },
}

impl NameView {
    pub(crate) fn new(patterns: Arc<Patterns>, names: PreparedNames) -> Self {
        Self { patterns, names }
    }

    /// The patterns of records.
    #[must_use]
    pub fn protected(&self) -> &ProtectedNames {
        &self.patterns.protected
    }

    /// Appends the stored form of a name of this pattern to `out`, which is unchanged after an error. Returns false, and
    /// appends nothing, if it is the name itself.
    #[inline]
    pub fn seal(
        &self,
        pattern: PatternId,
        logical: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<bool, SealError> {
        let Some(prefix) = self.patterns.prefix_of(pattern) else {
            return Ok(false);
        };
        self.names.seal(prefix, 0, logical, out)?;
        Ok(true)
    }

    /// The stored form of any name; `None` if it is the name itself.
    pub fn stored(&self, logical: &[u8]) -> Result<Option<Vec<u8>>, SealError> {
        let Some(pattern) = self.patterns.protected.find(logical) else {
            return Ok(None);
        };
        let mut stored = Vec::new();
        let is_sealed = self.seal(pattern, logical, &mut stored)?;
        Ok(is_sealed.then_some(stored))
    }

    /// Says what a stored name means, and appends the logical name to `out` if it is another one.
    pub fn open(&self, stored: &[u8], out: &mut Vec<u8>) -> Opened {
        let mut left_out = None;
        for &prefix in &*self.patterns.order {
            if !PreparedNames::may_be_sealed(self.patterns.prefix(prefix), stored) {
                continue;
            }
            let start = out.len();
            match self.names.open(prefix, stored, out) {
                Ok(key) => {
                    let logical = out.get(start..).unwrap_or_default();
                    match self.patterns.protected.find(logical) {
                        Some(pattern) if self.patterns.prefix_of(pattern) == Some(prefix) => {
                            return Opened::Name { pattern, key };
                        }
                        _ => {
                            out.truncate(start);
                            left_out = Some((LeftOut::Foreign, None));
                        }
                    }
                }
                Err(NameError::UnknownKey { id } | NameError::Compromised { id }) => {
                    left_out = left_out.or(Some((LeftOut::UnknownKey, Some(id))));
                }
                Err(_) => left_out = left_out.or(Some((LeftOut::Junk, None))),
            }
        }
        let plain = self.patterns.protected.find(stored);
        let is_managed = plain.and_then(|id| self.patterns.prefix_of(id)).is_some();
        match left_out {
            // Excepted names and those of another pattern are stored as they are, whatever they look like.
            Some(_) if plain.is_some() && !is_managed => Opened::Same,
            Some((reason, key)) => Opened::LeftOut { reason, key },
            None if is_managed => Opened::LeftOut {
                reason: LeftOut::Stray,
                key: None,
            },
            None => Opened::Same,
        }
    }

    /// Appends the name that a stored one is a sealed form of to `out`, whatever pattern it belongs to, if it opens behind
    /// one of the prefixes. Returns the key.
    pub fn open_any(&self, stored: &[u8], out: &mut Vec<u8>) -> Option<KeyId> {
        let mut prefixes = self.patterns.order.iter();
        prefixes.find_map(|&prefix| self.names.open(prefix, stored, out).ok())
    }

    /// True if a stored name has the form of a sealed one behind the prefix of this pattern, if its names are sealed.
    #[must_use]
    pub fn may_be_sealed(&self, pattern: PatternId, stored: &[u8]) -> bool {
        let prefix = self.patterns.prefix_of(pattern);
        prefix.is_some_and(|prefix| {
            PreparedNames::may_be_sealed(self.patterns.prefix(prefix), stored)
        })
    }
}
