//! What is protected and how: the patterns, and one sealer for each.

use waxseal_core::{NameMask, Sealer};
use waxseal_policy::{PatternId, ProtectedNames, RecordPattern};

/// The protected records and what seals them.
pub struct Protection {
    names: ProtectedNames,
    sealers: Vec<Sealer>,
    mask: NameMask,
}

impl Protection {
    /// Patterns in the order in which they are tried, each with the sealer of its records; and how
    /// record names are shown in the log.
    #[must_use]
    pub fn new(protected: Vec<(RecordPattern, Sealer)>, mask: NameMask) -> Self {
        let (patterns, sealers) = protected.into_iter().unzip();
        Self {
            names: ProtectedNames::new(patterns),
            sealers,
            mask,
        }
    }

    /// The patterns.
    #[must_use]
    pub fn names(&self) -> &ProtectedNames {
        &self.names
    }

    /// The sealer of a pattern's records. `None` for an id of another set of patterns.
    pub(crate) fn sealer(&self, pattern: PatternId) -> Option<&Sealer> {
        self.sealers.get(pattern.index())
    }

    /// A record name as the log may show it.
    pub(crate) fn show(&self, pattern: PatternId, name: &[u8]) -> String {
        self.mask.show(self.names.pattern(pattern).prefix(), name)
    }
}
