//! A report as it is signed.

use serde::{Deserialize, Serialize};
use waxseal_keys::{Bytes, Signed};
use waxseal_page::report::{KIND, Report};

/// A report, who signed it, and the signature.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Paper {
    pub(super) audit: Report,
    /// What the signature is verified with: an Ed25519 public key, base64url.
    public_key: Bytes,
    /// Ed25519 (RFC 8032) over the label, a line feed and this object without this member as JSON
    /// without white space, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<Bytes>,
}

impl Paper {
    /// Without a signature yet.
    pub(super) fn of(audit: Report) -> Self {
        Self {
            audit,
            public_key: Bytes(Vec::new()),
            signature: None,
        }
    }

    /// In one line.
    pub(super) fn to_json(&self) -> String {
        // Texts and numbers only: writing them cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// For a file, for people to read as well.
    pub(super) fn to_file(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

impl Signed for Paper {
    const LABEL: &'static str = "waxseal audit report v1\n";
    const DISPLAY_NAME: &'static str = "audit report";

    fn is_known(&self) -> bool {
        self.audit.report == KIND
    }

    fn public_key(&self) -> &Bytes {
        &self.public_key
    }

    fn signature_fields(&mut self) -> (&mut Bytes, &mut Option<Bytes>) {
        (&mut self.public_key, &mut self.signature)
    }
}
