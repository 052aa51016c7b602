//! The formats of keyring documents that this version reads and writes. What each contains is in
//! `keyring_document`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The format of a keyring document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub enum DocumentFormat {
    /// Data keys alone.
    V1,
    /// Index keys, versions of the sealed format, and settings of protected records as well.
    V2,
}

/// A number that is not a format known to this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the format of a keyring document is 1 or 2")]
pub struct UnknownFormat;

impl DocumentFormat {
    /// The newest format.
    pub const NEWEST: Self = Self::V2;

    /// The format as documents and reports have it.
    #[must_use]
    pub fn as_u32(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

impl From<DocumentFormat> for u32 {
    fn from(format: DocumentFormat) -> Self {
        format.as_u32()
    }
}

impl TryFrom<u32> for DocumentFormat {
    type Error = UnknownFormat;

    fn try_from(number: u32) -> Result<Self, UnknownFormat> {
        match number {
            1 => Ok(Self::V1),
            2 => Ok(Self::V2),
            _ => Err(UnknownFormat),
        }
    }
}

impl FromStr for DocumentFormat {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        match text {
            "1" => Ok(Self::V1),
            "2" => Ok(Self::V2),
            _ => Err(UnknownFormat),
        }
    }
}

impl fmt::Display for DocumentFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_u32().fmt(f)
    }
}
