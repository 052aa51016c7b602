//! The file of the log: appended to, and reopened when it may have been renamed.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use waxseal_files::{Access, Location, description};

use waxseal_service::Failure;

/// A reopened file, which is used from the next line on.
type Next = Arc<Mutex<Option<File>>>;

/// An open file of the log.
pub(super) struct LogFile {
    file: File,
    next: Next,
}

/// Reopens the file of the log.
pub(super) struct Reopener {
    path: PathBuf,
    next: Next,
}

impl LogFile {
    pub(super) fn open(path: &Path) -> Result<(Self, Reopener), Failure> {
        // The working directory must not change its meaning.
        let path = std::path::absolute(path)?;
        let next = Next::default();
        match append(&path) {
            Ok(file) => {
                let log = Self {
                    file,
                    next: next.clone(),
                };
                Ok((log, Reopener { path, next }))
            }
            Err(error) => Err(Failure::usage(cannot_be_opened(&path, &error))
                .hint("name a file in a directory that this user can write to")),
        }
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = next.take() {
            self.file = file;
        }
        drop(next);
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Reopener {
    /// Reopens the file, for all lines that are not written yet. On failure, the former one stays in use.
    pub(super) fn reopen(&self) -> Result<(), String> {
        let file = append(&self.path).map_err(|error| {
            format!(
                "{}; the former one is written on",
                cannot_be_opened(&self.path, &error)
            )
        })?;
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    let (file, _) = Location::resolve(path)?.open_or_create(Access::Append)?;
    Ok(file)
}

fn cannot_be_opened(path: &Path, error: &io::Error) -> String {
    format!(
        "the log file {} cannot be opened: {}",
        path.display(),
        description(error)
    )
}
