//! Errors of upkeep: of the keyring, the records, the keys of users, or because another process leads.

use waxseal_core::KeyError;
use waxseal_keys::{ChangeError, DocumentStoreError, RingError, UserKeyError};
use waxseal_stores::{PatternError, StoreError};
use waxseal_sweep::SweepError;

/// An error that prevented a step.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpkeepError {
    /// The ring.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// A pass over the records.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// The keys of users.
    #[error(transparent)]
    Users(#[from] UserKeyError),
    /// The store of the records.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A pattern of Waxseal's own records.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The cryptographic library.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Records of this process are configured otherwise than the ring has them. All others are registered.
    #[error(
        "{0}; this process goes on as it is configured, and does not start again until both are the same"
    )]
    Configured(ChangeError),
    /// Another process leads, or took the lease.
    #[error("another process leads the rotation ({0})")]
    Led(String),
    /// It was told to stop.
    #[error("stopped before the end")]
    Stopped,
}

impl From<DocumentStoreError> for UpkeepError {
    fn from(error: DocumentStoreError) -> Self {
        Self::Ring(error.into())
    }
}
