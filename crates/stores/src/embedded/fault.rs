//! Failures of the file, and their mapping: errors of redb and of the system become a
//! [`StoreError`] by culprit.

use std::io::{self, ErrorKind};

use waxseal_files::Refusal;

use crate::contents::{Damaged, MAX_ENCODED_LEN, TooLarge};
use crate::error::StoreError;

/// Why an operation on the file failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// This operation was refused; others in the transaction were not.
    Refused(StoreError),
    /// The record cannot be decoded.
    Record,
    /// The file failed, and with it everything in the transaction.
    File(Box<redb::Error>),
    /// The file holds invalid pages, over which redb panicked.
    Panicked,
}

impl Fault {
    /// True if closing and reopening the file may help: redb refuses everything after an I/O error
    /// until then.
    pub(super) fn may_heal(&self) -> bool {
        use redb::Error::{DatabaseClosed, Io, LockPoisoned, PreviousIo};
        match self {
            Self::File(error) => {
                matches!(
                    **error,
                    Io(_) | PreviousIo | DatabaseClosed | LockPoisoned(_)
                )
            }
            Self::Refused(_) | Self::Record | Self::Panicked => false,
        }
    }

    /// The fault as the contract's error.
    pub(super) fn explain(&self, location: &str) -> StoreError {
        let damaged = |cause: &str| StoreError::Damaged {
            location: location.to_owned(),
            cause: cause.to_owned(),
        };
        match self {
            Self::Refused(error) => error.clone(),
            Self::Record => damaged("a record in it cannot be read"),
            Self::Panicked => damaged("its pages are damaged"),
            Self::File(error) => match &**error {
                redb::Error::Io(error) => explain_io(error, location),
                redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
                    StoreError::InUse {
                        location: location.to_owned(),
                    }
                }
                redb::Error::UpgradeRequired(_) => damaged("it was written in an older format"),
                redb::Error::Corrupted(_) => damaged("its pages are damaged"),
                redb::Error::PreviousIo
                | redb::Error::DatabaseClosed
                | redb::Error::LockPoisoned(_) => StoreError::Unavailable {
                    location: location.to_owned(),
                    cause: "the file failed and is not open again yet".to_owned(),
                    interrupted: false,
                },
                _ => damaged("its tables are not those of a store"),
            },
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<Damaged> for Fault {
    fn from(_: Damaged) -> Self {
        Self::Record
    }
}

impl From<TooLarge> for Fault {
    fn from(_: TooLarge) -> Self {
        Self::Refused(StoreError::TooLarge {
            bytes: None,
            limit: Some(("largest record", MAX_ENCODED_LEN as u64)),
        })
    }
}

macro_rules! from_redb {
    ($($error:ident)+) => {
        $(impl From<redb::$error> for Fault {
            fn from(error: redb::$error) -> Self {
                Self::File(Box::new(error.into()))
            }
        })+
    };
}

from_redb!(DatabaseError StorageError TableError TransactionError CommitError);

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::File(Box::new(redb::Error::Io(error)))
    }
}

fn explain_io(error: &io::Error, location: &str) -> StoreError {
    let location = location.to_owned();
    let cause = |text: &str| text.to_owned();
    if let Some(refusal) = Refusal::of(error) {
        return StoreError::Damaged {
            location,
            cause: refusal.to_string(),
        };
    }
    match error.kind() {
        ErrorKind::StorageFull => StoreError::Full {
            what: "no room is left on its disk",
        },
        ErrorKind::FileTooLarge => StoreError::Full {
            what: "its file may not grow further",
        },
        ErrorKind::QuotaExceeded => StoreError::Full {
            what: "the quota of its disk is used up",
        },
        ErrorKind::PermissionDenied => StoreError::Denied {
            code: cause("EACCES"),
            needs: "the right to read and write the store file",
            right: None,
        },
        ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly {
            code: cause("EROFS"),
            why: "the store file lies on a file system that is mounted read-only",
        },
        ErrorKind::NotFound => StoreError::Unavailable {
            location,
            cause: cause("there is no such file or directory"),
            interrupted: false,
        },
        ErrorKind::InvalidData => StoreError::Damaged {
            location,
            cause: cause("it is not a store file"),
        },
        ErrorKind::UnexpectedEof => StoreError::Damaged {
            location,
            cause: cause("it is truncated"),
        },
        ErrorKind::IsADirectory => StoreError::Damaged {
            location,
            cause: cause("it is a directory"),
        },
        kind => StoreError::Unavailable {
            location,
            cause: kind.to_string(),
            interrupted: false,
        },
    }
}
