//! A data key bound to its context inside the wrapped bytes: for services that wrap bytes and know
//! no associated data, or may ignore it. The plaintext is the key (32 bytes) ‖ HMAC-SHA-256 of the
//! context under the key (32 bytes). It is verified after unwrapping; the service must refuse
//! changed bytes.

use waxseal_core::{KeyedHash, SecretKey};
use zeroize::Zeroizing;

use super::Context;

const PURPOSE: &str = "waxseal wrapped key context v1";
const KEY_LEN: usize = 32;
const HASH_LEN: usize = 32;
/// Length of a bound key in bytes.
pub(super) const BOUND_LEN: usize = KEY_LEN + HASH_LEN;

/// The key, bound to a context.
pub(super) fn bind(key: &SecretKey, context: &Context<'_>) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(BOUND_LEN));
    bytes.extend_from_slice(key.expose_bytes());
    bytes.extend_from_slice(&hash(key, context));
    bytes
}

/// The key in these bytes, if they are bound to this context.
pub(super) fn unbind(bytes: &[u8], context: &Context<'_>) -> Option<SecretKey> {
    let bytes: &[u8; BOUND_LEN] = bytes.try_into().ok()?;
    let (key, found) = bytes.split_first_chunk::<KEY_LEN>()?;
    let key = SecretKey::from_bytes(key).ok()?;
    let parts = [&context.to_bytes()[..]];
    KeyedHash::derived_from(&key, PURPOSE)
        .verify(&parts, found)
        .then_some(key)
}

fn hash(key: &SecretKey, context: &Context<'_>) -> [u8; HASH_LEN] {
    KeyedHash::derived_from(key, PURPOSE).hash(&[&context.to_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_key_comes_back_only_whole_and_in_its_context() {
        let key = SecretKey::generate().ok().unwrap();
        let here = Context {
            environment: "production",
            ring: "0123456789abcdef",
            key: "89abcdef",
        };
        let there = Context {
            environment: "staging",
            ..here
        };
        let bytes = bind(&key, &here);
        assert_eq!(bytes.len(), BOUND_LEN);
        let back = unbind(&bytes, &here).unwrap();
        assert!(back.expose_bytes() == key.expose_bytes());
        assert!(unbind(&bytes, &there).is_none());
        for len in 0..bytes.len() {
            assert!(unbind(&bytes[..len], &here).is_none());
        }
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            assert!(unbind(&changed, &here).is_none(), "{index}");
        }
    }
}
