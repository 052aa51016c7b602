//! Papers that a ring signs with Ed25519, so that an auditor can check them without any key of the ring.
//! What they say is not known here: each kind has a label of its own, so that none passes for another.

use base64_simd::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use waxseal_core::verify_signature;

use crate::keyring_document::Bytes;
use crate::ring::Ring;

/// A signed paper. What is signed is `LABEL` and the paper without its signature, as JSON without white
/// space, its members in the order of the type, which must consist of what JSON gives back as it was: texts,
/// whole numbers, short decimals.
pub trait Signed: Clone + Serialize + DeserializeOwned {
    /// What tells this kind of paper from everything else that the key may sign. Ends with a line feed.
    const LABEL: &'static str;
    /// What it is called.
    const DISPLAY_NAME: &'static str;

    /// Whether the paper is of a kind that this version knows.
    fn is_known(&self) -> bool;

    /// What the signature is verified with.
    fn public_key(&self) -> &Bytes;

    /// Where that and the signature stand. The latter is left out of the JSON where there is none.
    fn signature_fields(&mut self) -> (&mut Bytes, &mut Option<Bytes>);

    /// The paper, signed with the ring's key.
    #[must_use]
    fn signed(mut self, ring: &Ring) -> Self {
        let public = Bytes(ring.receipts().public().to_vec());
        (*self.signature_fields().0, *self.signature_fields().1) = (public, None);
        let signature = ring.receipts().sign(&message(&self));
        *self.signature_fields().1 = Some(Bytes(signature));
        self
    }

    /// Reads a paper and checks its signature; with `expected`, also that this key (base64url, as
    /// `keyring status` tells it) made it.
    fn verify(bytes: &[u8], expected: Option<&str>) -> Result<Self, SignedError> {
        let form = |error: serde_json::Error| SignedError::Form {
            called: Self::DISPLAY_NAME,
            line: error.line(),
            column: error.column(),
        };
        let paper: Self = serde_json::from_slice(bytes).map_err(form)?;
        if !paper.is_known() {
            return Err(SignedError::Kind);
        }
        // What is not in the type would be covered by no signature.
        let read: Value = serde_json::from_slice(bytes).map_err(form)?;
        if serde_json::to_value(&paper).ok() != Some(read) {
            return Err(SignedError::Signature);
        }
        let mut bare = paper.clone();
        let signature = bare
            .signature_fields()
            .1
            .take()
            .ok_or(SignedError::Signature)?;
        if !verify_signature(&paper.public_key().0, &message(&bare), &signature.0) {
            return Err(SignedError::Signature);
        }
        if expected.is_some_and(|expected| expected.trim() != paper.signer()) {
            return Err(SignedError::Signer);
        }
        Ok(paper)
    }

    /// The key that signed it, as `keyring status` tells it.
    #[must_use]
    fn signer(&self) -> String {
        URL_SAFE_NO_PAD.encode_to_string(&self.public_key().0)
    }
}

/// Why a signed paper is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignedError {
    /// It is none.
    #[error("it is no {called} (line {line}, column {column})")]
    Form {
        /// What it should have been.
        called: &'static str,
        /// Where it goes wrong, counted from 1.
        line: usize,
        /// Where in the line, counted from 1.
        column: usize,
    },
    /// Its kind is unknown.
    #[error("its kind is unknown to this version of waxseal")]
    Kind,
    /// It was changed, or its signature is of another.
    #[error("its signature does not verify: it was changed")]
    Signature,
    /// It was signed by somebody else.
    #[error("it was signed by another key than the expected one")]
    Signer,
}

impl Ring {
    /// What the signatures of its papers are verified with, base64url.
    #[must_use]
    pub fn receipt_key(&self) -> String {
        URL_SAFE_NO_PAD.encode_to_string(self.receipts().public())
    }
}

/// What is signed of a paper without its signature.
fn message<P: Signed>(bare: &P) -> Vec<u8> {
    let mut message = P::LABEL.as_bytes().to_vec();
    // Texts and numbers only: writing them cannot fail.
    message.extend(serde_json::to_vec(bare).unwrap_or_default());
    message
}
