//! A keyring in a file. Beside it, with its name as their prefix: a lock, the leader's lease and the
//! reports. Works for processes of one machine, or of several over a file system that locks.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::task::spawn_blocking;
use waxseal_files::{Access, Location, description};

use super::{Document, DocumentStore, DocumentStoreError};

/// The time for which another process may hold the lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);
/// The bound on a keyring and on the files beside it, which another user may have written.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// Between two attempts to take the lock.
const LOCK_RETRY_DELAY: Duration = Duration::from_millis(2);

/// A keyring in a file.
#[derive(Clone, Debug)]
pub struct FileDocumentStore {
    path: PathBuf,
}

impl FileDocumentStore {
    /// A store whose keyring is this file. Its directory must exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    }

    /// The keyring may be a link that the operator created. The files beside it are never links: another
    /// user who may write to the directory could create one.
    fn file(&self, document: &Document) -> io::Result<Location> {
        match document {
            Document::Ring => Location::resolve(&self.path),
            Document::Leader => Location::of(&self.beside(".leader")),
            Document::Reports => Location::of(&self.beside(".reports")),
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> Result<T, DocumentStoreError> {
        let this = self.clone();
        let done = spawn_blocking(move || work(&this)).await;
        let done = done.unwrap_or_else(|_| Err(ErrorKind::Other.into()));
        done.map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &io::Error) -> DocumentStoreError {
        let location = self.location();
        let cause = description(error);
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {
                DocumentStoreError::Unavailable { location, cause }
            }
            _ => DocumentStoreError::Denied { location, cause },
        }
    }

    /// Holds the lock while `work` runs. The lock ends with the process that holds it.
    fn locked<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let lock = open_lock(&self.beside(".lock"), &self.path)?;
        let since = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return work(),
                Err(TryLockError::WouldBlock) if since.elapsed() < LOCK_TIMEOUT => {
                    sleep(LOCK_RETRY_DELAY);
                }
                Err(TryLockError::WouldBlock) => return Err(ErrorKind::WouldBlock.into()),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

#[async_trait]
impl DocumentStore for FileDocumentStore {
    fn location(&self) -> String {
        format!("file:{}", self.path.display())
    }

    async fn read(&self, document: &Document) -> Result<Option<Vec<u8>>, DocumentStoreError> {
        let document = document.clone();
        self.blocking(move |this| match this.file(&document) {
            Ok(file) => read(&file),
            // There is no directory yet.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        })
        .await
    }

    async fn replace(
        &self,
        document: &Document,
        expected: Option<&[u8]>,
        new: &[u8],
    ) -> Result<bool, DocumentStoreError> {
        let document = document.clone();
        // The other documents are written again if a crash loses them.
        let durable = document == Document::Ring;
        let (expected, new) = (expected.map(<[u8]>::to_vec), new.to_vec());
        self.blocking(move |this| {
            this.locked(|| {
                let file = this.file(&document)?;
                if read(&file)? != expected {
                    return Ok(false);
                }
                file.replace(&new, durable)?;
                Ok(true)
            })
        })
        .await
    }
}

/// Opens the lock's file. If it is created here, it gets the owner of the ring.
fn open_lock(file: &Path, ring: &Path) -> io::Result<File> {
    let location = Location::creating_directory(file)?;
    let (lock, is_created) = location.open_or_create(Access::Write)?;
    if is_created {
        location.share_owner_of(ring, &lock)?;
    }
    Ok(lock)
}

fn read(file: &Location) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = file.open(Access::Read)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() > MAX_BYTES {
        true => Err(ErrorKind::FileTooLarge.into()),
        false => Ok(Some(bytes)),
    }
}

/// Reads a file that the operator named; `None` if it does not exist.
pub(crate) fn read_file(file: &Path) -> io::Result<Option<Vec<u8>>> {
    match Location::resolve(file) {
        Ok(file) => read(&file),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file durably and atomically. A missing directory is created.
pub(crate) fn write_file(file: &Path, bytes: &[u8]) -> io::Result<()> {
    Location::resolve_creating_directory(file)?.replace(bytes, true)
}
