//! Receipts: signed statements of the erasure of a user, which an auditor can check without any key of the
//! ring. A receipt names the user by the keyed hash alone.

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::signed::Signed;

/// The only kind of receipt.
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
    /// The number of erasures of this user so far.
    pub erasure: u32,
    /// The time at which the ledger was written (RFC 3339, UTC).
    pub erased: String,
    /// True if the user had a key, which this run or an earlier one destroyed.
    pub key_destroyed: bool,
    /// The number of deleted records.
    pub records_deleted: u64,
    /// The location of the records, without credentials.
    pub store: String,
    /// Where the names of the records are sealed: the keys that tell them. Older receipts, and those of records with names in
    /// clear, lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub names: Option<ReceiptNames>,
    /// The key that verifies the signature: an Ed25519 public key, base64url.
    pub public_key: Bytes,
    /// Ed25519 (RFC 8032) over the label `waxseal receipt v1`, a line feed and the receipt without this
    /// part as JSON without white space, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signature: Option<Bytes>,
}

/// The names of the erased records, in older copies of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReceiptNames {
    /// The ids of the index keys that names are sealed under: who holds one of these reads the names under it in older copies
    /// of the store, until it is destroyed.
    pub index_keys: Vec<String>,
}

impl Receipt {
    /// The kind of all receipts.
    #[must_use]
    pub fn kind() -> String {
        KIND.to_owned()
    }
}

impl Signed for Receipt {
    const LABEL: &'static str = "waxseal receipt v1\n";
    const DISPLAY_NAME: &'static str = "receipt";

    fn is_known(&self) -> bool {
        self.receipt == KIND
    }

    fn public_key(&self) -> &Bytes {
        &self.public_key
    }

    fn signature_fields(&mut self) -> (&mut Bytes, &mut Option<Bytes>) {
        (&mut self.public_key, &mut self.signature)
    }
}
