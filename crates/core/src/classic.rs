//! The classic format, the operator's guide's own: `Base64( IV (16) ‖ tag (16) ‖ AES-256-GCM
//! ciphertext )`, standard alphabet with padding, no header and no associated data.
//!
//! The IV has 128 bits, so GCM derives its first counter block by GHASH (NIST SP 800-38D, 7.1,
//! step 2). Nothing here chooses keys or draws IVs.

use aes_gcm::aead::consts::U16;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::aes::Aes256;
use aes_gcm::{AesGcm, Key, Nonce, Tag};
use base64_simd::{AsOut, STANDARD};

use crate::envelope::TAG_LEN;
use crate::key::KEY_LEN;

pub(crate) const IV_LEN: usize = 16;
/// Bytes before the ciphertext.
const PREFIX: usize = IV_LEN + TAG_LEN;
/// How many raw bytes are encoded at a time: a multiple of 3, so that no padding falls in between.
const CHUNK: usize = 3 * 1024;

/// A key with its AES schedule and GHASH tables computed once.
pub(crate) struct ClassicKey(AesGcm<Aes256, U16>);

impl ClassicKey {
    pub(crate) fn new(key: &[u8; KEY_LEN]) -> Self {
        Self(AesGcm::new(&Key::<AesGcm<Aes256, U16>>::from(*key)))
    }

    /// The stored form of a value, or `None` when the value is too long for AES-GCM.
    ///
    /// One allocation: the raw bytes are laid at the end of the buffer that the Base64 will fill,
    /// and encoded from the front in chunks. Written text never catches up with unread bytes, since
    /// the whole of it is a third longer.
    pub(crate) fn seal(&self, iv: &[u8; IV_LEN], value: &[u8]) -> Option<Vec<u8>> {
        let raw_len = PREFIX.checked_add(value.len())?;
        let mut stored = vec![0u8; STANDARD.encoded_length(raw_len)];
        let raw_start = stored.len().checked_sub(raw_len)?;
        let raw = stored.get_mut(raw_start..)?;
        let (prefix, ciphertext) = raw.split_first_chunk_mut::<PREFIX>()?;
        ciphertext.copy_from_slice(value);
        let tag = self
            .0
            .encrypt_inout_detached(&Nonce::from(*iv), &[], ciphertext.into())
            .ok()?;
        let (iv_place, tag_place) = prefix.split_first_chunk_mut::<IV_LEN>()?;
        *iv_place = *iv;
        tag_place.copy_from_slice(&tag);
        encode_from_end(&mut stored, raw_start)?;
        Some(stored)
    }

    /// Opens the raw bytes in place; on a wrong tag they are left as they were, so that the next
    /// key can be tried.
    fn open(&self, raw: &mut [u8]) -> Option<()> {
        let (prefix, ciphertext) = raw.split_first_chunk_mut::<PREFIX>()?;
        let (iv, tag) = prefix.split_first_chunk::<IV_LEN>()?;
        let tag: [u8; TAG_LEN] = tag.try_into().ok()?;
        self.0
            .decrypt_inout_detached(&Nonce::from(*iv), &[], ciphertext.into(), &Tag::from(tag))
            .ok()
    }
}

/// Whether these bytes can be classic by their look: standard Base64 with padding of at least 32
/// bytes.
pub(crate) fn looks_like(stored: &[u8]) -> bool {
    stored.len() >= STANDARD.encoded_length(PREFIX) && STANDARD.check(stored).is_ok()
}

/// Opens stored bytes with the first of the keys that fits, and says which one it was.
///
/// `None` when the bytes do not look classic; `Some(None)` when no key opens them.
#[expect(clippy::option_option, reason = "two different kinds of no")]
pub(crate) fn open<'k, K: 'k>(
    stored: &[u8],
    keys: impl Iterator<Item = &'k K>,
    classic: impl Fn(&K) -> &ClassicKey,
) -> Option<Option<(&'k K, Vec<u8>)>> {
    // Most plain values are JSON: told by their first byte, without decoding.
    if stored.len() < STANDARD.encoded_length(PREFIX) || stored.first() == Some(&b'{') {
        return None;
    }
    let mut raw = STANDARD.decode_to_vec(stored).ok()?;
    for key in keys {
        if classic(key).open(&mut raw).is_some() {
            raw.drain(..PREFIX);
            return Some(Some((key, raw)));
        }
    }
    Some(None)
}

fn encode_from_end(buffer: &mut [u8], raw_start: usize) -> Option<()> {
    let mut chunk = [0u8; CHUNK];
    let (mut read, mut written) = (raw_start, 0usize);
    while read < buffer.len() {
        let len = CHUNK.min(buffer.len().checked_sub(read)?);
        let piece = chunk.get_mut(..len)?;
        let read_end = read.checked_add(len)?;
        piece.copy_from_slice(buffer.get(read..read_end)?);
        let encoded = STANDARD.encoded_length(len);
        let written_end = written.checked_add(encoded)?;
        let _ = STANDARD.encode(piece, buffer.get_mut(written..written_end)?.as_out());
        (read, written) = (read_end, written_end);
    }
    Some(())
}

#[cfg(test)]
mod tests;
