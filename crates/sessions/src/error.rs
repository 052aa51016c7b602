//! What can go wrong with a session, by culprit: the store, the stored bytes, the application's
//! type, the configured key. No text holds a value or a whole record name.

use waxseal_core::{OpenError, SealError};
use waxseal_stores::{PatternError, StoreError};

/// Why a state was not read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored value cannot be opened.
    #[error("{record}: {error}")]
    Open {
        /// The record: its prefix and a keyed hash.
        record: String,
        /// Why.
        error: OpenError,
    },
    /// The value cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The opened value is not of the type asked for. Of what was found only the place is told.
    #[error("{record}: the state does not have the expected form (line {line}, column {column})")]
    Form {
        /// The record: its prefix and a keyed hash.
        record: String,
        /// Where in the JSON text, counted from 1.
        line: usize,
        /// Where in the line, counted from 1.
        column: usize,
    },
    /// The application's state cannot be written as JSON.
    #[error("the state cannot be written as JSON")]
    Unwritable,
    /// Others changed the record again and again.
    #[error("{record}: changed by others {attempts} times in a row, update given up")]
    Contended {
        /// The record: its prefix and a keyed hash.
        record: String,
        /// How often the update was tried.
        attempts: u32,
    },
}

impl StateError {
    /// The error's own text can quote the value, so only its place is taken over.
    pub(crate) fn form(record: String, error: &serde_json::Error) -> Self {
        Self::Form {
            record,
            line: error.line(),
            column: error.column(),
        }
    }
}

/// Why a process must not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// The canary, or what lies in the store, does not open under the configured keys.
    #[error("the key does not match this store")]
    WrongKey,
    /// There is no key, and the store holds sealed values.
    #[error("no encryption key is configured")]
    NoKey,
    /// The canary cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// What record names start with must not hold a character that has a meaning in a pattern.
    #[error(transparent)]
    Prefix(#[from] PatternError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}
