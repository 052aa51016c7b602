//! Keyed hashes: HMAC-SHA-256 (RFC 2104), as a name for values that must not be guessed, and as a code that
//! authenticates a text.

use aws_lc_rs::hmac;

use crate::key::SecretKey;

/// HMAC-SHA-256 under one key. Each part is preceded by its length.
#[derive(Clone)]
pub struct KeyedHash(hmac::Key);

impl KeyedHash {
    /// The hash under a key that is derived from this one for a purpose ([`SecretKey::derive`]).
    #[must_use]
    pub fn derived_from(key: &SecretKey, purpose: &str) -> Self {
        Self(hmac::Key::new(
            hmac::HMAC_SHA256,
            key.derive(purpose).expose_bytes(),
        ))
    }

    /// The hash of some parts.
    #[must_use]
    pub fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        update(&mut context, parts);
        context
            .sign()
            .as_ref()
            .first_chunk()
            .copied()
            .unwrap_or_default()
    }

    /// True if this is the hash of these parts; compares in constant time.
    #[must_use]
    pub fn verify(&self, parts: &[&[u8]], hash: &[u8]) -> bool {
        let expected = self.hash(parts);
        aws_lc_rs::constant_time::verify_slices_are_equal(&expected, hash).is_ok()
    }
}

fn update(context: &mut hmac::Context, parts: &[&[u8]]) {
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_separated_and_purposes_are_independent() {
        let key = SecretKey::generate().ok().unwrap();
        let hash = KeyedHash::derived_from(&key, "a");
        assert_ne!(hash.hash(&[b"ab", b"c"]), hash.hash(&[b"a", b"bc"]));
        assert_ne!(
            hash.hash(&[b"ab"]),
            KeyedHash::derived_from(&key, "b").hash(&[b"ab"])
        );
        assert!(hash.verify(&[b"ab"], &hash.hash(&[b"ab"])));
        assert!(!hash.verify(&[b"ab"], &hash.hash(&[b"ac"])));
        assert!(!hash.verify(&[b"ab"], b""));
    }
}
