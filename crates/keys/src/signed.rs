//! Documents that a ring signs with Ed25519, so that an auditor can check them without any key of the ring.
//! Their content is not known here: each kind has a label of its own, so that none passes for another.

use base64_simd::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use waxseal_core::verify_signature;

use crate::bytes::Bytes;
use crate::ring::Ring;

/// A signed document. The signature covers `LABEL` and the document without its signature, as JSON without
/// white space, with the members in the order of the type. The type must consist of values that JSON
/// reproduces exactly: strings, integers, short decimals.
pub trait Signed: Clone + Serialize + DeserializeOwned {
    /// Distinguishes this kind of document from everything else that the key may sign. Ends with a line feed.
    const LABEL: &'static str;
    /// Its name in messages.
    const DISPLAY_NAME: &'static str;

    /// True if the document is of a kind that this version knows.
    fn is_known(&self) -> bool;

    /// The key that verifies the signature.
    fn public_key(&self) -> &Bytes;

    /// The fields of that key and of the signature. The latter is omitted from the JSON if there is none.
    fn signature_fields(&mut self) -> (&mut Bytes, &mut Option<Bytes>);

    /// Returns the document, signed with the ring's key.
    #[must_use]
    fn signed(mut self, ring: &Ring) -> Self {
        let public = Bytes(ring.receipts().public().to_vec());
        (*self.signature_fields().0, *self.signature_fields().1) = (public, None);
        let signature = ring.receipts().sign(&message(&self));
        *self.signature_fields().1 = Some(Bytes(signature));
        self
    }

    /// Parses a document and checks its signature; with `expected`, also that this key (base64url, as
    /// `keyring status` shows it) signed it.
    fn verify(bytes: &[u8], expected: Option<&str>) -> Result<Self, SignedError> {
        let form = |error: serde_json::Error| SignedError::Form {
            called: Self::DISPLAY_NAME,
            line: error.line(),
            column: error.column(),
        };
        let document: Self = serde_json::from_slice(bytes).map_err(form)?;
        if !document.is_known() {
            return Err(SignedError::Kind);
        }
        // The signature does not cover members that are not in the type.
        let read: Value = serde_json::from_slice(bytes).map_err(form)?;
        if serde_json::to_value(&document).ok() != Some(read) {
            return Err(SignedError::Signature);
        }
        let mut bare = document.clone();
        let signature = bare
            .signature_fields()
            .1
            .take()
            .ok_or(SignedError::Signature)?;
        if !verify_signature(&document.public_key().0, &message(&bare), &signature.0) {
            return Err(SignedError::Signature);
        }
        if expected.is_some_and(|expected| expected.trim() != document.signer()) {
            return Err(SignedError::Signer);
        }
        Ok(document)
    }

    /// The key that signed it, as `keyring status` shows it.
    #[must_use]
    fn signer(&self) -> String {
        URL_SAFE_NO_PAD.encode_to_string(&self.public_key().0)
    }
}

/// Reasons why a signed document is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignedError {
    /// It is not such a document.
    #[error("it is not a valid {called} (line {line}, column {column})")]
    Form {
        /// The expected kind of document.
        called: &'static str,
        /// The line of the error, counted from 1.
        line: usize,
        /// The column of the error, counted from 1.
        column: usize,
    },
    /// Its kind is unknown.
    #[error("its kind is unknown to this version of waxseal")]
    Kind,
    /// It was changed, or its signature belongs to another document.
    #[error("its signature does not verify: it was changed")]
    Signature,
    /// It was signed by another key.
    #[error("it was signed by another key than the expected one")]
    Signer,
}

impl Ring {
    /// The key that verifies the signatures of its documents, base64url.
    #[must_use]
    pub fn receipt_key(&self) -> String {
        URL_SAFE_NO_PAD.encode_to_string(self.receipts().public())
    }
}

/// The signed bytes of a document without its signature.
fn message<D: Signed>(bare: &D) -> Vec<u8> {
    let mut message = D::LABEL.as_bytes().to_vec();
    // Texts and numbers only: writing them cannot fail.
    message.extend(serde_json::to_vec(bare).unwrap_or_default());
    message
}
