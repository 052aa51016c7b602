//! Places that count, and that answer late.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use waxseal_keys::{Document, DocumentStore, DocumentStoreError, MemoryDocumentStore};

/// A store in memory that counts how often the document is read, and can be slow to answer.
#[derive(Default)]
pub(crate) struct Watched {
    pub(crate) store: MemoryDocumentStore,
    reads: AtomicUsize,
    late: Mutex<Duration>,
    panics: AtomicBool,
}

impl Watched {
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// Whether reading meets a bug.
    pub(crate) fn set_panics(&self, panics: bool) {
        self.panics.store(panics, Ordering::SeqCst);
    }

    /// What is read from now on is heard so much later.
    pub(crate) fn set_late(&self, late: Duration) {
        *self.late.lock().unwrap() = late;
    }
}

#[async_trait]
impl DocumentStore for Watched {
    fn location(&self) -> String {
        self.store.location()
    }

    async fn read(&self, paper: &Document) -> Result<Option<Vec<u8>>, DocumentStoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        assert!(
            !self.panics.load(Ordering::SeqCst),
            "a bug, planted by a test"
        );
        let read = self.store.read(paper).await;
        let late = *self.late.lock().unwrap();
        // Even a fast store lets others run meanwhile.
        tokio::time::sleep(late.max(Duration::from_millis(1))).await;
        read
    }

    async fn replace(
        &self,
        paper: &Document,
        expected: Option<&[u8]>,
        new: &[u8],
    ) -> Result<bool, DocumentStoreError> {
        tokio::task::yield_now().await;
        self.store.replace(paper, expected, new).await
    }
}
