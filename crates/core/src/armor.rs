//! The armored form of a sealed envelope: `ws2:` and unpadded base64url (RFC 4648, section 5) of
//! the same bytes, for stores and clients that cannot hold binary.

use base64_simd::{AsOut, URL_SAFE_NO_PAD};

use crate::envelope::{DETERMINISTIC_OVERHEAD, HEADER_LEN, OVERHEAD};

pub(crate) const PREFIX: &[u8; 4] = b"ws2:";
/// The number of characters of the shortest envelope with a nonce after the prefix, and of the shortest deterministic
/// one.
const SHORTEST_RANDOM: usize = (OVERHEAD * 4).div_ceil(3);
const SHORTEST: usize = (DETERMINISTIC_OVERHEAD * 4).div_ceil(3);

pub(crate) fn encode(envelope: &[u8]) -> Vec<u8> {
    let mut armored = PREFIX.to_vec();
    URL_SAFE_NO_PAD.encode_append(envelope, &mut armored);
    armored
}

/// The binary form, or `None` if the prefix or the encoding is invalid.
pub(crate) fn decode(armored: &[u8]) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD
        .decode_to_vec(armored.strip_prefix(PREFIX)?)
        .ok()
}

/// The first bytes of an armored envelope after a prefix of any content: as many as a header has; and true if it is
/// long enough for one with a nonce. `None` if the text is not base64url, or too short for any envelope.
pub(crate) fn header_behind_any_prefix(stored: &[u8]) -> Option<([u8; HEADER_LEN], bool)> {
    let body = stored.get(PREFIX.len()..)?;
    if body.len() < SHORTEST {
        return None;
    }
    // Three groups of four characters: the 8 bytes of a header, and one more.
    let mut start = [0u8; HEADER_LEN + 1];
    let decoded = URL_SAFE_NO_PAD
        .decode(body.get(..12)?, start.as_mut_slice().as_out())
        .ok()?;
    Some((*decoded.first_chunk()?, body.len() >= SHORTEST_RANDOM))
}

/// True if everything after the prefix is base64url.
pub(crate) fn is_armored_behind_any_prefix(stored: &[u8]) -> bool {
    let body = stored.get(PREFIX.len()..);
    body.is_some_and(|body| URL_SAFE_NO_PAD.check(body).is_ok())
}
