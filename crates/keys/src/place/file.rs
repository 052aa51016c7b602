//! A keyring in a file. Beside it, with its name before theirs: a lock, the leader's paper and the
//! reports. Works for processes of one machine, or of several over a file system that locks.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::task::spawn_blocking;

use super::{Paper, Place};
use crate::error::PlaceError;

/// How long another process may hold the lock.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(2);
/// Only the owner reads and writes.
const MODE: u32 = 0o600;

/// A keyring in a file.
#[derive(Clone, Debug)]
pub struct FilePlace {
    path: PathBuf,
}

impl FilePlace {
    /// The place of this file. Its folder must exist.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    }

    fn file(&self, paper: &Paper) -> PathBuf {
        match paper {
            Paper::Ring => self.path.clone(),
            Paper::Leader => self.beside(".leader"),
            Paper::Reports => self.beside(".reports"),
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> io::Result<T> + Send + 'static,
    ) -> Result<T, PlaceError> {
        let this = self.clone();
        let done = spawn_blocking(move || work(&this)).await;
        let done = done.unwrap_or_else(|_| Err(ErrorKind::Other.into()));
        done.map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &io::Error) -> PlaceError {
        let location = self.location();
        let cause = error.kind().to_string();
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {
                PlaceError::Unavailable { location, cause }
            }
            _ => PlaceError::Denied { location, cause },
        }
    }

    /// Holds the lock while `work` runs. It goes with the process that holds it.
    fn locked<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let lock = open_lock(&self.beside(".lock"), &self.path)?;
        let since = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return work(),
                Err(TryLockError::WouldBlock) if since.elapsed() < PATIENCE => sleep(PAUSE),
                Err(TryLockError::WouldBlock) => return Err(ErrorKind::WouldBlock.into()),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

#[async_trait]
impl Place for FilePlace {
    fn location(&self) -> String {
        format!("file:{}", self.path.display())
    }

    async fn read(&self, paper: &Paper) -> Result<Option<Vec<u8>>, PlaceError> {
        let file = self.file(paper);
        self.blocking(move |_| read(&file)).await
    }

    async fn replace(
        &self,
        paper: &Paper,
        expected: Option<&[u8]>,
        new: &[u8],
    ) -> Result<bool, PlaceError> {
        let file = self.file(paper);
        // The other papers are made anew where a machine that dies loses them.
        let durable = *paper == Paper::Ring;
        let (expected, new) = (expected.map(<[u8]>::to_vec), new.to_vec());
        self.blocking(move |this| {
            this.locked(|| {
                if read(&file)? != expected {
                    return Ok(false);
                }
                write(&file, &new, durable)?;
                Ok(true)
            })
        })
        .await
    }
}

/// The lock's file. It belongs to whom the ring belongs to, whoever came first.
fn open_lock(file: &Path, ring: &Path) -> io::Result<File> {
    make_folder(file)?;
    let lock = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(MODE)
        .open(file)?;
    if let Ok(owner) = fs::metadata(ring) {
        give_to(&lock, &owner)?;
    }
    Ok(lock)
}

/// Gives a file to the owner of another one, where it is not theirs already.
fn give_to(file: &File, owner: &Metadata) -> io::Result<()> {
    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (owner.uid(), owner.gid()) {
        return Ok(());
    }
    fchown(file, Some(owner.uid()), Some(owner.gid()))
}

fn read(file: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a file of its own whole or not at all, to the disk; its folder is made where it is missing.
pub(crate) fn write_file(file: &Path, bytes: &[u8]) -> io::Result<()> {
    make_folder(file)?;
    write(file, bytes, true)
}

/// Makes the folder of a file where it is missing: for its owner alone.
fn make_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    match folder {
        Some(folder) => DirBuilder::new().recursive(true).mode(0o700).create(folder),
        None => Ok(()),
    }
}

/// Writes a file whole or not at all: to another one beside it, to the disk if it is to be durable, and
/// then into its place.
fn write(file: &Path, bytes: &[u8], durable: bool) -> io::Result<()> {
    // What a link leads to is replaced, not the link.
    let target = fs::canonicalize(file);
    let file = target.as_deref().unwrap_or(file);
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let beside = folder.join(format!(".{name}.{}", waxseal_core::KeyId::random()));
    let written = (|| {
        let mut new = OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(MODE)
            .open(&beside)?;
        new.write_all(bytes)?;
        if let Ok(before) = fs::metadata(file) {
            // An operator's change must not take the file away from the service that owns it.
            new.set_permissions(before.permissions())?;
            give_to(&new, &before)?;
        }
        if durable {
            new.sync_all()?;
        }
        fs::rename(&beside, file)?;
        match durable {
            true => File::open(folder)?.sync_all(),
            false => Ok(()),
        }
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}
