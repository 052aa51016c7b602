//! Failures of runs over many records or users: checkpoints, receipts, lists, and the files that a command writes.

use waxseal_files::{OutputFileError, Refusal};
use waxseal_sweep::{CheckpointError, RunError};
use waxseal_upkeep::{ReceiptError, UserListError};

use super::Failure;

impl From<RunError> for Failure {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Sweep(error) => error.into(),
            RunError::Checkpoint(error) => error.into(),
            RunError::Stopped => Self::failed("stopped by a signal before the end"),
        }
    }
}

impl From<CheckpointError> for Failure {
    fn from(error: CheckpointError) -> Self {
        match &error {
            CheckpointError::Unreadable { .. } => Self::usage(&error)
                .hint("a sweep that is complete removes its checkpoint; run without --resume"),
            CheckpointError::NotACheckpoint(_) => Self::usage(&error).hint("run without --resume"),
            CheckpointError::OtherRun { .. } => {
                Self::usage(&error).hint("run the same command as before, or without --resume")
            }
            CheckpointError::Unwritable { error: cause, .. } if Refusal::of(cause).is_some() => {
                Self::failed(&error)
                    .hint("nothing was written there; name another file with --checkpoint")
            }
            CheckpointError::Unwritable { .. } | CheckpointError::Unserializable(_) => {
                Self::failed(&error)
            }
        }
    }
}

impl From<OutputFileError> for Failure {
    fn from(error: OutputFileError) -> Self {
        match &error {
            OutputFileError::NotRegular(_) => Self::usage(&error).hint("name another one"),
            OutputFileError::Exists(_) => Self::failed(&error)
                .hint("nothing was written; give another path, or --force to replace it"),
            OutputFileError::Unwritable { .. } => {
                Self::failed(&error).hint("name a place where this user may write")
            }
        }
    }
}

impl From<ReceiptError> for Failure {
    fn from(error: ReceiptError) -> Self {
        match error {
            ReceiptError::NoDirectory { .. } => {
                Self::failed(error).hint("name a directory where this user may write")
            }
            ReceiptError::NotThatReceipt(_) => {
                Self::failed(error).hint("move it out of the directory, or name another one")
            }
            ReceiptError::File(error) => error.into(),
            ReceiptError::Unreadable { .. } | ReceiptError::Unserializable(_) => {
                Self::failed(error)
            }
        }
    }
}

impl From<UserListError> for Failure {
    fn from(error: UserListError) -> Self {
        match error {
            UserListError::Unreadable { .. } => Self::failed(error),
            UserListError::TooLong(_) => {
                Self::usage(error).hint("split it: each run takes one file")
            }
            UserListError::Empty(_) => {
                Self::usage(error).hint("write one user a line, as {user} of the patterns has it")
            }
        }
    }
}
