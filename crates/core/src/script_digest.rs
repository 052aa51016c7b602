//! The digest by which servers name scripts. SHA-1, because that is what servers use: it is a name here, and nothing
//! that is kept secret or trusted depends on it.

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
    fn is_the_one_that_servers_answer_to_script_load() {
        // SCRIPT LOAD "return 1"
        let expected = "e0e1f9fabfc9d4800c877a703b823ac0578ff8db";
        let hex: String = script_digest(b"return 1")
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, expected);
    }
}
