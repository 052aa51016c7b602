//! The store file: created, opened, reopened after a failure, closed. Knows which tables must
//! exist, not what they hold.

use std::fs::File;
use std::io::ErrorKind;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use redb::backends::FileBackend;
use redb::{Builder, Database, ReadTransaction, ReadableDatabase, WriteTransaction};
use waxseal_files::{Access, Location};

use super::fault::Fault;
use super::tables;
use crate::error::StoreError;

/// The cache of the file's pages.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// The file of a store, open for this process alone.
pub(super) struct StoreFile {
    path: PathBuf,
    location: String,
    /// `None` after a failure, until it could be reopened.
    database: RwLock<Option<Database>>,
    broken: AtomicBool,
}

impl StoreFile {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let location = format!("file:{}", path.display());
        let database = open_or_create(path).map_err(|fault| fault.explain(&location))?;
        Ok(Self {
            path: path.to_owned(),
            location,
            database: RwLock::new(Some(database)),
            broken: AtomicBool::new(false),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn location(&self) -> &str {
        &self.location
    }

    pub(super) fn begin_read(&self) -> Result<ReadTransaction, Fault> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let database = database.as_ref().ok_or_else(closed)?;
        Ok(database.begin_read()?)
    }

    /// Reopens the file if it failed before, then begins. For the writer alone: nothing else may
    /// hold a write transaction.
    pub(super) fn begin_write(&self) -> Result<WriteTransaction, Fault> {
        let begin = || -> Result<WriteTransaction, Fault> {
            let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
            Ok(database.as_ref().ok_or_else(closed)?.begin_write()?)
        };
        if self.broken.load(Ordering::Acquire) {
            self.reopen()?;
        }
        match begin() {
            Err(fault) if fault.may_heal() => {
                self.reopen()?;
                begin()
            }
            begun => begun,
        }
    }

    /// Marks the file to be closed and reopened before the next write.
    pub(super) fn mark_broken(&self) {
        self.broken.store(true, Ordering::Release);
    }

    /// Closes the file and reopens it. Readers wait meanwhile. For the writer alone.
    pub(super) fn reopen(&self) -> Result<(), Fault> {
        self.mark_broken();
        let mut database = self
            .database
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        close(database.take());
        *database = Some(open_existing(&self.path)?);
        self.broken.store(false, Ordering::Release);
        Ok(())
    }

    /// Closes the file: other processes may open it, even if readers still hold snapshots.
    pub(super) fn close(&self) {
        close(
            self.database
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }
}

/// Runs code that may encounter a damaged file: redb panics over some invalid pages.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Fault::Panicked))
}

/// Everything in it is committed already: an error means at most that the next opening checks the
/// whole file.
fn close(database: Option<Database>) {
    drop(guarded(|| Ok(database.map(Database::close).transpose()?)));
}

fn closed() -> Fault {
    Fault::File(Box::new(redb::Error::DatabaseClosed))
}

fn open_or_create(path: &Path) -> Result<Database, Fault> {
    let location = Location::resolve(path)?;
    let (file, is_created) = location.open_or_create(Access::Write)?;
    match open_file(file) {
        Ok(database) => {
            if is_created {
                // Sync the directory too: a new file's name must be as durable as its contents.
                location.sync_directory()?;
            }
            Ok(database)
        }
        Err(fault) => {
            // Half a file would count as a damaged store the next time. If another process was
            // faster to lock it, the file belongs to that process.
            if is_created && !matches!(fault.explain(""), StoreError::InUse { .. }) {
                drop(location.remove());
            }
            Err(fault)
        }
    }
}

fn open_existing(path: &Path) -> Result<Database, Fault> {
    let file = Location::resolve(path)?.open(Access::Write)?;
    open_file(file.ok_or_else(|| std::io::Error::from(ErrorKind::NotFound))?)
}

fn open_file(file: File) -> Result<Database, Fault> {
    guarded(|| {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES);
        let database = builder.create_with_backend(FileBackend::new(file)?)?;
        match tables::check(&database.begin_read()?) {
            Err(Fault::File(error)) if is_missing(&error) => tables::create(&database)?,
            checked => checked?,
        }
        Ok(database)
    })
}

fn is_missing(error: &redb::Error) -> bool {
    matches!(error, redb::Error::TableDoesNotExist(_))
}
