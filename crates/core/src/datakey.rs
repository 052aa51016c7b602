//! One data key, prepared for use: its id, its two ciphers with their key schedules, and the count of the values that
//! it has sealed. The raw bytes are not kept.

use std::sync::atomic::{AtomicU64, Ordering};

use rand::Rng;

use crate::binding::Binding;
use crate::classic::{self, ClassicKey};
use crate::envelope::{Flags, Header, NONCE_LEN};
use crate::error::{KeyError, SealError};
use crate::key::{KeyId, SecretKey};
use crate::options::Format;
use crate::sealed;
use crate::xaes::XaesKey;

/// The maximum number of values under one key in the classic format: the bound of NIST SP 800-38D, 8.3, for random
/// IVs.
pub(crate) const MAX_CLASSIC_SEALS: u64 = 1 << 32;

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

    /// The key under an id that the ring assigns.
    pub fn with_id(id: KeyId, key: &SecretKey) -> Result<Self, KeyError> {
        Ok(Self {
            id,
            classic: ClassicKey::new(key.expose_bytes()),
            xaes: XaesKey::new(key.expose_bytes()).map_err(|_| KeyError::Library)?,
            classic_seals: AtomicU64::new(0),
            sealed_seals: AtomicU64::new(0),
        })
    }

    /// The id.
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

    /// The numbers of values that this process has sealed under the key in the classic and in the sealed format.
    #[must_use]
    pub fn seals(&self) -> (u64, u64) {
        (
            self.classic_seals.load(Ordering::Relaxed),
            self.sealed_seals.load(Ordering::Relaxed),
        )
    }

    /// Seals under this key with a new nonce.
    pub(crate) fn seal(
        &self,
        format: Format,
        value: &[u8],
        binding: Binding<'_>,
    ) -> Result<Vec<u8>, SealError> {
        match format {
            Format::Classic => {
                if self.classic_seals.fetch_add(1, Ordering::Relaxed) >= MAX_CLASSIC_SEALS {
                    // Stays at the limit instead of approaching an overflow.
                    self.classic_seals
                        .store(MAX_CLASSIC_SEALS, Ordering::Relaxed);
                    return Err(SealError::KeyExhausted { id: self.id });
                }
                let iv = random_bytes::<{ classic::IV_LEN }>();
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

/// Seals in the sealed format with a new nonce. `owner` adds to the flags of the binding.
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
    let nonce = random_bytes::<NONCE_LEN>();
    sealed::seal(key, header, &nonce, binding, value).ok_or(SealError::TooLong)
}

/// Random bytes from the generator of this thread, which is seeded and reseeded from the system.
fn random_bytes<const N: usize>() -> [u8; N] {
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
            .store(MAX_CLASSIC_SEALS - 1, Ordering::Relaxed);
        assert!(seal(Format::Classic).is_ok());
        for _ in 0..2 {
            assert_eq!(
                seal(Format::Classic),
                Err(SealError::KeyExhausted { id: key.id() })
            );
        }
        assert!(seal(Format::Sealed).is_ok());
        assert_eq!(key.seals(), (MAX_CLASSIC_SEALS, 1));
    }
}
