//! The last good copy: the newest document that this machine has seen, in a file. It reveals a rollback
//! to a process that has just started, and restores a ring that its store has lost. All processes of a
//! machine share it: none writes an older document over a newer one.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use tokio::task::spawn_blocking;
use tokio::time::Instant;
use waxseal_files::{Access, Location};

use crate::document_store::{Document, DocumentStore, DocumentStoreError, FileDocumentStore};
use crate::keyring_document::KeyringDocument;
use crate::sync::lock;

/// The number of attempts to write the copy while others write it.
const MAX_ATTEMPTS: usize = 20;
/// The file's modification time says when the copy was confirmed; it is updated no more often than this.
const TOUCH_INTERVAL: Duration = Duration::from_secs(60);

/// The file of the last good copy.
#[derive(Debug)]
pub(crate) struct LastGoodCopy {
    path: PathBuf,
    store: FileDocumentStore,
    touched: Mutex<Option<Instant>>,
}

impl LastGoodCopy {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self {
            store: FileDocumentStore::new(&path),
            path,
            touched: Mutex::new(None),
        }
    }

    /// The location for messages.
    pub(crate) fn location(&self) -> String {
        self.store.location()
    }

    pub(crate) async fn read(&self) -> Result<Option<Vec<u8>>, DocumentStoreError> {
        self.store.read(&Document::Ring).await
    }

    /// Stores a document, unless the copy is a newer one of the same ring.
    pub(crate) async fn store(&self, bytes: &[u8]) -> Result<(), DocumentStoreError> {
        for _ in 0..MAX_ATTEMPTS {
            let present = self.read().await?;
            let expected = present.as_deref();
            if expected.is_some_and(|present| is_newer(present, bytes)) {
                return Ok(());
            }
            if expected == Some(bytes)
                || self.store.replace(&Document::Ring, expected, bytes).await?
            {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The time of the last confirmation (milliseconds since the Unix epoch), if the file has one.
    pub(crate) fn confirmed_at(&self) -> Option<u64> {
        let modified = std::fs::metadata(&self.path).ok()?.modified().ok()?;
        let since = modified.duration_since(UNIX_EPOCH).ok()?;
        u64::try_from(since.as_millis()).ok()
    }

    /// Sets the file's modification time: its content was confirmed now (milliseconds since the Unix
    /// epoch). `written`: the file has just been written, which changed its time.
    pub(crate) async fn touch(&self, now_ms: u64, written: bool) {
        {
            let mut touched = lock(&self.touched);
            if !written && touched.is_some_and(|at| at.elapsed() < TOUCH_INTERVAL) {
                return;
            }
            *touched = Some(Instant::now());
        }
        let path = self.path.clone();
        // A file whose time cannot be set counts as older than it is, which is safe.
        let _ = spawn_blocking(move || {
            let file = Location::resolve(&path)?.open(Access::Write)?;
            let file = file.ok_or(ErrorKind::NotFound)?;
            file.set_modified(UNIX_EPOCH + Duration::from_millis(now_ms))
        })
        .await;
    }
}

/// True if the first of two documents is a later one of the same ring.
fn is_newer(present: &[u8], new: &[u8]) -> bool {
    let (Ok(present), Ok(new)) = (KeyringDocument::parse(present), KeyringDocument::parse(new))
    else {
        return false;
    };
    present.ring == new.ring && present.version > new.version
}
