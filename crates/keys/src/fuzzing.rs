//! The parser of keyring documents, for the fuzz targets alone. Not part of the interface.

use crate::keyring_document::KeyringDocument;

/// A keyring document as it was parsed. Its authentication code is not checked.
#[derive(PartialEq, Eq)]
pub struct ParsedDocument(KeyringDocument);

impl ParsedDocument {
    /// Parses a document. `None` if it is refused.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        KeyringDocument::parse(bytes).ok().map(Self)
    }

    /// The document as it is written.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.to_bytes()
    }
}
