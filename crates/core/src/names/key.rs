//! AES-SIV (RFC 5297) for names: what does not depend on the name is computed once, the code of the associated data above all.
//!
//! Only the primitive is here. It computes what [`SivKey`](crate::siv::SivKey) does, which prepares its cipher in each call,
//! and goes over the associated data again. A name is sealed or opened for every request, so these two cost more than
//! the name.

use aws_lc_rs::cipher::{AES_256, EncryptingKey, UnboundCipherKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::key::KEY_LEN;
use crate::siv::{SIV_KEY_LEN, SIV_LEN};

const BLOCK_LEN: usize = 16;
/// The number of blocks of the key stream that are computed at a time.
const PARALLEL_BLOCKS: usize = 8;
/// The synthetic IV without two of its bits is the first counter.
const COUNTER_MASK: u128 = !(1 << 63 | 1 << 31);
/// What follows a message that does not fill its last block.
const PADDING: u8 = 0x80;

/// A key of AES-SIV, with its schedules computed. It has no `Debug` or `Clone`, and is wiped when dropped.
///
/// Every function returns `None` if the library fails, which it does not for such keys and lengths.
pub(super) struct NameKey {
    mac: Cmac,
    cipher: Aes,
}

/// The part of the synthetic IV that depends on the key and the associated data alone.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct AssociatedData {
    /// The state of S2V after the associated data.
    state: u128,
    /// For texts shorter than a block: the state once more doubled, with the subkey of the last block already added.
    short: u128,
}

/// CMAC (RFC 4493) over AES-256.
struct Cmac {
    cipher: Aes,
    subkeys: Subkeys,
}

#[derive(Zeroize, ZeroizeOnDrop)]
struct Subkeys {
    /// For a last block that is whole.
    whole: u128,
    /// For one that is padded.
    padded: u128,
}

/// AES-256, of which only encryption is needed.
struct Aes(EncryptingKey);

impl NameKey {
    pub(super) fn new(key: &[u8; SIV_KEY_LEN]) -> Option<Self> {
        let (mac, encryption) = key.split_first_chunk()?;
        Some(Self {
            mac: Cmac::new(Aes::new(mac)?)?,
            cipher: Aes::new(encryption.as_array()?)?,
        })
    }

    /// Prepares the key for this associated data.
    pub(super) fn prepare(&self, associated_data: &[u8]) -> Option<AssociatedData> {
        let of_nothing = self.mac.code(&[0; BLOCK_LEN])?;
        let state = double(of_nothing) ^ self.mac.code(associated_data)?;
        Some(AssociatedData {
            state,
            short: double(state) ^ self.mac.subkeys.whole,
        })
    }

    /// Encrypts in place and returns the synthetic IV.
    #[inline]
    pub(super) fn seal_in_place(
        &self,
        data: &AssociatedData,
        text: &mut [u8],
    ) -> Option<[u8; SIV_LEN]> {
        let iv = match short_block(text) {
            Some(padded) => {
                let iv = self.short_iv(data, padded)?;
                store(text, padded ^ self.key_stream(iv)?);
                iv
            }
            None => {
                let iv = self.long_iv(data, text)?;
                self.add_key_stream(iv, text)?;
                iv
            }
        };
        Some(iv.to_be_bytes())
    }

    /// Decrypts in place; `None` if the synthetic IV does not match. What is in the buffer then must not be used.
    #[inline]
    pub(super) fn open_in_place(
        &self,
        data: &AssociatedData,
        iv: &[u8; SIV_LEN],
        text: &mut [u8],
    ) -> Option<()> {
        let given = u128::from_be_bytes(*iv);
        let expected = match short_block(text) {
            Some(padded) => {
                store(text, padded ^ self.key_stream(given)?);
                self.short_iv(data, short_block(text)?)?
            }
            None => {
                self.add_key_stream(given, text)?;
                self.long_iv(data, text)?
            }
        };
        verify_slices_are_equal(&expected.to_be_bytes(), iv).ok()
    }

    /// The synthetic IV of a text that is shorter than a block, padded to one.
    #[inline]
    fn short_iv(&self, data: &AssociatedData, padded: u128) -> Option<u128> {
        self.mac.cipher.encrypt(padded ^ data.short)
    }

    /// The synthetic IV of a text of a block or more: the state is added to its end.
    fn long_iv(&self, data: &AssociatedData, text: &mut [u8]) -> Option<u128> {
        add_to_end(text, data.state);
        let iv = self.mac.code(text);
        add_to_end(text, data.state);
        iv
    }

    /// The first block of the key stream.
    #[inline]
    fn key_stream(&self, iv: u128) -> Option<u128> {
        self.cipher.encrypt(iv & COUNTER_MASK)
    }

    fn add_key_stream(&self, iv: u128, text: &mut [u8]) -> Option<()> {
        let mut counter = iv & COUNTER_MASK;
        for part in text.chunks_mut(PARALLEL_BLOCKS * BLOCK_LEN) {
            let mut stream = [[0; BLOCK_LEN]; PARALLEL_BLOCKS];
            let (stream, _) = stream.split_at_mut_checked(part.len().div_ceil(BLOCK_LEN))?;
            for block in &mut *stream {
                *block = counter.to_be_bytes();
                counter = counter.wrapping_add(1);
            }
            self.cipher.0.encrypt(stream.as_flattened_mut()).ok()?;
            for (byte, key) in part.iter_mut().zip(stream.as_flattened()) {
                *byte ^= key;
            }
        }
        Some(())
    }
}

impl Cmac {
    fn new(cipher: Aes) -> Option<Self> {
        let whole = double(cipher.encrypt(0)?);
        let padded = double(whole);
        Some(Self {
            cipher,
            subkeys: Subkeys { whole, padded },
        })
    }

    fn code(&self, message: &[u8]) -> Option<u128> {
        // The last block is treated differently, and there is one even if there is no message.
        let whole = message.len().saturating_sub(1) / BLOCK_LEN;
        let (start, last) = message.split_at_checked(whole.saturating_mul(BLOCK_LEN))?;
        let mut state = 0;
        for block in start.as_chunks().0 {
            state = self.cipher.encrypt(state ^ u128::from_be_bytes(*block))?;
        }
        let last = match last.as_array() {
            Some(last) => u128::from_be_bytes(*last) ^ self.subkeys.whole,
            None => short_block(last)? ^ self.subkeys.padded,
        };
        self.cipher.encrypt(state ^ last)
    }
}

impl Aes {
    fn new(key: &[u8; KEY_LEN]) -> Option<Self> {
        let key = UnboundCipherKey::new(&AES_256, key).ok()?;
        EncryptingKey::ecb(key).ok().map(Self)
    }

    #[inline]
    fn encrypt(&self, block: u128) -> Option<u128> {
        let mut block = block.to_be_bytes();
        self.0.encrypt(&mut block).ok()?;
        Some(u128::from_be_bytes(block))
    }
}

/// Multiplication by x in GF(2^128), in constant time.
fn double(block: u128) -> u128 {
    let carry = 0u128.wrapping_sub(block >> 127);
    block << 1 ^ carry & 0x87
}

/// A text that is shorter than a block, padded to one; `None` for a longer one.
#[inline]
fn short_block(text: &[u8]) -> Option<u128> {
    let mut block = [0; BLOCK_LEN];
    let (start, rest) = block.split_at_mut_checked(text.len())?;
    *rest.first_mut()? = PADDING;
    start.copy_from_slice(text);
    Some(u128::from_be_bytes(block))
}

/// The start of a block in place of a text that is not longer than one.
#[inline]
fn store(text: &mut [u8], block: u128) {
    for (byte, new) in text.iter_mut().zip(block.to_be_bytes()) {
        *byte = new;
    }
}

/// Adds a block to the end of a text that is at least as long.
fn add_to_end(text: &mut [u8], block: u128) {
    if let Some(end) = text.last_chunk_mut::<BLOCK_LEN>() {
        *end = (u128::from_be_bytes(*end) ^ block).to_be_bytes();
    }
}

#[cfg(test)]
mod tests;
