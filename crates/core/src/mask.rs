//! Masked record names: the literal prefix and a short keyed hash. Names contain phone numbers and bearer secrets; a
//! hash without a key could be reversed by guessing.

use aws_lc_rs::hmac;
use rand::Rng;

use crate::key::SecretKey;

const LABEL: &[u8] = b"waxseal name mask v1";

/// Masks record names for logs and errors.
///
/// Under one key the same name is always masked alike, so that lines of several processes can be correlated.
#[derive(Clone)]
pub struct NameMask(hmac::Key);

impl NameMask {
    /// The mask that belongs to a key.
    #[must_use]
    pub fn derived_from(key: &SecretKey) -> Self {
        let parent = hmac::Key::new(hmac::HMAC_SHA256, key.expose_bytes());
        Self(hmac::Key::new(
            hmac::HMAC_SHA256,
            hmac::sign(&parent, LABEL).as_ref(),
        ))
    }

    /// A mask of this process alone, for use without a key.
    #[must_use]
    pub fn random() -> Self {
        let mut bytes = [0u8; 32];
        rand::rng().fill_bytes(&mut bytes);
        Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
    }

    /// For example `wa:#1f0c77ab` for the name `wa:5215512345678` under the prefix `wa:`.
    #[must_use]
    pub fn show(&self, prefix: &str, name: &[u8]) -> String {
        let tag = hmac::sign(&self.0, name);
        let start = tag.as_ref().first_chunk().copied().unwrap_or_default();
        // The prefix of a pattern without wildcards is a whole name.
        let is_less = prefix.len() < name.len() && name.starts_with(prefix.as_bytes());
        let prefix = if is_less { prefix } else { "" };
        format!("{prefix}#{:08x}", u32::from_be_bytes(start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_masked_alike_under_one_key() {
        let key = SecretKey::generate().ok().unwrap();
        let shown = NameMask::derived_from(&key).show("wa:", b"wa:5215512345678");
        assert!(shown.starts_with("wa:#") && shown.len() == 12, "{shown}");
        assert!(!shown.contains("5215512"));
        assert_eq!(
            shown,
            NameMask::derived_from(&key).show("wa:", b"wa:5215512345678")
        );
        assert_ne!(shown, NameMask::random().show("wa:", b"wa:5215512345678"));
        assert_ne!(
            shown,
            NameMask::derived_from(&key).show("wa:", b"wa:5215512345679")
        );
        let whole = NameMask::derived_from(&key).show("wa:5215512345678", b"wa:5215512345678");
        assert!(whole.starts_with('#'), "{whole}");
    }
}
