//! The file of the log: appended to, and opened again when it may have been renamed.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use waxseal_files::{Access, Location, description};

use crate::error::Failure;
use crate::output;

/// An open file of the log.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    reopen: Arc<AtomicBool>,
}

impl LogFile {
    pub(super) fn open(path: &Path, reopen: Arc<AtomicBool>) -> Result<Self, Failure> {
        // The working directory is that of the start for as long as the process runs.
        let path = std::path::absolute(path)?;
        match append(&path) {
            Ok(file) => Ok(Self { path, file, reopen }),
            Err(error) => Err(Failure::usage(cannot_be_opened(&path, &error))
                .hint("name a file in a directory that this user can write to")),
        }
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.reopen.swap(false, Ordering::Relaxed) {
            match append(&self.path) {
                Ok(file) => self.file = file,
                Err(error) => {
                    let text = cannot_be_opened(&self.path, &error);
                    output::complain("warning", &format!("{text}; the former one is written on"));
                }
            }
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
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
