//! The classic format, the operator's guide's own: `Base64( IV (16) ‖ tag (16) ‖ AES-256-GCM
//! ciphertext )`, standard alphabet with padding, no header and no associated data.
//!
//! The IV has 128 bits, so GCM derives its first counter block by GHASH (NIST SP 800-38D, 7.1,
//! step 2). Nothing here chooses keys or draws IVs.

use std::mem::MaybeUninit;

use aes_gcm::aead::consts::U16;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, Nonce, Tag};
use base64_simd::{AsOut, STANDARD};

use crate::envelope::TAG_LEN;
use crate::key::KEY_LEN;

pub(crate) const IV_LEN: usize = 16;
/// The number of bytes before the ciphertext.
const PREFIX: usize = IV_LEN + TAG_LEN;
/// The length of the shortest stored form: that of an empty value.
const SHORTEST: usize = 44;
/// The length of the shortest text that can be a truncated classic value: 32 bytes, unpadded.
const SHORTEST_CUT: usize = 43;
/// The number of characters at the start of a stored form that hold IV and tag (and 4 bytes more, since Base64 has
/// groups of 4 characters for 3 bytes).
const HEAD: usize = 48;
/// The number of raw bytes that are encoded at a time: a multiple of 3, so that there is no padding in between.
const CHUNK: usize = 3 * 1024;

/// A key with its AES schedule and GHASH tables computed once.
pub(crate) struct ClassicKey(AesGcm<Aes256, U16>);

impl ClassicKey {
    pub(crate) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(AesGcm::new(key.into()))
    }

    /// The stored form of a value, or `None` if the value is too long for AES-GCM.
    ///
    /// One allocation: the raw bytes are placed at the start of the buffer that the Base64 will fill, and encoded in
    /// chunks from the last to the first. Text is never written over bytes that are still to be read, since Base64 is
    /// a third longer.
    // Inlined into the callers, where the compiler generates much better code for the generic cipher.
    #[inline]
    pub(crate) fn seal(&self, iv: &[u8; IV_LEN], value: &[u8]) -> Option<Vec<u8>> {
        let raw_len = PREFIX.checked_add(value.len())?;
        let mut stored = Vec::with_capacity(encoded_len(raw_len)?);
        stored.extend_from_slice(iv);
        stored.extend_from_slice(&[0; TAG_LEN]);
        stored.extend_from_slice(value);
        let (prefix, text) = stored.split_first_chunk_mut::<PREFIX>()?;
        let nonce = Nonce::from(*iv);
        let tag = self
            .0
            .encrypt_inout_detached(&nonce, &[], text.into())
            .ok()?;
        let (_, tag_place) = prefix.split_last_chunk_mut::<TAG_LEN>()?;
        *tag_place = tag.into();
        encode_in_place(&mut stored)?;
        Some(stored)
    }

    /// Opens in place; if the tag is wrong, the text is unchanged, so that the next key can be tried.
    #[inline]
    fn open(&self, raw: &mut Raw) -> Option<()> {
        let (iv, tag) = raw.prefix.split_first_chunk::<IV_LEN>()?;
        let (nonce, tag) = (Nonce::from(*iv), Tag::from(*tag.first_chunk()?));
        let text = raw.text.as_mut_slice();
        self.0
            .decrypt_inout_detached(&nonce, &[], text.into(), &tag)
            .ok()
    }
}

/// Decoded bytes, with the ciphertext in the buffer of the value.
struct Raw {
    prefix: [u8; PREFIX],
    text: Vec<u8>,
}

impl Raw {
    /// `None` if the bytes are not Base64 of at least IV and tag.
    fn decode(stored: &[u8]) -> Option<Self> {
        let (head, body) = stored.split_at(HEAD.min(stored.len()));
        let mut head_place = [0u8; HEAD / 4 * 3];
        let head = STANDARD
            .decode(head, head_place.as_mut_slice().as_out())
            .ok()?;
        // Padding is only valid at the very end.
        if !body.is_empty() && head.len() < HEAD / 4 * 3 {
            return None;
        }
        let (prefix, start) = head.split_first_chunk()?;
        let len = start
            .len()
            .checked_add(STANDARD.estimated_decoded_length(body.len()))?;
        let mut text = Vec::with_capacity(len);
        text.extend_from_slice(start);
        STANDARD.decode_append(body, &mut text).ok()?;
        Some(Self {
            prefix: *prefix,
            text,
        })
    }
}

/// True if these bytes may be classic by their form: standard padded Base64 of at least 32 bytes, in upper and lower
/// case.
pub(crate) fn looks_like(stored: &[u8]) -> bool {
    stored.len() >= SHORTEST && is_mixed_case(stored) && STANDARD.check(stored).is_ok()
}

/// True if these bytes may be a classic value that was truncated, or in which one character was damaged.
pub(crate) fn may_be_damaged(stored: &[u8]) -> bool {
    let is_stray =
        |byte: &&u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    stored.len() >= SHORTEST_CUT
        && stored.iter().filter(is_stray).take(2).count() < 2
        && is_mixed_case(stored)
}

/// True if there are letters of both cases: in 43 random characters of Base64 one case is missing once in 2^31 times,
/// and in hexadecimal and Base32 always.
fn is_mixed_case(stored: &[u8]) -> bool {
    stored.iter().any(u8::is_ascii_lowercase) && stored.iter().any(u8::is_ascii_uppercase)
}

/// The result of opening stored bytes with several keys.
pub(crate) enum ClassicValue<'k, K> {
    /// A key opened them.
    Opened {
        /// The key.
        key: &'k K,
        /// The value.
        value: Vec<u8>,
    },
    /// They have the form of a classic value, and no key opens them.
    Refused,
    /// They do not have the form of a classic value.
    OtherForm,
}

/// Opens stored bytes with the first matching key.
pub(crate) fn open<'k, K: 'k>(
    stored: &[u8],
    keys: impl Iterator<Item = &'k K>,
    classic: impl Fn(&K) -> &ClassicKey,
) -> ClassicValue<'k, K> {
    // Most plain values are JSON: recognised by their first byte, without decoding.
    if stored.len() < SHORTEST || stored.first() == Some(&b'{') {
        return ClassicValue::OtherForm;
    }
    let Some(mut raw) = Raw::decode(stored) else {
        return ClassicValue::OtherForm;
    };
    for key in keys {
        if classic(key).open(&mut raw).is_some() {
            return ClassicValue::Opened {
                key,
                value: raw.text,
            };
        }
    }
    ClassicValue::Refused
}

/// Encodes raw bytes as Base64 in place.
fn encode_in_place(buffer: &mut Vec<u8>) -> Option<()> {
    let raw_len = buffer.len();
    buffer.resize(encoded_len(raw_len)?, 0);
    let mut copy = [MaybeUninit::<u8>::uninit(); CHUNK];
    let mut end = raw_len;
    for start in (0..raw_len).step_by(CHUNK).rev() {
        let place_start = encoded_len(start)?;
        let (front, place) = buffer.split_at_mut_checked(place_start)?;
        if let Some(raw) = front.get(start..end) {
            let _ = STANDARD.encode(raw, place.as_out());
        } else {
            // Near the start, the text of a chunk overlaps the chunk itself.
            let raw = buffer.get(start..end)?;
            let raw = copy.get_mut(..raw.len())?.write_copy_of_slice(raw);
            let _ = STANDARD.encode(raw, buffer.get_mut(place_start..)?.as_out());
        }
        end = start;
    }
    Some(())
}

/// `None` if it does not fit into memory.
fn encoded_len(raw_len: usize) -> Option<usize> {
    raw_len.div_ceil(3).checked_mul(4)
}

#[cfg(test)]
mod tests;
