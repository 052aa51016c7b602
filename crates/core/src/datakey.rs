//! One data key, ready for work: its id, its two ciphers with their schedules computed once, and
//! the count of what it has sealed. The raw bytes are not kept.

use std::sync::atomic::{AtomicU64, Ordering};

use rand::Rng;

use crate::binding::Binding;
use crate::choice::Format;
use crate::classic::{self, ClassicKey};
use crate::envelope::{Flags, Header, NONCE_LEN};
use crate::error::{KeyError, SealError};
use crate::key::{KeyId, SecretKey};
use crate::sealed;
use crate::xaes::XaesKey;

/// At most this many values under one key in the classic format: the bound of NIST SP 800-38D, 8.3,
/// for IVs that are drawn at random.
pub(crate) const CLASSIC_LIMIT: u64 = 1 << 32;

/// A data key with its ciphers prepared, under the id that values name it by.
pub struct DataKey {
    id: KeyId,
    classic: ClassicKey,
    xaes: XaesKey,
    classic_seals: AtomicU64,
    sealed_seals: AtomicU64,
}

impl DataKey {
    pub(crate) fn new(key: &SecretKey) -> Result<Self, KeyError> {
        Self::with_id(key.id(), key)
    }

    /// The key under an id of the ring's choosing.
    pub fn with_id(id: KeyId, key: &SecretKey) -> Result<Self, KeyError> {
        Ok(Self {
            id,
            classic: ClassicKey::new(key.expose_bytes()),
            xaes: XaesKey::new(key.expose_bytes()).map_err(|_| KeyError::Library)?,
            classic_seals: AtomicU64::new(0),
            sealed_seals: AtomicU64::new(0),
        })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    pub(crate) fn classic(&self) -> &ClassicKey {
        &self.classic
    }

    pub(crate) fn xaes(&self) -> &XaesKey {
        &self.xaes
    }

    /// How many values this process has sealed under the key, in the classic and in the sealed
    /// format.
    #[must_use]
    pub fn seals(&self) -> (u64, u64) {
        (
            self.classic_seals.load(Ordering::Relaxed),
            self.sealed_seals.load(Ordering::Relaxed),
        )
    }

    /// Seals under this key with a fresh nonce.
    pub(crate) fn seal(
        &self,
        format: Format,
        value: &[u8],
        binding: Binding<'_>,
    ) -> Result<Vec<u8>, SealError> {
        match format {
            Format::Classic => {
                if self.classic_seals.fetch_add(1, Ordering::Relaxed) >= CLASSIC_LIMIT {
                    // Stays at the limit rather than creeping towards an overflow.
                    self.classic_seals.store(CLASSIC_LIMIT, Ordering::Relaxed);
                    return Err(SealError::KeyExhausted { id: self.id });
                }
                let iv = fresh::<{ classic::IV_LEN }>();
                self.classic.seal(&iv, value).ok_or(SealError::TooLong)
            }
            Format::Sealed => {
                // XAES-256-GCM is safe for 2^80 messages: counted for reports, not bounded.
                self.sealed_seals.fetch_add(1, Ordering::Relaxed);
                seal(self.id, &self.xaes, value, binding, |flags| flags)
            }
        }
    }
}

/// Seals in the sealed format with a fresh nonce. `owner` is added to the flags of the binding.
pub(crate) fn seal(
    id: KeyId,
    key: &XaesKey,
    value: &[u8],
    binding: Binding<'_>,
    owner: impl FnOnce(Flags) -> Flags,
) -> Result<Vec<u8>, SealError> {
    let header = Header {
        flags: owner(binding.flags()),
        key: id,
    };
    let nonce = fresh::<NONCE_LEN>();
    sealed::seal(key, header, &nonce, binding, value).ok_or(SealError::TooLong)
}

/// Random bytes from a generator in this thread, seeded and reseeded from the system.
fn fresh<const N: usize>() -> [u8; N] {
    let mut bytes = [0u8; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_reached_the_limit_of_the_classic_format_seals_no_more() {
        let key = DataKey::new(&SecretKey::generate().ok().unwrap()).unwrap();
        let seal = |format| key.seal(format, b"v", Binding::unbound());
        key.classic_seals
            .store(CLASSIC_LIMIT - 1, Ordering::Relaxed);
        assert!(seal(Format::Classic).is_ok());
        for _ in 0..2 {
            assert_eq!(
                seal(Format::Classic),
                Err(SealError::KeyExhausted { id: key.id() })
            );
        }
        assert!(seal(Format::Sealed).is_ok());
        assert_eq!(key.seals(), (CLASSIC_LIMIT, 1));
    }
}
