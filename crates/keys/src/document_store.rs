//! The store of keyring documents: the interface between rings and files or databases, and its errors.
//! The content of the documents is not known here.

use async_trait::async_trait;

mod file;
mod memory;

pub use file::FileDocumentStore;
pub(crate) use file::{read_file, write_file};
pub use memory::MemoryDocumentStore;

/// One of the documents in a store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Document {
    /// The keyring document.
    Ring,
    /// The lease of the process that leads the rotation.
    Leader,
    /// Reports of processes, and the results of the last audit.
    Reports,
}

/// A store of a few small documents.
///
/// The contract, beyond what each method says:
///
/// - A document is read as it was last written, whole or not at all.
/// - [`replace`](Self::replace) is atomic: of several at once that expect the same, one succeeds.
/// - An operation that returns an error may or may not have been carried out, but never in part.
/// - A store that cannot be reached answers [`DocumentStoreError::Unavailable`] within a bounded time, and
///   works again without intervention once it is back.
#[async_trait]
pub trait DocumentStore: Send + Sync {
    /// The location for messages, without credentials.
    fn location(&self) -> String;

    /// The time by the clock of the server that holds the documents, in milliseconds since the Unix epoch;
    /// `None` if it has no clock of its own.
    async fn time_ms(&self) -> Result<Option<u64>, DocumentStoreError> {
        Ok(None)
    }

    /// Reads a document, if there is one.
    async fn read(&self, document: &Document) -> Result<Option<Vec<u8>>, DocumentStoreError>;

    /// Writes a document if it is still as expected (`None`: absent). Returns true if it was.
    async fn replace(
        &self,
        document: &Document,
        expected: Option<&[u8]>,
        new: &[u8],
    ) -> Result<bool, DocumentStoreError>;
}

/// Errors of reading or writing a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentStoreError {
    /// The store cannot be reached now; it may come back without intervention.
    #[error("the store of the keyring, {location}, cannot be reached: {cause}")]
    Unavailable {
        /// Its location.
        location: String,
        /// The cause, in a few words.
        cause: String,
    },
    /// The store refuses to be read or written.
    #[error("the store of the keyring, {location}, refuses: {cause}")]
    Denied {
        /// Its location.
        location: String,
        /// The cause, in a few words.
        cause: String,
    },
}
