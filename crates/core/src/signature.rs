//! Signatures: Ed25519 (RFC 8032) under a key that is derived from a secret.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::error::KeyError;
use crate::key::SecretKey;

/// A signing key for Ed25519. It has no `Debug` or `Clone`.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// The signing key derived from a secret for a purpose ([`SecretKey::derive`]).
    pub fn derived_from(key: &SecretKey, purpose: &str) -> Result<Self, KeyError> {
        let seed = key.derive(purpose);
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.expose_bytes())
            .map_err(|_| KeyError::Library)?;
        Ok(Self(pair))
    }

    /// The public key by which signatures are verified: 32 bytes.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        let public = self.0.public_key().as_ref();
        public.first_chunk().copied().unwrap_or_default()
    }

    /// The signature over a message: 64 bytes.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

/// True if a signature over a message was created by the key with these public bytes.
#[must_use]
pub fn verify_signature(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public)
        .verify(message, signature)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_verifies_for_its_message_and_key_only() {
        let key = SecretKey::generate().ok().unwrap();
        let signing = SigningKey::derived_from(&key, "receipts").ok().unwrap();
        let signature = signing.sign(b"message");
        let public = signing.public();
        assert!(verify_signature(&public, b"message", &signature));
        assert!(!verify_signature(&public, b"massage", &signature));
        assert!(!verify_signature(&public, b"message", &signature[1..]));
        let other = SigningKey::derived_from(&key, "other").ok().unwrap();
        assert!(!verify_signature(&other.public(), b"message", &signature));
    }
}
