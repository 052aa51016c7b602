//! Which patterns have sealed names, and behind which prefixes.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use waxseal_core::{NamePrefix, NameSealer, PadNames, SharedKeyring};
use waxseal_kinds::{LogicalName, NameForms, NameUnavailable};
use waxseal_policy::{PatternId, ProtectedNames, RecordPattern};

use crate::view::{NameView, Opened};

/// How the names of a pattern are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedPattern {
    /// The multiple to which sealed names are padded.
    pub pad: PadNames,
}

/// Names cannot be stored as the patterns ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableError {
    /// The whole name is the prefix of this pattern, or a wildcard is missing.
    OneName(String),
    /// Two patterns with this prefix pad names differently.
    Pads(String),
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OneName(pattern) => write!(
                f,
                "\"{pattern}\" has sealed names and no wildcard: nothing of its name could be sealed"
            ),
            Self::Pads(prefix) => write!(
                f,
                "two patterns that begin with \"{prefix}\" have sealed names and different pad_names"
            ),
        }
    }
}

impl std::error::Error for TableError {}

/// The patterns whose names are sealed, with the keys that seal them. Cheap to clone.
#[derive(Clone)]
pub struct NameTable {
    pub(crate) patterns: Arc<Patterns>,
    sealer: NameSealer,
}

/// The part of the table that never changes.
pub(crate) struct Patterns {
    pub(crate) protected: Arc<ProtectedNames>,
    /// For each pattern of the policy, the index of its prefix if its names are sealed.
    prefix_of: Box<[Option<usize>]>,
    prefixes: Box<[NamePrefix]>,
    /// The indexes of the prefixes, the longest first.
    pub(crate) order: Box<[usize]>,
}

impl NameTable {
    /// A table of the patterns of this policy: `of` says by its index how the names of each are stored, `None` for plain ones.
    ///
    /// `None` if no pattern has sealed names.
    pub fn new(
        protected: Arc<ProtectedNames>,
        keyring: impl Into<SharedKeyring>,
        of: impl Fn(usize) -> Option<NamedPattern>,
    ) -> Result<Option<Self>, TableError> {
        let mut prefixes: Vec<(NamePrefix, PadNames)> = Vec::new();
        let mut prefix_of = Vec::new();
        for (id, pattern) in protected.iter() {
            let Some(named) = of(id.index()) else {
                prefix_of.push(None);
                continue;
            };
            let prefix = pattern.name_prefix();
            if !pattern.has_wildcard() {
                return Err(TableError::OneName(pattern.shown().to_owned()));
            }
            let bytes = prefix.as_bytes();
            let index = match prefixes.iter().position(|(it, _)| it.prefix() == bytes) {
                Some(index) => index,
                None => {
                    prefixes.push((NamePrefix::new(bytes, named.pad), named.pad));
                    prefixes.len().saturating_sub(1)
                }
            };
            if prefixes
                .get(index)
                .is_some_and(|(_, pad)| *pad != named.pad)
            {
                return Err(TableError::Pads(prefix.to_owned()));
            }
            prefix_of.push(Some(index));
        }
        if prefixes.is_empty() {
            return Ok(None);
        }
        let prefixes: Vec<_> = prefixes.into_iter().map(|(prefix, _)| prefix).collect();
        let mut order: Vec<_> = (0..prefixes.len()).collect();
        order.sort_by_key(|index| Reverse(prefixes.get(*index).map(|it| it.prefix().len())));
        let is_managed = |index: usize| prefix_of.get(index).is_some_and(Option::is_some);
        let protected = ProtectedNames::clone(&protected).with_managed_names(is_managed);
        let sealer = NameSealer::new(keyring, prefixes.clone());
        let patterns = Patterns {
            protected: Arc::new(protected),
            prefix_of: prefix_of.into(),
            prefixes: prefixes.into(),
            order: order.into(),
        };
        Ok(Some(Self {
            patterns: Arc::new(patterns),
            sealer,
        }))
    }

    /// A table of one pattern.
    pub fn of_one(
        pattern: RecordPattern,
        keyring: impl Into<SharedKeyring>,
        named: NamedPattern,
    ) -> Result<Self, TableError> {
        let shown = pattern.shown().to_owned();
        let protected = Arc::new(ProtectedNames::new(vec![pattern]));
        let table = Self::new(protected, keyring, |_| Some(named))?;
        // There is none only without patterns.
        table.ok_or(TableError::OneName(shown))
    }

    /// The table with the keys as they are now.
    #[must_use]
    pub fn view(&self) -> NameView {
        NameView::new(Arc::clone(&self.patterns), self.sealer.load())
    }

    /// The same table for passes that rename records: names open however they are padded.
    #[must_use]
    pub fn accepting_all_pads(&self) -> Self {
        Self {
            patterns: Arc::clone(&self.patterns),
            sealer: self.sealer.accepting_all_pads(),
        }
    }

    /// The patterns, those with sealed names marked as such ([`ProtectedNames::is_managed`]).
    #[must_use]
    pub fn protected(&self) -> &Arc<ProtectedNames> {
        &self.patterns.protected
    }
}

impl Patterns {
    /// The index of the prefix behind which the names of this pattern are sealed. Excepted names are plain.
    #[inline]
    pub(crate) fn prefix_of(&self, id: PatternId) -> Option<usize> {
        let index = self.prefix_of.get(id.index()).copied().flatten();
        index.filter(|_| !id.is_excepted())
    }

    /// The literal prefix with this index.
    #[inline]
    pub(crate) fn prefix(&self, index: usize) -> &[u8] {
        self.prefixes.get(index).map_or(&[], NamePrefix::prefix)
    }
}

impl NameForms for NameTable {
    fn stored(&self, logical: &[u8]) -> Result<Option<Vec<u8>>, NameUnavailable> {
        let stored = self.view().stored(logical);
        stored.map_err(|error| NameUnavailable(error.to_string()))
    }

    fn logical(&self, stored: &[u8]) -> LogicalName {
        let mut name = Vec::new();
        match self.view().open(stored, &mut name) {
            Opened::Same => LogicalName::Same,
            Opened::Name { .. } => LogicalName::Opened(name),
            Opened::LeftOut { reason, .. } => LogicalName::LeftOut(reason),
        }
    }

    fn prefixes(&self) -> Vec<&[u8]> {
        let prefixes = self.patterns.prefixes.iter();
        prefixes.map(NamePrefix::prefix).collect()
    }
}
