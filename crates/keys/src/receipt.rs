//! Receipts: what was done when a user was erased, signed, so that an auditor can check it without any
//! key of the ring. A receipt names the user by the keyed hash alone.

use base64_simd::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use waxseal_core::verify_signature;

use crate::document::Bytes;
use crate::ring::Ring;

/// What is signed is told apart from everything else that the key may sign.
const LABEL: &[u8] = b"waxseal receipt v1\n";
/// The only kind of receipt there is.
const KIND: &str = "erasure";

/// A receipt for the erasure of one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The kind of receipt: `erasure`.
    pub receipt: String,
    /// The environment of the ring.
    pub environment: String,
    /// The ring.
    pub ring: String,
    /// The version of the ring whose ledger names the user.
    pub ring_version: u64,
    /// The user's keyed hash: 64 hexadecimal characters.
    pub user: String,
    /// How often this user was erased by now.
    pub erasure: u32,
    /// When the ledger was written (RFC 3339, UTC).
    pub erased: String,
    /// Whether the user had a key, which is destroyed by now: by this run or by an earlier one.
    pub key_destroyed: bool,
    /// How many records were deleted.
    pub records_deleted: u64,
    /// Where the records were, without credentials.
    pub store: String,
    /// What the signature is verified with: an Ed25519 public key, base64url.
    pub public_key: Bytes,
    /// Ed25519 (RFC 8032) over the label `waxseal receipt v1`, a line feed and the receipt without this
    /// part as JSON without white space, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<Bytes>,
}

/// Why a receipt is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// It is no receipt.
    #[error("it is no receipt (line {line}, column {column})")]
    Form {
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

impl Receipt {
    /// The kind of all receipts there are.
    #[must_use]
    pub fn kind() -> String {
        KIND.to_owned()
    }

    /// The receipt, signed with the ring's key.
    #[must_use]
    pub fn signed(mut self, ring: &Ring) -> Self {
        self.public_key = Bytes(ring.receipts().public().to_vec());
        self.signature = None;
        let signature = ring.receipts().sign(&self.message());
        self.signature = Some(Bytes(signature));
        self
    }

    /// Reads a receipt and checks its signature; with `expected`, also that this key (base64url, as
    /// `keyring status` tells it) made it.
    pub fn verify(bytes: &[u8], expected: Option<&str>) -> Result<Self, ReceiptError> {
        let receipt: Self = serde_json::from_slice(bytes).map_err(|error| ReceiptError::Form {
            line: error.line(),
            column: error.column(),
        })?;
        if receipt.receipt != KIND {
            return Err(ReceiptError::Kind);
        }
        let signature = receipt.signature.as_ref().ok_or(ReceiptError::Signature)?;
        if !verify_signature(&receipt.public_key.0, &receipt.message(), &signature.0) {
            return Err(ReceiptError::Signature);
        }
        if expected.is_some_and(|expected| expected.trim() != receipt.signer()) {
            return Err(ReceiptError::Signer);
        }
        Ok(receipt)
    }

    /// The key that signed it, as `keyring status` tells it.
    #[must_use]
    pub fn signer(&self) -> String {
        URL_SAFE_NO_PAD.encode_to_string(&self.public_key.0)
    }

    fn message(&self) -> Vec<u8> {
        let bare = Self {
            signature: None,
            ..self.clone()
        };
        let mut message = LABEL.to_vec();
        // Strings and numbers only: writing them cannot fail.
        message.extend(serde_json::to_vec(&bare).unwrap_or_default());
        message
    }
}

impl Ring {
    /// What the signatures of its receipts are verified with, base64url.
    #[must_use]
    pub fn receipt_key(&self) -> String {
        URL_SAFE_NO_PAD.encode_to_string(self.receipts().public())
    }
}
