//! What can go wrong with a session, by culprit: the store, the stored bytes, the application's
//! type, the configured key. No text holds a value or a whole record name.

use std::fmt;

use waxseal_core::{KeyId, OpenError, SealError};
use waxseal_keys::{RingError, UserKeyError};
use waxseal_stores::{PatternError, StoreError};

use crate::canary::{SealedUnder, named};

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
    /// The state was sealed for a user who was erased since: it opens nowhere any more. Answered only
    /// under [`OnRefused::Error`](crate::OnRefused::Error).
    #[error("{record}: the user's key was destroyed")]
    Erased {
        /// The record: its prefix and a keyed hash.
        record: String,
        /// When the key was destroyed (milliseconds since the Unix epoch).
        at: u64,
    },
    /// The value cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The keyring was not reached for so long that nothing may be sealed, or not when it had to be
    /// asked whether a value is damaged or under a newer key.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The user's own key cannot be had.
    #[error(transparent)]
    Users(#[from] UserKeyError),
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

/// The keys that a store is sealed under, and those that are configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Keys that the sealed values or the canary of the store are under.
    pub sealed_under: SealedUnder,
    /// The keys that are configured, the sealing key first.
    pub configured: Vec<KeyId>,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.configured.len() == 1 {
            "is"
        } else {
            "are"
        };
        write!(
            f,
            "it is sealed under {}; configured {verb} {}",
            self.sealed_under,
            named(&self.configured)
        )
    }
}

/// Why a process must not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// The sealed values of the store do not open under the configured keys, or the canary where there
    /// are none.
    #[error("the key does not match this store: {0}")]
    WrongKey(Box<Mismatch>),
    /// The canary is under a key of the ring that opens nothing any more.
    #[error("the canary of this store is sealed under key {0}, which is marked as compromised")]
    Compromised(KeyId),
    /// There is no key, and the store holds sealed values.
    #[error("no encryption key is configured, and this store is sealed under {0}")]
    NoKey(SealedUnder),
    /// Values of users alone are sealed, and none of these users has a key where their keys are kept.
    #[error(
        "no sealed value of this store can be checked: {count} of a sample are under keys of users that \
         the store of users' keys does not hold"
    )]
    UsersUnknown {
        /// How many values of the sample.
        count: usize,
    },
    /// The store of users' keys is not marked as the ring's, holds none of its keys, and values are under some.
    #[error(
        "the store of users' keys at {location} holds no key of this keyring, and values are under keys of users \
         ({count} of a sample)"
    )]
    UsersLost {
        /// Where users' keys were looked for.
        location: String,
        /// How many values of the sample.
        count: usize,
    },
    /// The store of users' keys is not marked as the ring's and holds none of its keys, and the ring knows that there
    /// were some.
    #[error(
        "the store of users' keys at {location} holds no key of this keyring, and the keyring knows that keys of \
         users are kept there"
    )]
    UsersGone {
        /// Where users' keys were looked for.
        location: String,
    },
    /// Keys of users were asked for where records belong to no user.
    #[error("web sessions belong to no user: keys of users need a StateManager")]
    Userless,
    /// A decoy that could never be read: its name does not begin as records of this manager do.
    #[error("the decoy {record} is under no protected pattern")]
    ForeignDecoy {
        /// The record: a keyed hash.
        record: String,
    },
    /// A decoy that an except leaves in plaintext.
    #[error(
        "the decoy {record} is excepted from its pattern: choose a name that no except matches"
    )]
    ExceptedDecoy {
        /// The record: a keyed hash.
        record: String,
    },
    /// More decoys than are told apart.
    #[error("decoys names {count} records: at most {most}")]
    TooManyDecoys {
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// The keys of users cannot be had.
    #[error(transparent)]
    Users(#[from] UserKeyError),
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
