//! The reference store, in memory: for tests, and for what every other store is compared with.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;

use super::{Document, DocumentStore, DocumentStoreError};
use crate::sync::lock;

/// A store in memory, which counts the calls and can be made unreachable.
#[derive(Default)]
pub struct MemoryDocumentStore {
    documents: Mutex<BTreeMap<Document, Vec<u8>>>,
    out_of_reach: AtomicBool,
    calls: AtomicUsize,
}

impl MemoryDocumentStore {
    /// Makes every call fail from now on, or succeed again.
    pub fn set_out_of_reach(&self, out_of_reach: bool) {
        self.out_of_reach.store(out_of_reach, Ordering::SeqCst);
    }

    /// The number of calls so far: each would be a round trip.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Writes a document whatever is there; `None` removes it.
    pub fn set(&self, document: Document, bytes: Option<Vec<u8>>) {
        let mut documents = lock(&self.documents);
        match bytes {
            Some(bytes) => documents.insert(document, bytes),
            None => documents.remove(&document),
        };
    }

    fn with<T>(
        &self,
        then: impl FnOnce(&mut BTreeMap<Document, Vec<u8>>) -> T,
    ) -> Result<T, DocumentStoreError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.out_of_reach.load(Ordering::SeqCst) {
            return Err(DocumentStoreError::Unavailable {
                location: self.location(),
                cause: "it is out of reach".to_owned(),
            });
        }
        Ok(then(&mut lock(&self.documents)))
    }
}

#[async_trait]
impl DocumentStore for MemoryDocumentStore {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    async fn read(&self, document: &Document) -> Result<Option<Vec<u8>>, DocumentStoreError> {
        self.with(|documents| documents.get(document).cloned())
    }

    async fn replace(
        &self,
        document: &Document,
        expected: Option<&[u8]>,
        new: &[u8],
    ) -> Result<bool, DocumentStoreError> {
        self.with(|documents| {
            let as_expected = documents.get(document).map(Vec::as_slice) == expected;
            if as_expected {
                documents.insert(document.clone(), new.to_vec());
            }
            as_expected
        })
    }
}
