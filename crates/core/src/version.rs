//! Versions of the sealed format: the one that is written, and the oldest that is accepted.

use std::fmt;
use std::str::FromStr;

use crate::envelope::Defect;
use crate::options::InvalidOption;

/// A version of the sealed format, as the header has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EnvelopeVersion {
    /// Bound to the record name, and the field of a hash.
    V2,
    /// Bound to the kind of value, the domain, the record or group, and the field.
    V3,
}

/// The version that is written, and the oldest that is accepted. A value of an older version or in the classic format
/// is refused, whatever key it is under. `accept` is at most `write`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvelopeRules {
    /// The version that is written.
    pub write: EnvelopeVersion,
    /// The oldest version that opens.
    pub accept: EnvelopeVersion,
}

impl EnvelopeVersion {
    /// The number, as it is stored.
    #[must_use]
    pub fn as_u8(self) -> u8 {
        match self {
            Self::V2 => 2,
            Self::V3 => 3,
        }
    }
}

impl Default for EnvelopeRules {
    /// Version 2, which every release reads.
    fn default() -> Self {
        Self {
            write: EnvelopeVersion::V2,
            accept: EnvelopeVersion::V2,
        }
    }
}

impl TryFrom<u8> for EnvelopeVersion {
    type Error = Defect;

    fn try_from(number: u8) -> Result<Self, Defect> {
        match number {
            2 => Ok(Self::V2),
            3 => Ok(Self::V3),
            _ => Err(Defect::Version(number)),
        }
    }
}

impl fmt::Display for EnvelopeVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_u8())
    }
}

impl FromStr for EnvelopeVersion {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<Self, InvalidOption> {
        match text {
            "2" => Ok(Self::V2),
            "3" => Ok(Self::V3),
            _ => Err(InvalidOption::new("the version", "2, 3", text)),
        }
    }
}

/// A form of envelopes that is older than version 3 of the sealed format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OldFormat {
    /// The classic format.
    Classic,
    /// Version 2 of the sealed format.
    V2,
}

impl OldFormat {
    /// The word that reports have for it: `classic` or `2`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::V2 => "2",
        }
    }
}

impl fmt::Display for OldFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classic => "in the classic format",
            Self::V2 => "in version 2 of the sealed format",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_and_only_the_known_ones() {
        for version in [EnvelopeVersion::V2, EnvelopeVersion::V3] {
            assert_eq!(EnvelopeVersion::try_from(version.as_u8()), Ok(version));
            assert_eq!(version.to_string().parse(), Ok(version));
        }
        assert_eq!(EnvelopeVersion::try_from(4), Err(Defect::Version(4)));
        let error = "4".parse::<EnvelopeVersion>().unwrap_err();
        assert!(error.to_string().starts_with("the version is one of 2, 3"));
        assert!(EnvelopeVersion::V2 < EnvelopeVersion::V3);
    }
}
