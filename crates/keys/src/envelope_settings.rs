//! The versions of the sealed format that processes with a ring write and accept, as its document has them.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use waxseal_core::{EnvelopeRules, EnvelopeVersion};

/// The versions of the sealed format that processes write and accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnvelopeSettings {
    /// The version of new values.
    #[serde(with = "version")]
    pub write: EnvelopeVersion,
    /// The oldest version that opens.
    #[serde(with = "version")]
    pub accept: EnvelopeVersion,
    /// The time of the last change of these settings (milliseconds since the Unix epoch).
    pub since: u64,
}

impl EnvelopeSettings {
    /// The settings of a document of format 1, which has none.
    pub(crate) const FORMAT_1: Self = Self {
        write: EnvelopeVersion::V2,
        accept: EnvelopeVersion::V2,
        since: 0,
    };

    /// The rules for sealers.
    #[must_use]
    pub fn rules(&self) -> EnvelopeRules {
        EnvelopeRules {
            write: self.write,
            accept: self.accept,
        }
    }
}

mod version {
    //! A version as a number.

    use super::{Deserialize, Deserializer, EnvelopeVersion, Serializer};

    pub(super) fn serialize<S: Serializer>(
        version: &EnvelopeVersion,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(version.as_u8())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<EnvelopeVersion, D::Error> {
        let number = u8::deserialize(deserializer)?;
        EnvelopeVersion::try_from(number)
            .map_err(|_| serde::de::Error::custom("not a version of the sealed format"))
    }
}
