//! A document store that counts reads, answers late and panics on request.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use waxseal_keys::{Document, DocumentStore, DocumentStoreError, MemoryDocumentStore};

/// A store in memory that counts reads, and can be slow to answer.
#[derive(Default)]
pub(crate) struct ObservedStore {
    pub(crate) store: MemoryDocumentStore,
    reads: AtomicUsize,
    delay: Mutex<Duration>,
    panics: AtomicBool,
}

impl ObservedStore {
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }

    /// Makes reads panic.
    pub(crate) fn set_panics(&self, panics: bool) {
        self.panics.store(panics, Ordering::SeqCst);
    }

    /// Delays the answers of reads from now on.
    pub(crate) fn set_delay(&self, delay: Duration) {
        *self.delay.lock().unwrap() = delay;
    }
}

#[async_trait]
impl DocumentStore for ObservedStore {
    fn location(&self) -> String {
        self.store.location()
    }

    async fn read(&self, document: &Document) -> Result<Option<Vec<u8>>, DocumentStoreError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        assert!(
            !self.panics.load(Ordering::SeqCst),
            "a panic, requested by a test"
        );
        let read = self.store.read(document).await;
        let delay = *self.delay.lock().unwrap();
        // Even a fast store lets other tasks run in the meantime.
        tokio::time::sleep(delay.max(Duration::from_millis(1))).await;
        read
    }

    async fn replace(
        &self,
        document: &Document,
        expected: Option<&[u8]>,
        new: &[u8],
    ) -> Result<bool, DocumentStoreError> {
        tokio::task::yield_now().await;
        self.store.replace(document, expected, new).await
    }
}
