//! The reference place, in memory: for tests and for what every other place is compared with.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::{Document, DocumentStore};
use crate::error::DocumentStoreError;

/// A place in memory, which counts how often it was asked. Can be told to be out of reach.
#[derive(Default)]
pub struct MemoryDocumentStore {
    papers: Mutex<BTreeMap<Document, Vec<u8>>>,
    out_of_reach: AtomicBool,
    calls: AtomicUsize,
}

impl MemoryDocumentStore {
    /// From now on every call answers that the place cannot be reached, or no more.
    pub fn set_out_of_reach(&self, out_of_reach: bool) {
        self.out_of_reach.store(out_of_reach, Ordering::SeqCst);
    }

    /// How many calls there were: each would be a round trip.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Puts a paper there, whatever was there; `None` takes it away.
    pub fn set(&self, paper: Document, bytes: Option<Vec<u8>>) {
        let mut papers = self.papers.lock().unwrap_or_else(PoisonError::into_inner);
        match bytes {
            Some(bytes) => papers.insert(paper, bytes),
            None => papers.remove(&paper),
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
        Ok(then(
            &mut self.papers.lock().unwrap_or_else(PoisonError::into_inner),
        ))
    }
}

#[async_trait]
impl DocumentStore for MemoryDocumentStore {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    async fn read(&self, paper: &Document) -> Result<Option<Vec<u8>>, DocumentStoreError> {
        self.with(|papers| papers.get(paper).cloned())
    }

    async fn replace(
        &self,
        paper: &Document,
        expected: Option<&[u8]>,
        new: &[u8],
    ) -> Result<bool, DocumentStoreError> {
        self.with(|papers| {
            let as_expected = papers.get(paper).map(Vec::as_slice) == expected;
            if as_expected {
                papers.insert(paper.clone(), new.to_vec());
            }
            as_expected
        })
    }
}
