//! The check value of a ring, by which an operator tells one backup from another.

use waxseal_core::fingerprint;

use super::Ring;

const LABEL: &str = "waxseal keyring check value v1";
const LEN: usize = 16;

impl Ring {
    /// A short name of this document and its keys, for people to compare: 16 hexadecimal characters.
    ///
    /// It is a hash of the authentication code, which is computed with the ring's own secret over the
    /// document and a proof of each key: the same only for the same document and keys, and no help in
    /// guessing a key.
    #[must_use]
    pub fn check_value(&self) -> String {
        let mac = self.document.mac.as_ref().map_or(&[][..], |mac| &mac.0);
        let mut value = fingerprint(LABEL, mac);
        value.truncate(LEN);
        value
    }
}
