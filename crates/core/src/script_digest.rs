//! The digest by which servers identify scripts: SHA-1. It is only an identifier; no secret and no trust depends on it.

use aws_lc_rs::digest;

/// SHA-1 over the text of a script.
#[must_use]
pub fn script_digest(text: &[u8]) -> [u8; 20] {
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text);
    let mut digest = [0; 20];
    for (byte, hashed) in digest.iter_mut().zip(hash.as_ref()) {
        *byte = *hashed;
    }
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_script_load() {
        // SCRIPT LOAD "return 1"
        let expected = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
        assert_eq!(crate::hex::encode(&script_digest(b"return 1")), expected);
    }
}
