//! The errors of writing to an audit log.

use std::io;
use std::path::{Path, PathBuf};

use waxseal_core::KeyError;
use waxseal_files::description;

/// An entry could not be written. Nothing of it is in the log, unless the disk was full.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or the socket of the system's log.
    #[error("the audit log cannot be written: {}: {}", path.display(), description(error))]
    Unwritable {
        /// The file or socket.
        path: PathBuf,
        /// The system's error, or the refusal of `waxseal-files`.
        error: io::Error,
    },
    /// The lock was not released in time.
    #[error("another process holds the audit log {}", .0.display())]
    Locked(PathBuf),
    /// The last entry of the file was written under another key, or was changed.
    #[error("the end of the audit log {} does not verify under this key", .0.display())]
    UnverifiedEnd(PathBuf),
    /// The state file of the system's log was written under another key, or was changed.
    #[error("{} does not verify under this key", .0.display())]
    UnverifiedState(PathBuf),
    /// No id could be drawn for a new chain.
    #[error(transparent)]
    Random(#[from] KeyError),
    /// The entry could not be encoded.
    #[error(transparent)]
    Encode(#[from] serde_json::Error),
}

impl Error {
    pub(crate) fn unwritable(path: &Path, error: io::Error) -> Self {
        Self::Unwritable {
            path: path.to_owned(),
            error,
        }
    }
}
