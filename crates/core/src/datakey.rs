//! One data key, prepared for use: its id, its ciphers with their key schedules, and the count of the values that it has
//! sealed. The raw bytes are kept for the ciphers that are derived when they are first used.

use std::sync::atomic::{AtomicU64, Ordering};

use rand::Rng;

use crate::classic::{self, ClassicKey};
use crate::envelope::{Header, NONCE_LEN};
use crate::error::{KeyError, SealError};
use crate::index_key::DerivedKeys;
use crate::key::{KeyId, SecretKey};
use crate::sealed::{self, Place};
use crate::version::EnvelopeVersion;
use crate::xaes::XaesKey;

/// The maximum number of values under one key in the classic format: the bound of NIST SP 800-38D, 8.3, for random
/// IVs.
pub(crate) const MAX_CLASSIC_SEALS: u64 = 1 << 32;

/// A data key with its ciphers prepared, under the id that values name it by.
pub struct DataKey {
    id: KeyId,
    classic: ClassicKey,
    xaes: XaesKey,
    derived: DerivedKeys,
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
            derived: DerivedKeys::of(key),
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

    pub(crate) fn derived(&self) -> &DerivedKeys {
        &self.derived
    }

    /// The number of values that this process has sealed under the key in the classic format.
    pub(crate) fn classic_seals(&self) -> u64 {
        self.classic_seals.load(Ordering::Relaxed)
    }

    /// The number of values that this process has sealed under the key in the sealed format with a random nonce.
    pub(crate) fn sealed_seals(&self) -> u64 {
        self.sealed_seals.load(Ordering::Relaxed)
    }

    /// Seals in the classic format with a new IV.
    pub(crate) fn seal_classic(&self, value: &[u8]) -> Result<Vec<u8>, SealError> {
        if self.classic_seals.fetch_add(1, Ordering::Relaxed) >= MAX_CLASSIC_SEALS {
            // Stays at the limit instead of approaching an overflow.
            self.classic_seals
                .store(MAX_CLASSIC_SEALS, Ordering::Relaxed);
            return Err(SealError::KeyExhausted { id: self.id });
        }
        let iv = random_bytes::<{ classic::IV_LEN }>();
        self.classic.seal(&iv, value).ok_or(SealError::TooLong)
    }

    /// Seals in this version of the sealed format with a new nonce.
    pub(crate) fn seal(
        &self,
        version: EnvelopeVersion,
        value: &[u8],
        place: Place<'_>,
    ) -> Result<Vec<u8>, SealError> {
        // XAES-256-GCM is safe for 2^80 messages: counted for reports, not bounded.
        self.sealed_seals.fetch_add(1, Ordering::Relaxed);
        let header = Header {
            version,
            flags: place.binding.flags(version)?,
            key: self.id,
        };
        seal(&self.xaes, header, value, place)
    }
}

/// Seals in the sealed format with a new nonce.
pub(crate) fn seal(
    key: &XaesKey,
    header: Header,
    value: &[u8],
    place: Place<'_>,
) -> Result<Vec<u8>, SealError> {
    let nonce = random_bytes::<NONCE_LEN>();
    sealed::seal(key, header, &nonce, place, value).ok_or(SealError::TooLong)
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
    use crate::binding::Binding;

    #[test]
    fn a_key_that_reached_the_limit_of_the_classic_format_seals_no_more() {
        let key = DataKey::new(&SecretKey::generate().ok().unwrap()).unwrap();
        key.classic_seals
            .store(MAX_CLASSIC_SEALS - 1, Ordering::Relaxed);
        assert!(key.seal_classic(b"v").is_ok());
        for _ in 0..2 {
            let exhausted = Err(SealError::KeyExhausted { id: key.id() });
            assert_eq!(key.seal_classic(b"v"), exhausted);
        }
        let place = Place {
            binding: &Binding::unbound(),
            domain: b"",
        };
        assert!(key.seal(EnvelopeVersion::V2, b"v", place).is_ok());
        assert_eq!(key.classic_seals(), MAX_CLASSIC_SEALS);
        assert_eq!(key.sealed_seals(), 1);
    }
}
