//! The sealed format: header ‖ nonce (24) ‖ XAES-256-GCM ciphertext ‖ tag (16), with the header and
//! the binding as associated data. Keys are chosen and nonces drawn by the caller.

use crate::binding::Binding;
use crate::envelope::{Body, Header, NONCE_LEN, OVERHEAD};
use crate::xaes::XaesKey;

/// The envelope of a value, or `None` if the value or the binding is too long for the format.
pub(crate) fn seal(
    key: &XaesKey,
    header: Header,
    nonce: &[u8; NONCE_LEN],
    binding: Binding<'_>,
    value: &[u8],
) -> Option<Vec<u8>> {
    let mut envelope = Vec::with_capacity(OVERHEAD.checked_add(value.len())?);
    envelope.extend_from_slice(&header.to_bytes());
    envelope.extend_from_slice(nonce);
    let start = envelope.len();
    envelope.extend_from_slice(value);
    let ciphertext = envelope.get_mut(start..)?;
    let tag = binding
        .with_associated_data(header, |data| key.seal_in_place(nonce, data, ciphertext))?
        .ok()?;
    envelope.extend_from_slice(&tag);
    Some(envelope)
}

/// The value of an envelope, or `None` if its tag does not match this key and binding.
///
/// The envelope must be bound to exactly the parts of the binding: one that is bound to nothing does not open where a
/// bound one is expected, so it cannot be planted there.
#[expect(
    clippy::slow_vector_initialization,
    reason = "glibc's calloc goes past the thread's cache: a twentieth of the whole at the usual lengths"
)]
pub(crate) fn open(
    key: &XaesKey,
    header: Header,
    body: Body<'_>,
    binding: Binding<'_>,
) -> Option<Vec<u8>> {
    if header.flags.place() != binding.flags() {
        return None;
    }
    let mut value = Vec::with_capacity(body.ciphertext.len());
    value.resize(body.ciphertext.len(), 0);
    binding
        .with_associated_data(header, |data| {
            key.open_to(body.nonce, data, body.ciphertext, body.tag, &mut value)
        })?
        .ok()?;
    Some(value)
}
