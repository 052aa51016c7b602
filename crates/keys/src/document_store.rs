//! Where a keyring lies: the joint between rings and files or databases. What the papers say is not
//! known here.

use async_trait::async_trait;

use crate::error::DocumentStoreError;

mod file;
mod memory;

pub use file::FileDocumentStore;
pub(crate) use file::{read_file, write_file};
pub use memory::MemoryDocumentStore;

/// One of the papers that lie in a place.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Document {
    /// The keyring document.
    Ring,
    /// Who leads the rotation.
    Leader,
    /// What processes report of themselves, and what the last audit found.
    Reports,
}

/// A place for a few small papers.
///
/// The contract, beyond what each method says:
///
/// - A paper is read as it was written last, whole or not at all.
/// - [`replace`](Self::replace) is atomic: of several at once that expect the same, one succeeds.
/// - An operation that returns an error may or may not have been carried out, but never half.
/// - A place that cannot be reached answers [`DocumentStoreError::Unavailable`] within a bounded time, and
///   works again by itself once it is back.
#[async_trait]
pub trait DocumentStore: Send + Sync {
    /// Where it is, for messages: without credentials.
    fn location(&self) -> String;

    /// The time by the clock of the server that holds the documents, in milliseconds since the Unix epoch;
    /// `None` where there is no clock but this process's.
    async fn time_ms(&self) -> Result<Option<u64>, DocumentStoreError> {
        Ok(None)
    }

    /// A paper, if there is one.
    async fn read(&self, paper: &Document) -> Result<Option<Vec<u8>>, DocumentStoreError>;

    /// Writes a paper if it is still as expected (`None`: absent); whether it was.
    async fn replace(
        &self,
        paper: &Document,
        expected: Option<&[u8]>,
        new: &[u8],
    ) -> Result<bool, DocumentStoreError>;
}
