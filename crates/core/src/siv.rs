//! AES-SIV (RFC 5297) with CMAC and a key of 512 bits: equal values with equal associated data give equal bytes.
//!
//! Only the primitive is here: no header, no key ids, no derivation. Names are sealed by `names/key`, which computes the same.

use std::sync::Mutex;

use aes_gcm::aes::Aes256Enc;
use aes_siv::siv::CmacSiv;
use aes_siv::{KeyInit, Tag};

pub(crate) const SIV_KEY_LEN: usize = 64;
/// The length of the synthetic IV, which is also the tag.
pub(crate) const SIV_LEN: usize = 16;
/// The number of threads that can use one key at the same time without waiting.
const SLOTS: usize = 4;

/// The library's AES-SIV, without the schedules for AES decryption, which it does not use.
type Siv = CmacSiv<Aes256Enc>;

/// A key with its schedule of CMAC computed once.
///
/// The library changes the state of its CMAC while it works, and cannot be cloned: so the key is prepared several times,
/// and each call takes one that is free. To prepare it for each call would make short values up to a fifth slower.
pub(crate) struct SivKey([Mutex<Siv>; SLOTS]);

impl SivKey {
    pub(crate) fn new(key: &[u8; SIV_KEY_LEN]) -> Self {
        Self(std::array::from_fn(|_| Mutex::new(Siv::new(key.into()))))
    }

    /// Encrypts in place and returns the synthetic IV.
    #[inline]
    pub(crate) fn seal_in_place(
        &self,
        associated_data: &[u8],
        value: &mut [u8],
    ) -> Option<[u8; SIV_LEN]> {
        let seal = |siv: &mut Siv| siv.encrypt_inout_detached([associated_data], value.into());
        self.with_free_one(seal)?.ok().map(Into::into)
    }

    /// Decrypts in place, or returns `None` and leaves the ciphertext unchanged if the synthetic IV does not match.
    #[inline]
    pub(crate) fn open_in_place(
        &self,
        associated_data: &[u8],
        iv: &[u8; SIV_LEN],
        ciphertext: &mut [u8],
    ) -> Option<()> {
        let iv = Tag::from(*iv);
        let open =
            |siv: &mut Siv| siv.decrypt_inout_detached([associated_data], ciphertext.into(), &iv);
        self.with_free_one(open)?.ok()
    }

    /// `None` if a thread panicked in the library.
    #[inline]
    fn with_free_one<T>(&self, work: impl FnOnce(&mut Siv) -> T) -> Option<T> {
        let Self([first, ..]) = self;
        let free = self.0.iter().find_map(|slot| slot.try_lock().ok());
        let mut siv = match free {
            Some(siv) => siv,
            None => first.lock().ok()?,
        };
        Some(work(&mut siv))
    }
}

#[cfg(test)]
pub(crate) mod tests;
