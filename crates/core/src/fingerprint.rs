//! Fingerprints: names that are computed from a secret and do not reveal it. There is no key in them, so they are only
//! for secrets that cannot be guessed.

use aws_lc_rs::digest;

use crate::hex;

/// SHA-256 over a label and a secret, as 64 lower-case hexadecimal characters.
///
/// The secret must have the entropy of a random identifier (a session id, not a phone number):
/// otherwise a guess can be confirmed. Fingerprints under different labels are independent; the length of the label
/// is hashed as well, so that label and secret cannot be confused.
#[must_use]
pub fn fingerprint(label: &str, secret: &[u8]) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&(label.len() as u64).to_be_bytes());
    hash.update(label.as_bytes());
    hash.update(secret);
    hex::encode(hash.finish().as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_sha_256_over_the_labels_length_the_label_and_the_secret() {
        // printf '\0\0\0\0\0\0\0\1ab' | sha256sum
        let expected = "bfd8d48c5ab028a9c554ccc9d65ed6fc15a987f4f98cdd8bbfd5f17860493bac";
        assert_eq!(fingerprint("a", b"b"), expected);
    }

    #[test]
    fn another_label_gives_another_name_even_where_the_bytes_run_together() {
        assert_ne!(fingerprint("ab", b"c"), fingerprint("a", b"bc"));
        assert_ne!(fingerprint("a", b"c"), fingerprint("b", b"c"));
        assert_ne!(fingerprint("a", b"c"), fingerprint("a", b"d"));
    }
}
