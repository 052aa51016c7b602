//! What layers that do not see each other must mean alike: the kind of a value in its record, and how the names of records
//! are stored.
//!
//! Version 3 of the sealed format binds an envelope to its kind, the policy knows it from the command that carries the value,
//! and a store from the type of the record.

mod name_forms;
mod names;

use std::fmt;

pub use name_forms::{LeftOut, LogicalName, NameForms, NameUnavailable};
pub use names::NameState;

/// The kind of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The whole value of a string record.
    String,
    /// An element of a list.
    ListElement,
    /// The value of a field of a hash.
    HashField,
    /// A member of a set, of a sorted set or of a geo record.
    Member,
    /// The value of a field of a stream entry.
    StreamField,
    /// A message that is published.
    Message,
    /// The name of a record, or the part of it that is sealed.
    RecordName,
}

impl Kind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::String,
        Self::ListElement,
        Self::HashField,
        Self::Member,
        Self::StreamField,
        Self::Message,
        Self::RecordName,
    ];

    /// The kind in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::ListElement => "list element",
            Self::HashField => "hash field",
            Self::Member => "member",
            Self::StreamField => "stream field",
            Self::Message => "message",
            Self::RecordName => "record name",
        }
    }

    /// The number in the associated data of version 3.
    #[must_use]
    pub fn as_u8(self) -> u8 {
        match self {
            Self::String => 1,
            Self::ListElement => 2,
            Self::HashField => 3,
            Self::Member => 4,
            Self::StreamField => 5,
            Self::Message => 6,
            Self::RecordName => 7,
        }
    }

    /// True if a value of this kind has a field.
    #[must_use]
    pub fn has_field(self) -> bool {
        matches!(self, Self::HashField | Self::StreamField)
    }

    /// True if values of this kind may be written in version 2 of the sealed format, which has no kinds, and in the
    /// classic format. Those of all others are in version 3 only.
    #[must_use]
    pub fn is_in_version_2(self) -> bool {
        matches!(self, Self::String | Self::ListElement | Self::HashField)
    }

    /// True if values of this kind are looked up by their bytes: equal ones have equal envelopes.
    #[must_use]
    pub fn is_deterministic(self) -> bool {
        matches!(self, Self::Member | Self::RecordName)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_numbered_from_one_in_their_order() {
        let numbers: Vec<u8> = Kind::ALL.into_iter().map(Kind::as_u8).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
        assert!(Kind::ALL.is_sorted());
    }
}
