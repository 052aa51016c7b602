//! Wrapping: a key sealed under another key, bound to its context.

use rand::Rng;
use zeroize::Zeroizing;

use crate::envelope::{NONCE_LEN, TAG_LEN};
use crate::error::KeyError;
use crate::key::{KEY_LEN, SecretKey};
use crate::xaes::XaesKey;

/// The label that separates wrapping from other uses of a secret: the key of the guide both seals values and wraps a
/// keyring.
const PURPOSE: &str = "waxseal key wrapping v1";
/// The length of a wrapped key in bytes: nonce (24) ‖ XAES-256-GCM ciphertext (32) ‖ tag (16).
const WRAPPED_LEN: usize = NONCE_LEN + KEY_LEN + TAG_LEN;

/// A key-encryption key: wraps data keys with XAES-256-GCM under a key derived from a secret.
pub struct WrappingKey(XaesKey);

impl WrappingKey {
    /// The wrapping key of a secret.
    pub fn of_secret(secret: &SecretKey) -> Result<Self, KeyError> {
        let key = secret.derive(PURPOSE);
        let key = XaesKey::new(key.expose_bytes()).map_err(|_| KeyError::Library)?;
        Ok(Self(key))
    }

    /// The key, wrapped for this context: 72 bytes.
    pub fn wrap(&self, key: &SecretKey, context: &[u8]) -> Result<Vec<u8>, KeyError> {
        let mut nonce = [0u8; NONCE_LEN];
        rand::rng().fill_bytes(&mut nonce);
        let mut bytes = Zeroizing::new(*key.expose_bytes());
        let tag = self
            .0
            .seal_in_place(&nonce, context, bytes.as_mut())
            .map_err(|_| KeyError::Library)?;
        Ok([&nonce[..], bytes.as_ref(), &tag].concat())
    }

    /// The key in these bytes, or `None` if they were not wrapped by this key for this context.
    #[must_use]
    pub fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Option<SecretKey> {
        let wrapped: &[u8; WRAPPED_LEN] = wrapped.try_into().ok()?;
        let (nonce, sealed) = wrapped.split_first_chunk::<NONCE_LEN>()?;
        let (ciphertext, tag) = sealed.split_last_chunk::<TAG_LEN>()?;
        let mut bytes = Zeroizing::new([0u8; KEY_LEN]);
        self.0
            .open_to(nonce, context, ciphertext, tag, bytes.as_mut())
            .ok()?;
        SecretKey::from_bytes(&bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_is_unwrapped_only_unchanged_and_in_its_context() {
        let secret = SecretKey::generate().ok().unwrap();
        let wrapping = WrappingKey::of_secret(&secret).ok().unwrap();
        let key = SecretKey::generate().ok().unwrap();
        let wrapped = wrapping.wrap(&key, b"here").unwrap();
        assert_eq!(wrapped.len(), WRAPPED_LEN);
        let back = wrapping.unwrap(&wrapped, b"here").unwrap();
        assert_eq!(*back.expose_hex(), *key.expose_hex());
        assert!(wrapping.unwrap(&wrapped, b"there").is_none());
        for len in 0..wrapped.len() {
            assert!(wrapping.unwrap(&wrapped[..len], b"here").is_none());
        }
        for index in 0..wrapped.len() {
            let mut changed = wrapped.clone();
            changed[index] ^= 1;
            assert!(wrapping.unwrap(&changed, b"here").is_none(), "{index}");
        }
    }
}
