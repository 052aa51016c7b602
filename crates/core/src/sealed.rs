//! The sealed format: header ‖ nonce (24) ‖ XAES-256-GCM ciphertext ‖ tag (16), or header ‖ synthetic IV (16) ‖
//! AES-SIV ciphertext, with the header and the binding as associated data. Keys are chosen and nonces drawn by the
//! caller.

use crate::binding::Binding;
use crate::envelope::{DETERMINISTIC_OVERHEAD, HEADER_LEN, Header, NONCE_LEN, OVERHEAD, TAG_LEN};
use crate::siv::{SIV_LEN, SivKey};
use crate::xaes::XaesKey;

/// The binding of a value, in the domain of its keyring.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) binding: &'a Binding<'a>,
    pub(crate) domain: &'a [u8],
}

impl Place<'_> {
    #[inline]
    fn with_associated_data<T>(self, header: Header, then: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.binding.with_associated_data(header, self.domain, then)
    }
}

/// The envelope of a value, or `None` if the value or the binding is too long for the format.
pub(crate) fn seal(
    key: &XaesKey,
    header: Header,
    nonce: &[u8; NONCE_LEN],
    place: Place<'_>,
    value: &[u8],
) -> Option<Vec<u8>> {
    let mut envelope = Vec::with_capacity(OVERHEAD.checked_add(value.len())?);
    envelope.extend_from_slice(&header.to_bytes());
    envelope.extend_from_slice(nonce);
    let start = envelope.len();
    envelope.extend_from_slice(value);
    let ciphertext = envelope.get_mut(start..)?;
    let tag = place
        .with_associated_data(header, |data| key.seal_in_place(nonce, data, ciphertext))?
        .ok()?;
    envelope.extend_from_slice(&tag);
    Some(envelope)
}

/// The value of an envelope with this nonce, ciphertext and tag, or `None` if the tag does not match this key and place.
#[expect(
    clippy::slow_vector_initialization,
    reason = "glibc's calloc goes past the thread's cache: a twentieth of the whole at the usual lengths"
)]
pub(crate) fn open(
    key: &XaesKey,
    header: Header,
    (nonce, ciphertext, tag): (&[u8; NONCE_LEN], &[u8], &[u8; TAG_LEN]),
    place: Place<'_>,
) -> Option<Vec<u8>> {
    if !place.binding.fits(header) {
        return None;
    }
    let mut value = Vec::with_capacity(ciphertext.len());
    value.resize(ciphertext.len(), 0);
    place
        .with_associated_data(header, |data| {
            key.open_to(nonce, data, ciphertext, tag, &mut value)
        })?
        .ok()?;
    Some(value)
}

/// The deterministic envelope of a value, or `None` if the value or the binding is too long for the format.
pub(crate) fn seal_deterministic(
    key: &SivKey,
    header: Header,
    place: Place<'_>,
    value: &[u8],
) -> Option<Vec<u8>> {
    let mut envelope = Vec::with_capacity(DETERMINISTIC_OVERHEAD.checked_add(value.len())?);
    envelope.extend_from_slice(&header.to_bytes());
    envelope.extend_from_slice(&[0; SIV_LEN]);
    envelope.extend_from_slice(value);
    let (_, body) = envelope.split_first_chunk_mut::<HEADER_LEN>()?;
    let (iv, ciphertext) = body.split_first_chunk_mut::<SIV_LEN>()?;
    *iv = place.with_associated_data(header, |data| key.seal_in_place(data, ciphertext))??;
    Some(envelope)
}

/// The value of a deterministic envelope, or `None` if its synthetic IV does not match this key and place.
pub(crate) fn open_deterministic(
    key: &SivKey,
    header: Header,
    (iv, ciphertext): (&[u8; SIV_LEN], &[u8]),
    place: Place<'_>,
) -> Option<Vec<u8>> {
    if !place.binding.fits(header) {
        return None;
    }
    let mut value = ciphertext.to_vec();
    place.with_associated_data(header, |data| key.open_in_place(data, iv, &mut value))??;
    Some(value)
}

#[cfg(test)]
mod tests;
