//! The text of stored names: the readable prefix, a mark, on a cluster a tag, and base64url of a deterministic envelope; and
//! the padding of what is sealed. No key is needed here.

use base64_simd::{AsOut, URL_SAFE_NO_PAD};
use waxseal_topology::TAG_LEN;

use crate::envelope::{DETERMINISTIC_OVERHEAD, Flags, HEADER_LEN, Header};
use crate::key::KeyId;
use crate::version::EnvelopeVersion;

/// Follows the prefix.
const MARK: u8 = b'~';
/// The start of every envelope of a name in base64url: magic, version, and the first bits of its flags.
const START: &[u8] = b"9VcDE";
/// The first byte behind the sealed part of a name. Zero bytes follow.
const END: u8 = 0x80;
/// The characters that hold a header: three groups of four, for 8 bytes and one more.
const HEADER_CHARACTERS: usize = 12;

/// A stored name behind its prefix.
#[derive(Clone, Copy)]
pub(super) struct Parts<'s> {
    pub(super) tag: Option<[u8; TAG_LEN]>,
    /// In base64url.
    pub(super) envelope: &'s [u8],
}

impl<'s> Parts<'s> {
    /// The parts of what follows the prefix, if it begins as a sealed name does.
    #[inline]
    pub(super) fn of(behind_prefix: &'s [u8]) -> Option<Self> {
        let (mark, rest) = behind_prefix.split_first()?;
        let (tag, envelope) = match rest {
            [b'{', a, b, c, b'}', envelope @ ..] => (Some([*a, *b, *c]), envelope),
            envelope => (None, envelope),
        };
        (*mark == MARK && envelope.starts_with(START)).then_some(Self { tag, envelope })
    }

    /// The key that the header names, if it is one of a name.
    pub(super) fn key(&self) -> Option<KeyId> {
        let start = self.envelope.get(..HEADER_CHARACTERS)?;
        let mut header = [0; HEADER_LEN + 1];
        let decoded = URL_SAFE_NO_PAD.decode(start, header.as_mut_slice().as_out());
        key_of(decoded.ok()?.first_chunk()?)
    }

    /// The length of the envelope, if it can be one.
    #[inline]
    pub(super) fn envelope_len(&self) -> Option<usize> {
        let len = URL_SAFE_NO_PAD.decoded_length(self.envelope).ok()?;
        (len > DETERMINISTIC_OVERHEAD).then_some(len)
    }

    /// Decodes the envelope into a buffer of its length. Each envelope has one text only.
    #[inline]
    pub(super) fn decode(&self, envelope: &mut [u8]) -> Option<()> {
        let decoded = URL_SAFE_NO_PAD.decode(self.envelope, envelope.as_out());
        decoded.ok().map(|_| ())
    }
}

/// The header of all envelopes of names under this key.
pub(super) fn header(key: KeyId) -> Header {
    Header {
        version: EnvelopeVersion::V3,
        flags: Flags::of_record(true, false).deterministically(),
        key,
    }
}

/// The key that this header names, if it is one of a name.
#[inline]
pub(super) fn key_of(header: &[u8; HEADER_LEN]) -> Option<KeyId> {
    let [_, _, _, _, id @ ..] = header;
    let key = KeyId::from_u32(u32::from_be_bytes(*id));
    (self::header(key).to_bytes() == *header).then_some(key)
}

/// Appends the text of an envelope behind this prefix.
#[inline]
pub(super) fn encode(
    prefix: &[u8],
    tag: Option<[u8; TAG_LEN]>,
    envelope: &[u8],
    out: &mut Vec<u8>,
) {
    let encoded = URL_SAFE_NO_PAD.encoded_length(envelope.len());
    // The mark, the tag and its braces.
    let between = 1 + 2 + TAG_LEN;
    out.reserve(prefix.len().saturating_add(between).saturating_add(encoded));
    out.extend_from_slice(prefix);
    out.push(MARK);
    if let Some([a, b, c]) = tag {
        out.extend_from_slice(&[b'{', a, b, c, b'}']);
    }
    URL_SAFE_NO_PAD.encode_append(envelope, out);
}

/// The length of the text for a sealed part of this length: with its end, a multiple of `pad`.
#[inline]
pub(super) fn padded_len(len: usize, pad: usize) -> Option<usize> {
    len.checked_add(1)?.checked_next_multiple_of(pad)
}

/// Puts the sealed part and its end into a buffer of zero bytes.
#[inline]
pub(super) fn pad(part: &[u8], text: &mut [u8]) -> Option<()> {
    let (start, rest) = text.split_at_mut_checked(part.len())?;
    start.copy_from_slice(part);
    *rest.first_mut()? = END;
    Some(())
}

/// The sealed part of a text: what is before its end.
#[inline]
pub(super) fn unpadded(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().rposition(|byte| *byte != 0)?;
    let (part, end) = text.split_at_checked(end)?;
    (end.first() == Some(&END)).then_some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_that_of_every_header_of_a_name() {
        for id in [0, 1, u32::MAX, 0x145e_da9b] {
            let id = KeyId::from_u32(id);
            let header = header(id).to_bytes();
            assert_eq!(header[..4], [0xf5, 0x57, 0x03, 0x11]);
            assert_eq!(key_of(&header), Some(id));
            let text = URL_SAFE_NO_PAD.encode_to_string(header);
            assert!(text.as_bytes().starts_with(START));
            // The sixth character holds bits of the key's id.
            let other =
                URL_SAFE_NO_PAD.encode_to_string(self::header(KeyId::from_u32(!0)).to_bytes());
            assert_eq!(
                other.as_bytes()[..START.len()],
                text.as_bytes()[..START.len()]
            );
        }
    }

    #[test]
    fn a_padded_text_has_one_reading() {
        for pad in [1, 2, 16, 255, 256] {
            for len in [0, 1, 14, 15, 16, 17, 255, 256, 257] {
                // With an end in it, and a zero byte last.
                let mut part = vec![END; len];
                if let Some(last) = part.last_mut() {
                    *last = 0;
                }
                let padded = padded_len(len, pad).unwrap();
                assert!(padded > len && padded - len <= pad && padded.is_multiple_of(pad));
                let mut text = vec![0; padded];
                super::pad(&part, &mut text).unwrap();
                assert_eq!(unpadded(&text), Some(&*part));
            }
        }
        assert_eq!(unpadded(b""), None);
        assert_eq!(unpadded(&[0, 0]), None);
        assert_eq!(unpadded(&[0x80, 0x81]), None);
        assert_eq!(padded_len(usize::MAX, 1), None);
    }
}
