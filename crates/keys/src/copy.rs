//! The last good copy: the newest document that this machine has seen, in a file. It shows a rollback
//! to a process that has just started, and brings back a ring whose store lost it. All processes of a
//! machine share it: none writes an older document over a newer one.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, UNIX_EPOCH};

use tokio::task::spawn_blocking;
use tokio::time::Instant;
use waxseal_files::{Access, Location};

use crate::document_store::{Document, DocumentStore, FileDocumentStore};
use crate::error::DocumentStoreError;
use crate::keyring_document::KeyringDocument;

/// How often a copy is written while others write it.
const ATTEMPTS: usize = 20;
/// How often the file's time is renewed, at most: it tells when the copy was confirmed.
const RENEWED_EVERY: Duration = Duration::from_secs(60);

/// The file of the last good copy.
#[derive(Debug)]
pub(crate) struct LastGood {
    path: PathBuf,
    store: FileDocumentStore,
    renewed: Mutex<Option<Instant>>,
}

impl LastGood {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self {
            store: FileDocumentStore::new(&path),
            path,
            renewed: Mutex::new(None),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) async fn read(&self) -> Result<Option<Vec<u8>>, DocumentStoreError> {
        self.store.read(&Document::Ring).await
    }

    /// Keeps a document, unless there is a newer one of the same ring.
    pub(crate) async fn keep(&self, bytes: &[u8]) -> Result<(), DocumentStoreError> {
        for _ in 0..ATTEMPTS {
            let there = self.read().await?;
            if there.as_deref().is_some_and(|there| is_newer(there, bytes)) {
                return Ok(());
            }
            let expected = there.as_deref();
            if expected == Some(bytes)
                || self.store.replace(&Document::Ring, expected, bytes).await?
            {
                return Ok(());
            }
        }
        Ok(())
    }

    /// When it was confirmed last (milliseconds since the Unix epoch), as far as the file tells.
    pub(crate) fn confirmed_at(&self) -> Option<u64> {
        let modified = std::fs::metadata(&self.path).ok()?.modified().ok()?;
        let since = modified.duration_since(UNIX_EPOCH).ok()?;
        u64::try_from(since.as_millis()).ok()
    }

    /// Notes in the file's time that what it holds was confirmed now (milliseconds since the Unix
    /// epoch). Where it was just written, `written`.
    pub(crate) async fn renew(&self, now_ms: u64, written: bool) {
        {
            let mut renewed = crate::live::lock(&self.renewed);
            if !written && renewed.is_some_and(|at| at.elapsed() < RENEWED_EVERY) {
                return;
            }
            *renewed = Some(Instant::now());
        }
        let path = self.path.clone();
        // A file whose time cannot be set counts as older than it is.
        let _ = spawn_blocking(move || {
            let file = Location::resolve(&path)?.open(Access::Write)?;
            let file = file.ok_or(ErrorKind::NotFound)?;
            file.set_modified(UNIX_EPOCH + Duration::from_millis(now_ms))
        })
        .await;
    }
}

/// Whether the first of two documents is a later one of the same ring.
fn is_newer(there: &[u8], bytes: &[u8]) -> bool {
    let (Ok(there), Ok(new)) = (KeyringDocument::parse(there), KeyringDocument::parse(bytes))
    else {
        return false;
    };
    there.ring == new.ring && there.version > new.version
}
