//! Places that count, and that answer late; and what is logged meanwhile.

use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use waxseal_keys::{MemoryPlace, Paper, Place, PlaceError};

/// A place in memory that counts how often the document is read, and can be slow to answer.
#[derive(Default)]
pub(crate) struct Watched {
    pub(crate) place: MemoryPlace,
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
impl Place for Watched {
    fn location(&self) -> String {
        self.place.location()
    }

    async fn read(&self, paper: &Paper) -> Result<Option<Vec<u8>>, PlaceError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        assert!(
            !self.panics.load(Ordering::SeqCst),
            "a bug, planted by a test"
        );
        let read = self.place.read(paper).await;
        let late = *self.late.lock().unwrap();
        // Even a fast place lets others run meanwhile.
        tokio::time::sleep(late.max(Duration::from_millis(1))).await;
        read
    }

    async fn replace(
        &self,
        paper: &Paper,
        expected: Option<&[u8]>,
        new: &[u8],
    ) -> Result<bool, PlaceError> {
        tokio::task::yield_now().await;
        self.place.replace(paper, expected, new).await
    }
}

/// What this thread logs.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Captures until the guard is dropped.
    pub(crate) fn capture(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || log.clone())
            .with_ansi(false)
            .finish();
        tracing::subscriber::set_default(subscriber)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
