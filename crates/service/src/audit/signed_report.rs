//! The signed form of a report, as a file of its own and in a page.

use serde::{Deserialize, Serialize};
use waxseal_keys::{Bytes, Signed};
use waxseal_page::report::{KIND, Report, Signature, page};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A report with its signer and signature.
#[derive(Clone, Serialize, Deserialize)]
pub struct SignedReport {
    /// The report.
    pub audit: Report,
    /// The Ed25519 public key of the signer, base64url.
    public_key: Bytes,
    /// Ed25519 (RFC 8032) over the label, a line feed and this object without this member as JSON
    /// without white space, base64url.
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<Bytes>,
}

/// The result of comparing a page with the signed report that it contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageCheck {
    /// The page shows the signed report.
    Same,
    /// The page shows something else.
    Changed,
    /// The page was written by another version, perhaps in other words.
    OtherVersion,
}

impl SignedReport {
    /// A report that is not signed yet.
    #[must_use]
    pub fn new(audit: Report) -> Self {
        Self {
            audit,
            public_key: Bytes(Vec::new()),
            signature: None,
        }
    }

    /// Returns it as JSON in one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Texts and numbers only, so writing cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns it as indented JSON for a file.
    #[must_use]
    pub fn to_file(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Compares a page with this report, by rendering the page again.
    #[must_use]
    pub fn check_page(&self, text: &str) -> PageCheck {
        let (signer, json) = (self.signer(), self.to_json());
        let signature = Signature {
            signer: &signer,
            json: &json,
        };
        match page(&self.audit, Some(signature)) == text {
            true => PageCheck::Same,
            false if self.audit.waxseal == VERSION => PageCheck::Changed,
            false => PageCheck::OtherVersion,
        }
    }
}

impl Signed for SignedReport {
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
