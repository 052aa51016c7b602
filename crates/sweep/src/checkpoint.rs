//! The checkpoint of a run: the position in each pattern, in a file. The cursor of an embedded store is a record name,
//! so the file is readable by its owner only.

use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use waxseal_files::{Access, Location};

use crate::options::Position;

const VERSION: u32 = 1;
/// The largest file that is read: it holds one position for each pattern.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// The content of the file.
#[derive(Clone, Serialize, Deserialize)]
struct Checkpoint {
    version: u32,
    #[serde(flatten)]
    identity: RunIdentity,
    /// The positions of patterns that were begun, in the order of the patterns.
    positions: Vec<Position>,
}

/// A run that a checkpoint belongs to: another one cannot continue from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunIdentity {
    /// The task, and the key that it seals under.
    pub task: String,
    /// The location of the store.
    pub store: String,
    /// The patterns with their formats, in their order.
    pub patterns: Vec<String>,
}

/// An error of reading or writing a checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file cannot be read.
    #[error("the checkpoint {} cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The file holds something else.
    #[error("{} is not a checkpoint", .0.display())]
    NotACheckpoint(PathBuf),
    /// The checkpoint belongs to another run.
    #[error("the checkpoint {} is of another sweep ({task} on {store})", path.display())]
    OtherRun {
        /// The file.
        path: PathBuf,
        /// The task of the other run.
        task: String,
        /// The store of the other run.
        store: String,
    },
    /// The file cannot be written.
    #[error("the checkpoint {} cannot be written: {error}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The positions cannot be written as JSON.
    #[error("{0}")]
    Unserializable(#[from] serde_json::Error),
}

/// A checkpoint and its file.
pub struct CheckpointFile {
    path: PathBuf,
    content: Checkpoint,
}

impl CheckpointFile {
    /// A new checkpoint, which is written by [`save`](Self::save).
    #[must_use]
    pub fn new(path: &Path, identity: RunIdentity) -> Self {
        Self {
            path: path.to_owned(),
            content: Checkpoint {
                version: VERSION,
                identity,
                positions: Vec::new(),
            },
        }
    }

    /// Reads the checkpoint of an earlier run, which must be the same run.
    pub fn resume(path: &Path, identity: &RunIdentity) -> Result<Self, CheckpointError> {
        let text = read(path).map_err(|error| CheckpointError::Unreadable {
            path: path.to_owned(),
            error,
        })?;
        let content: Checkpoint = serde_json::from_slice(&text)
            .map_err(|_| CheckpointError::NotACheckpoint(path.to_owned()))?;
        if content.version != VERSION || content.identity != *identity {
            return Err(CheckpointError::OtherRun {
                path: path.to_owned(),
                task: content.identity.task,
                store: content.identity.store,
            });
        }
        Ok(Self {
            path: path.to_owned(),
            content,
        })
    }

    /// The position in the pattern with this index.
    #[must_use]
    pub fn position(&self, pattern: usize) -> Position {
        let positions = &self.content.positions;
        positions.get(pattern).cloned().unwrap_or_default()
    }

    /// Sets the position in a pattern. It is written by the next [`save`](Self::save).
    pub fn set_position(&mut self, pattern: usize, position: Position) {
        let positions = &mut self.content.positions;
        if positions.len() <= pattern {
            positions.resize(pattern + 1, Position::default());
        }
        if let Some(slot) = positions.get_mut(pattern) {
            *slot = position;
        }
    }

    /// Writes the file. After a crash it holds the old content or the new one, never a part of it.
    pub fn save(&self) -> Result<(), CheckpointError> {
        let mut text = serde_json::to_vec_pretty(&self.content)?;
        text.push(b'\n');
        let written = Location::resolve(&self.path).and_then(|it| it.replace(&text, true));
        written.map_err(|error| CheckpointError::Unwritable {
            path: self.path.clone(),
            error,
        })
    }

    /// Removes the file, after a run that is complete.
    pub fn remove(&self) {
        // It may never have been written; and a file that this process must not write to belongs to another user.
        let _ = Location::resolve(&self.path).and_then(|location| {
            match location.open(Access::Write)? {
                Some(_) => location.remove(),
                None => Ok(()),
            }
        });
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let file = Location::resolve(path)?.open(Access::Read)?;
    let file = file.ok_or(ErrorKind::NotFound)?;
    let mut text = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut text)?;
    match text.len() as u64 > MAX_BYTES {
        true => Err(ErrorKind::FileTooLarge.into()),
        false => Ok(text),
    }
}
