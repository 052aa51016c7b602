//! The interface between what uses records by the names that applications know, and how these names are stored.

use std::fmt;

/// How the names of records are stored, for stores, which see no key.
pub trait NameForms: Send + Sync {
    /// The name under which the record with this logical name is stored; `None` if it is the same.
    fn stored(&self, logical: &[u8]) -> Result<Option<Vec<u8>>, NameUnavailable>;

    /// The logical name of a record that is stored under this name.
    fn logical(&self, stored: &[u8]) -> LogicalName;

    /// The literal prefixes of the patterns with sealed names. Each stored name that is not its own logical one begins with
    /// one of them.
    fn prefixes(&self) -> Vec<&[u8]>;
}

/// What a stored name means.
#[derive(Clone, PartialEq, Eq)]
pub enum LogicalName {
    /// It is the logical name.
    Same,
    /// It is a sealed form of this one.
    Opened(Vec<u8>),
    /// It is no name that applications can use.
    LeftOut(LeftOut),
}

/// The reason why a stored name is the name of no record for applications.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeftOut {
    /// It has the form of a sealed name and does not open.
    Junk,
    /// It opens to a name of no pattern whose names are sealed behind this prefix.
    Foreign,
    /// It is in clear where names are sealed.
    Stray,
    /// It is sealed under a key that is not known.
    UnknownKey,
}

impl LeftOut {
    /// All reasons.
    pub const ALL: [Self; 4] = [Self::Junk, Self::Foreign, Self::Stray, Self::UnknownKey];

    /// The reason as metrics and reports have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Junk => "junk",
            Self::Foreign => "foreign",
            Self::Stray => "stray",
            Self::UnknownKey => "unknown_key",
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names are not debugged: they tell who.
impl fmt::Debug for LogicalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same => f.write_str("Same"),
            Self::Opened(name) => write!(f, "Opened({} bytes)", name.len()),
            Self::LeftOut(reason) => write!(f, "LeftOut({reason})"),
        }
    }
}

/// The stored form of a name cannot be made: the reason, without the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameUnavailable(pub String);

impl fmt::Display for NameUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NameUnavailable {}
