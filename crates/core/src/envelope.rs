//! The form of envelopes: the header of the sealed format, and the classification of stored values by their bytes.
//! Nothing is decrypted here.

use std::fmt;

use crate::armor;
use crate::classic;
use crate::key::KeyId;
use crate::siv::SIV_LEN;
use crate::version::EnvelopeVersion;

/// `F5` never occurs in UTF-8, so no JSON or text value starts with this.
pub(crate) const MAGIC: [u8; 2] = [0xF5, 0x57];
pub(crate) const HEADER_LEN: usize = 8;
pub(crate) const NONCE_LEN: usize = 24;
pub(crate) const TAG_LEN: usize = 16;
/// The number of bytes that an envelope with a random nonce adds to its value.
pub(crate) const OVERHEAD: usize = HEADER_LEN + NONCE_LEN + TAG_LEN;
/// The number of bytes that a deterministic envelope adds to its value.
pub(crate) const DETERMINISTIC_OVERHEAD: usize = HEADER_LEN + SIV_LEN;

const RECORD: u8 = 0x01;
const FIELD: u8 = 0x02;
const USER: u8 = 0x04;
const GROUP: u8 = 0x08;
const DETERMINISTIC: u8 = 0x10;

/// The flags of a sealed envelope's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    pub(crate) fn of_record(record: bool, field: bool) -> Self {
        Self(if record { RECORD } else { 0 } | if field { FIELD } else { 0 })
    }

    pub(crate) fn of_group(field: bool) -> Self {
        Self(GROUP | if field { FIELD } else { 0 })
    }

    pub(crate) fn with_user_key(self) -> Self {
        Self(self.0 | USER)
    }

    pub(crate) fn deterministically(self) -> Self {
        Self(self.0 | DETERMINISTIC)
    }

    /// `None` if a flag is unknown in this version, or if an envelope of version 3 is not bound to exactly one of record
    /// and group.
    fn parse(version: EnvelopeVersion, byte: u8) -> Option<Self> {
        let is_valid = match version {
            EnvelopeVersion::V2 => byte & !(RECORD | FIELD | USER) == 0,
            EnvelopeVersion::V3 => {
                byte & !(RECORD | FIELD | USER | GROUP | DETERMINISTIC) == 0
                    && (byte & RECORD == 0) != (byte & GROUP == 0)
            }
        };
        is_valid.then_some(Self(byte))
    }

    /// The envelope is bound to the record name.
    #[must_use]
    pub fn bound_to_record(self) -> bool {
        self.0 & RECORD != 0
    }

    /// The envelope is bound to the field of a hash or of a stream entry.
    #[must_use]
    pub fn bound_to_field(self) -> bool {
        self.0 & FIELD != 0
    }

    /// The envelope is bound to the id of a group instead of the record name.
    #[must_use]
    pub fn bound_to_group(self) -> bool {
        self.0 & GROUP != 0
    }

    /// The envelope is sealed under a key of the user's own.
    #[must_use]
    pub fn per_user_key(self) -> bool {
        self.0 & USER != 0
    }

    /// The envelope is sealed deterministically.
    #[must_use]
    pub fn deterministic(self) -> bool {
        self.0 & DETERMINISTIC != 0
    }

    /// The same flags without the one for a key of the user.
    pub(crate) fn place(self) -> Self {
        Self(self.0 & !USER)
    }
}

/// The header of a sealed envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The version.
    pub version: EnvelopeVersion,
    /// The flags: the binding, the owner of the key, and how it is sealed.
    pub flags: Flags,
    /// The key that it is sealed under.
    pub key: KeyId,
}

impl Header {
    pub(crate) fn to_bytes(self) -> [u8; HEADER_LEN] {
        let [m0, m1] = MAGIC;
        let [k0, k1, k2, k3] = self.key.to_u32().to_be_bytes();
        let version = self.version.as_u8();
        [m0, m1, version, self.flags.0, k0, k1, k2, k3]
    }

    /// The header in these bytes, which start with the magic.
    fn parse(bytes: [u8; HEADER_LEN]) -> Result<Self, Defect> {
        let [_, _, version, flags, k0, k1, k2, k3] = bytes;
        let version = EnvelopeVersion::try_from(version)?;
        Ok(Self {
            version,
            flags: Flags::parse(version, flags).ok_or(Defect::Flags(flags))?,
            key: KeyId::from_u32(u32::from_be_bytes([k0, k1, k2, k3])),
        })
    }
}

/// The defect of bytes that start like a sealed envelope and are not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// It is shorter than the smallest envelope.
    Truncated,
    /// A version that this program does not know.
    Version(u8),
    /// A flag that this program does not know, or flags that exclude each other.
    Flags(u8),
    /// The armored form does not decode.
    Armor,
    /// All bytes of the header but one are right, or there is the id of a known key in its position.
    Header,
    /// A client has read it as text and written it back.
    Text,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("it is truncated"),
            Self::Version(version) => write!(f, "its version {version} is unknown"),
            Self::Flags(flags) => write!(f, "its flags {flags:#04x} are unknown"),
            Self::Armor => f.write_str("its armored form does not decode"),
            Self::Header => f.write_str("its header is damaged"),
            Self::Text => f.write_str("it was read as text and written back"),
        }
    }
}

/// The form of stored bytes, determined without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// No bytes at all.
    Empty,
    /// A sealed envelope, according to its header.
    Sealed {
        /// Its header.
        header: Header,
        /// True if it is in the armored form.
        armored: bool,
    },
    /// Bytes that start like a sealed envelope and are not one.
    Malformed(Defect),
    /// Base64 that is long enough for a classic envelope: only opening it shows whether it is one.
    MaybeClassic,
    /// Anything else.
    Plain,
}

impl Shape {
    /// Classifies a stored value.
    #[must_use]
    pub fn of(stored: &[u8]) -> Self {
        if stored.is_empty() {
            return Self::Empty;
        }
        if stored.starts_with(&MAGIC) {
            return match split(stored) {
                Ok((header, _)) => Self::Sealed {
                    header,
                    armored: false,
                },
                Err(defect) => Self::Malformed(defect),
            };
        }
        if stored.starts_with(armor::PREFIX) {
            return match armor::decode(stored).as_deref().map(split) {
                Some(Ok((header, _))) => Self::Sealed {
                    header,
                    armored: true,
                },
                Some(Err(defect)) => Self::Malformed(defect),
                None => Self::Malformed(Defect::Armor),
            };
        }
        if is_text_of_an_envelope(stored) {
            Self::Malformed(Defect::Text)
        } else if damaged_header(stored, |_| false) {
            Self::Malformed(Defect::Header)
        } else if classic::looks_like(stored) {
            Self::MaybeClassic
        } else {
            Self::Plain
        }
    }

    /// The header of a sealed envelope, if this is one, without checking anything else.
    #[must_use]
    pub fn of_header(stored: &[u8]) -> Option<Header> {
        match (
            stored.starts_with(&MAGIC),
            stored.starts_with(armor::PREFIX),
        ) {
            (false, false) => None,
            _ => match Self::of(stored) {
                Self::Sealed { header, .. } => Some(header),
                _ => None,
            },
        }
    }
}

/// True if these bytes are a sealed envelope with a damaged header, binary or armored with a damaged prefix: long
/// enough for one, and with three of the four bytes of magic, version and flags right, or with the id of a known key
/// in its position.
///
/// Any single byte of a header can be damaged and the envelope is still distinguished from a plain value: if it is one
/// of the first four, three remain, and if it is one of the key id, all four of these. Random bytes are taken for a
/// damaged envelope a few times in a million. An envelope that is shorter than one with a nonce must be deterministic
/// according to its version and flags, and in the armored form have all four bytes: random tokens have such lengths.
pub(crate) fn damaged_header(stored: &[u8], knows: impl Fn(KeyId) -> bool) -> bool {
    let is_hit = |header: &[u8; HEADER_LEN]| {
        let [_, _, _, _, k0, k1, k2, k3] = *header;
        right_bytes(header) >= 3 || knows(KeyId::from_u32(u32::from_be_bytes([k0, k1, k2, k3])))
    };
    let is_binary = stored.first_chunk().is_some_and(|header| {
        stored.len() >= OVERHEAD && is_hit(header)
            || stored.len() >= DETERMINISTIC_OVERHEAD
                && is_deterministic(header)
                && right_bytes(header) >= 3
    });
    let is_armored = || {
        armor::header_behind_any_prefix(stored).is_some_and(|(header, is_long)| {
            is_long && is_hit(&header) || is_deterministic(&header) && right_bytes(&header) == 4
        }) && armor::is_armored_behind_any_prefix(stored)
    };
    is_binary || is_armored()
}

/// The number of bytes of magic, version and flags that are right.
fn right_bytes(header: &[u8; HEADER_LEN]) -> usize {
    let [m0, m1, version, flags, ..] = *header;
    let version = EnvelopeVersion::try_from(version);
    let is_flags = |version| Flags::parse(version, flags).is_some();
    let right = [
        m0 == MAGIC[0],
        m1 == MAGIC[1],
        version.is_ok(),
        match version {
            Ok(version) => is_flags(version),
            Err(_) => is_flags(EnvelopeVersion::V2) || is_flags(EnvelopeVersion::V3),
        },
    ];
    right.iter().filter(|it| **it).count()
}

/// True if version and flags are those of a deterministic envelope.
fn is_deterministic(header: &[u8; HEADER_LEN]) -> bool {
    Header::parse(*header).is_ok_and(|header| header.flags.deterministic())
}

/// True if a binary envelope was converted as text: its first byte is invalid in UTF-8, so a client has replaced it
/// by the replacement character, or by its letter in Latin-1.
pub(crate) fn is_text_of_an_envelope(stored: &[u8]) -> bool {
    let rest = stored
        .strip_prefix("\u{fffd}".as_bytes())
        .or_else(|| stored.strip_prefix("\u{f5}".as_bytes()));
    let Some([letter, version, flags, ..]) = rest else {
        return false;
    };
    let flags = EnvelopeVersion::try_from(*version)
        .ok()
        .and_then(|version| Flags::parse(version, *flags));
    let shortest = |flags: Flags| match flags.deterministic() {
        true => DETERMINISTIC_OVERHEAD,
        false => OVERHEAD,
    };
    *letter == MAGIC[1] && flags.is_some_and(|flags| stored.len() >= shortest(flags))
}

/// The parts of a sealed envelope after its header.
#[derive(Clone, Copy)]
pub(crate) enum Body<'a> {
    /// With a random nonce.
    Random {
        nonce: &'a [u8; NONCE_LEN],
        ciphertext: &'a [u8],
        tag: &'a [u8; TAG_LEN],
    },
    /// With a synthetic IV.
    Deterministic {
        iv: &'a [u8; SIV_LEN],
        ciphertext: &'a [u8],
    },
}

/// Splits bytes that start with the magic into header and body.
pub(crate) fn split(bytes: &[u8]) -> Result<(Header, Body<'_>), Defect> {
    let (header, rest) = bytes
        .split_first_chunk::<HEADER_LEN>()
        .ok_or(Defect::Truncated)?;
    if !header.starts_with(&MAGIC) {
        return Err(Defect::Armor);
    }
    let header = Header::parse(*header)?;
    if header.flags.deterministic() {
        let (iv, ciphertext) = rest.split_first_chunk().ok_or(Defect::Truncated)?;
        return Ok((header, Body::Deterministic { iv, ciphertext }));
    }
    let (nonce, rest) = rest.split_first_chunk().ok_or(Defect::Truncated)?;
    let (ciphertext, tag) = rest.split_last_chunk().ok_or(Defect::Truncated)?;
    let body = Body::Random {
        nonce,
        ciphertext,
        tag,
    };
    Ok((header, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_defect_has_its_own_answer() {
        let mut bytes = vec![0u8; 48];
        bytes[..4].copy_from_slice(&[0xF5, 0x57, 2, 1]);
        assert!(matches!(
            Shape::of(&bytes),
            Shape::Sealed { armored: false, .. }
        ));
        assert_eq!(Shape::of(&bytes[..47]), Shape::Malformed(Defect::Truncated));
        assert_eq!(Shape::of(&bytes[..3]), Shape::Malformed(Defect::Truncated));
        for version in [0, 1, 4, 255] {
            bytes[2] = version;
            let unknown = Shape::Malformed(Defect::Version(version));
            assert_eq!(Shape::of(&bytes), unknown);
        }
        bytes[2] = 2;
        bytes[3] = 0x08;
        assert_eq!(Shape::of(&bytes), Shape::Malformed(Defect::Flags(8)));
        assert_eq!(Shape::of(b"ws2:!!!"), Shape::Malformed(Defect::Armor));
        assert_eq!(Shape::of(b"ws2:AAAA"), Shape::Malformed(Defect::Truncated));
        assert_eq!(Shape::of(b""), Shape::Empty);
        assert_eq!(Shape::of(b"{\"status\":1}"), Shape::Plain);
    }

    #[test]
    fn version_3_is_bound_to_exactly_one_of_record_and_group() {
        for flags in 0..=u8::MAX {
            let one_scope = (flags & 0x01 != 0) ^ (flags & 0x08 != 0);
            let is_valid = flags < 0x20 && one_scope;
            let parsed = Flags::parse(EnvelopeVersion::V3, flags);
            assert_eq!(parsed, is_valid.then_some(Flags(flags)), "{flags:#x}");
            let parsed = Flags::parse(EnvelopeVersion::V2, flags);
            assert_eq!(parsed, (flags < 8).then_some(Flags(flags)), "{flags:#x}");
        }
    }

    #[test]
    fn a_deterministic_envelope_has_24_bytes_or_more_and_another_one_48() {
        let mut bytes = [0u8; 48];
        bytes[..4].copy_from_slice(&[0xF5, 0x57, 3, 0x11]);
        for len in 2..=48 {
            let is_envelope = matches!(Shape::of(&bytes[..len]), Shape::Sealed { .. });
            assert_eq!(is_envelope, len >= 24, "{len}");
        }
        bytes[3] = 0x01;
        for len in 2..=48 {
            let is_envelope = matches!(Shape::of(&bytes[..len]), Shape::Sealed { .. });
            assert_eq!(is_envelope, len == 48, "{len}");
        }
    }
}
