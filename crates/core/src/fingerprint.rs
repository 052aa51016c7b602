//! Fingerprints: a name that can be computed from a secret and does not give it away. Only for
//! secrets that nobody can guess: there is no key in it. What the name is used for is not known
//! here.

use std::fmt::Write as _;

use aws_lc_rs::digest;

/// SHA-256 over a label and a secret, as 64 lower-case hexadecimal characters.
///
/// The secret must have the entropy of a random identifier (a session id, not a phone number):
/// whoever can guess it can confirm the guess. Fingerprints under different labels have nothing to
/// do with each other; the label's length is hashed too, so that no label runs into the secret.
#[must_use]
pub fn fingerprint(label: &str, secret: &[u8]) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    hash.update(&(label.len() as u64).to_be_bytes());
    hash.update(label.as_bytes());
    hash.update(secret);
    let hash = hash.finish();
    let mut hex = String::with_capacity(64);
    for byte in hash.as_ref() {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
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
