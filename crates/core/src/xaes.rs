//! XAES-256-GCM (C2SP specification `XAES-256-GCM`): AES-256-GCM with a 192-bit nonce under a key
//! derived for each message by two blocks of AES-CMAC in the counter mode of NIST SP 800-108r1.
//!
//! Only the primitive is here: no header, no key ids, no randomness.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, UnboundCipherKey};
use zeroize::Zeroizing;

use crate::envelope::{NONCE_LEN, TAG_LEN};
use crate::key::KEY_LEN;

/// Half of the nonce goes into the derivation, half is the nonce of AES-256-GCM.
const HALF: usize = NONCE_LEN / 2;
const BLOCK: usize = 16;
/// The bytes before the nonce in a derivation block.
const LABEL: usize = BLOCK - HALF;

/// A key with its AES schedule and its derivation blocks computed once.
pub(crate) struct XaesKey {
    block_cipher: EncryptingKey,
    /// `0x00 counter "X" 0x00` and room for half a nonce, for the counters 1 and 2, masked with the
    /// CMAC subkey K1.
    blocks: Zeroizing<[u8; KEY_LEN]>,
}

/// The primitive failed: for opening, the tag is wrong.
#[derive(Debug)]
pub(crate) struct Failed;

impl XaesKey {
    pub(crate) fn new(key: &[u8; KEY_LEN]) -> Result<Self, Failed> {
        let unbound = UnboundCipherKey::new(&AES_256, key).map_err(|_| Failed)?;
        let block_cipher = EncryptingKey::ecb(unbound).map_err(|_| Failed)?;
        let mut zeros = Zeroizing::new([0u8; BLOCK]);
        block_cipher.encrypt(zeros.as_mut()).map_err(|_| Failed)?;
        let subkey = Zeroizing::new(doubled(&zeros));
        let mut blocks = Zeroizing::new([0u8; KEY_LEN]);
        for (counter, block) in (1u8..).zip(blocks.chunks_exact_mut(BLOCK)) {
            block.copy_from_slice(subkey.as_ref());
            let (label, _) = block.split_first_chunk_mut::<LABEL>().ok_or(Failed)?;
            for (byte, mask) in label.iter_mut().zip([0, counter, b'X', 0]) {
                *byte ^= mask;
            }
        }
        Ok(Self {
            block_cipher,
            blocks,
        })
    }

    /// Encrypts in place and returns the tag.
    #[inline]
    pub(crate) fn seal_in_place(
        &self,
        nonce: &[u8; NONCE_LEN],
        associated_data: &[u8],
        value: &mut [u8],
    ) -> Result<[u8; TAG_LEN], Failed> {
        let (key, nonce) = self.message_key(nonce)?;
        let tag = key
            .seal_in_place_separate_tag(nonce, Aad::from(associated_data), value)
            .map_err(|_| Failed)?;
        tag.as_ref().try_into().map_err(|_| Failed)
    }

    /// Verifies the tag and writes the plaintext to `value`, which is as long as `ciphertext`.
    #[inline]
    pub(crate) fn open_to(
        &self,
        nonce: &[u8; NONCE_LEN],
        associated_data: &[u8],
        ciphertext: &[u8],
        tag: &[u8; TAG_LEN],
        value: &mut [u8],
    ) -> Result<(), Failed> {
        let (key, nonce) = self.message_key(nonce)?;
        key.open_separate_gather(nonce, Aad::from(associated_data), ciphertext, tag, value)
            .map_err(|_| Failed)
    }

    #[inline]
    fn message_key(&self, nonce: &[u8; NONCE_LEN]) -> Result<(LessSafeKey, Nonce), Failed> {
        let (prefix, suffix) = nonce.split_first_chunk::<HALF>().ok_or(Failed)?;
        let suffix: [u8; HALF] = suffix.try_into().map_err(|_| Failed)?;
        let derived = self.derive(prefix)?;
        let unbound = UnboundKey::new(&AES_256_GCM, derived.as_ref()).map_err(|_| Failed)?;
        Ok((
            LessSafeKey::new(unbound),
            Nonce::assume_unique_for_key(suffix),
        ))
    }

    /// CMAC of `0x00 counter "X" 0x00 nonce[..12]` for the counters 1 and 2, each one block long, so that each is one
    /// AES call on the block masked with K1.
    #[inline]
    fn derive(&self, prefix: &[u8; HALF]) -> Result<Zeroizing<[u8; KEY_LEN]>, Failed> {
        let mut derived = self.blocks.clone();
        for block in derived.chunks_exact_mut(BLOCK) {
            for (byte, mask) in block.iter_mut().skip(LABEL).zip(prefix) {
                *byte ^= mask;
            }
        }
        self.block_cipher
            .encrypt(derived.as_mut())
            .map_err(|_| Failed)?;
        Ok(derived)
    }
}

/// Multiplication by x in GF(2^128) according to CMAC (NIST SP 800-38B, 6.1), without branching on the secret.
fn doubled(block: &[u8; BLOCK]) -> [u8; BLOCK] {
    let number = u128::from_be_bytes(*block);
    let carry = (number >> 127).wrapping_neg() & 0x87;
    ((number << 1) ^ carry).to_be_bytes()
}

#[cfg(test)]
mod tests;
