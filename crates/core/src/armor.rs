//! The armored form of a sealed envelope: `ws2:` and unpadded base64url (RFC 4648, section 5) of
//! the same bytes, for stores and clients that cannot hold binary.

use base64_simd::{AsOut, URL_SAFE_NO_PAD};

use crate::envelope::MAGIC;

pub(crate) const PREFIX: &[u8; 4] = b"ws2:";

pub(crate) fn encode(envelope: &[u8]) -> Vec<u8> {
    let mut armored = PREFIX.to_vec();
    URL_SAFE_NO_PAD.encode_append(envelope, &mut armored);
    armored
}

/// The binary form, or `None` where the prefix or the encoding is not as it must be.
pub(crate) fn decode(armored: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD
        .decode_to_vec(armored.strip_prefix(PREFIX)?)
        .ok()
}

/// Whether this is an armored envelope whose prefix was damaged: after any four bytes comes what
/// decodes to the magic.
pub(crate) fn looks_damaged(stored: &[u8]) -> bool {
    let mut start = [0u8; 3];
    stored
        .get(PREFIX.len()..)
        .and_then(|rest| rest.get(..4))
        .and_then(|rest| {
            URL_SAFE_NO_PAD
                .decode(rest, start.as_mut_slice().as_out())
                .ok()
        })
        .is_some_and(|start| start.starts_with(&MAGIC))
}
