//! The checkpoint of a sweep: up to where everything is done, in a file of its own. An embedded
//! store's cursor is a record name, so the file is for its owner only.

use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use waxseal_files::{Access, Location, Refusal};
use waxseal_sweep::Position;

use waxseal_service::Failure;

const VERSION: u32 = 1;
/// Of the file: a position for each pattern.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// What the file holds.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    version: u32,
    /// What the sweep does, and under which key.
    task: String,
    /// Where it does it.
    store: String,
    /// The patterns with their formats, in their order.
    patterns: Vec<String>,
    /// Positions of the patterns that have been begun, in the order of the patterns.
    positions: Vec<Position>,
}

/// The file, and what it shall hold.
pub(crate) struct CheckpointFile {
    path: PathBuf,
    content: Checkpoint,
}

impl Checkpoint {
    /// The checkpoint of a sweep that has not begun.
    pub(crate) fn new(task: String, store: String, patterns: Vec<String>) -> Self {
        Self {
            version: VERSION,
            task,
            store,
            patterns,
            positions: Vec::new(),
        }
    }
}

impl CheckpointFile {
    /// A new checkpoint, or with `resume` the one in the file, if it is of the same sweep.
    pub(crate) fn open(path: &Path, resume: bool, fresh: Checkpoint) -> Result<Self, Failure> {
        let content = if resume {
            Self::read(path, &fresh)?
        } else {
            fresh
        };
        Ok(Self {
            path: path.to_owned(),
            content,
        })
    }

    fn read(path: &Path, of: &Checkpoint) -> Result<Checkpoint, Failure> {
        let at = path.display();
        let read = || {
            let file = Location::resolve(path)?.open(Access::Read)?;
            let mut text = Vec::new();
            let file = file.ok_or(ErrorKind::NotFound)?;
            file.take(MAX_BYTES + 1).read_to_end(&mut text)?;
            match text.len() as u64 > MAX_BYTES {
                true => Err(ErrorKind::FileTooLarge.into()),
                false => Ok(text),
            }
        };
        let text = read().map_err(|error: std::io::Error| {
            Failure::usage(format!("the checkpoint {at} cannot be read: {error}"))
                .hint("a sweep that went to its end removes its checkpoint; run without --resume")
        })?;
        let found: Checkpoint = serde_json::from_slice(&text).map_err(|_| {
            Failure::usage(format!("{at} is not a checkpoint")).hint("run without --resume")
        })?;
        let same = found.version == of.version
            && found.task == of.task
            && found.store == of.store
            && found.patterns == of.patterns;
        if !same {
            return Err(Failure::usage(format!(
                "the checkpoint {at} is of another sweep ({} on {})",
                found.task, found.store
            ))
            .hint("run the same command as before, or without --resume"));
        }
        Ok(found)
    }

    /// Up to where the pattern of this number has been gone through.
    pub(crate) fn position(&self, pattern: usize) -> Position {
        let positions = &self.content.positions;
        positions.get(pattern).cloned().unwrap_or_default()
    }

    /// Notes that for the next saving.
    pub(crate) fn keep(&mut self, pattern: usize, position: Position) {
        let positions = &mut self.content.positions;
        positions.resize(positions.len().max(pattern + 1), Position::default());
        positions[pattern] = position;
    }

    /// Writes the file anew: a crash leaves the old or the new one, never half.
    pub(crate) fn save(&self) -> Result<(), Failure> {
        let mut text = serde_json::to_vec_pretty(&self.content).map_err(Failure::failed)?;
        text.push(b'\n');
        let written = Location::resolve(&self.path).and_then(|it| it.replace(&text, true));
        written.map_err(|error| {
            let path = self.path.display();
            let failure =
                Failure::failed(format!("the checkpoint {path} cannot be written: {error}"));
            match Refusal::of(&error) {
                Some(_) => {
                    failure.hint("nothing was written there; name another file with --checkpoint")
                }
                None => failure,
            }
        })
    }

    /// Removes the file: there is nothing to resume.
    pub(crate) fn remove(&self) {
        // It may never have been written; and what would not have been written to is another user's.
        let _ = Location::resolve(&self.path).and_then(|location| {
            match location.open(Access::Write)? {
                Some(_) => location.remove(),
                None => Ok(()),
            }
        });
    }
}
