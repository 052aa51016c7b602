//! Errors of sessions, by their cause: the store, the stored bytes, the application's type, the configured key. No text
//! holds a value or a whole record name.

use std::fmt;

use waxseal_core::{KeyId, OpenError, SealError};
use waxseal_keys::{RingError, UserKeyError};
use waxseal_named::TableError;
use waxseal_stores::{PatternError, StoreError};

use crate::canary::{SealedUnder, named};

/// An error of reading or writing a state.
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
        /// The cause.
        error: OpenError,
    },
    /// The state was sealed for a user who has been erased: it can no longer be opened. Returned only with
    /// [`OnRefused::Error`](crate::OnRefused::Error).
    #[error("{record}: the user's key was destroyed")]
    Erased {
        /// The record: its prefix and a keyed hash.
        record: String,
        /// The time at which the key was destroyed (milliseconds since the Unix epoch).
        at: u64,
    },
    /// The value cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The keyring has been unreachable for so long that nothing may be sealed; or it could not be read to decide whether
    /// a value is damaged or under a newer key.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The key of the user cannot be read or created.
    #[error(transparent)]
    Users(#[from] UserKeyError),
    /// The opened value is not of the expected type. The error holds only the place in the JSON text.
    #[error("{record}: the state does not have the expected form (line {line}, column {column})")]
    Form {
        /// The record: its prefix and a keyed hash.
        record: String,
        /// The line in the JSON text, counted from 1.
        line: usize,
        /// The column in the line, counted from 1.
        column: usize,
    },
    /// The application's state cannot be written as JSON.
    #[error("the state cannot be written as JSON")]
    Unwritable,
    /// Other processes changed the record at every attempt.
    #[error("{record}: changed by others {attempts} times in a row, update given up")]
    Contended {
        /// The record: its prefix and a keyed hash.
        record: String,
        /// The number of attempts.
        attempts: u32,
    },
}

impl StateError {
    /// Takes only the place from the error: its own text can quote the value.
    pub(crate) fn form(record: String, error: &serde_json::Error) -> Self {
        Self::Form {
            record,
            line: error.line(),
            column: error.column(),
        }
    }
}

/// The keys that a store is sealed under, and the configured ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// The keys that the sealed values or the canary of the store are under.
    pub sealed_under: SealedUnder,
    /// The configured keys, the sealing key first.
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

/// What stored names are that a process does not look for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameFault {
    /// In clear.
    InClear,
    /// Sealed under a key that is configured, but not the one that seals.
    FormerKey,
    /// Sealed under other keys, or padded otherwise: none of the sample opens.
    OtherKeys,
}

impl fmt::Display for NameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InClear => "in clear",
            Self::FormerKey => "under a former key",
            Self::OtherKeys => "sealed under other keys or padded otherwise",
        })
    }
}

/// An error because of which a process must not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GuardError {
    /// The sealed values of the store do not open under the configured keys, or the canary if there are no values.
    #[error("the key does not match this store: {0}")]
    WrongKey(Box<Mismatch>),
    /// The canary is under a key of the ring that no longer opens anything.
    #[error("the canary of this store is sealed under key {0}, which is marked as compromised")]
    Compromised(KeyId),
    /// The canary records another domain than the one of this process, whose values of version 3 would not open.
    #[error(
        "the canary of this store records {recorded}, and this process is configured for {configured}"
    )]
    OtherDomain {
        /// The domain that the canary records, in words.
        recorded: String,
        /// The domain of this process, in words.
        configured: String,
    },
    /// No key is configured, and the store holds sealed values.
    #[error("no encryption key is configured, and this store is sealed under {0}")]
    NoKey(SealedUnder),
    /// Only values of users are sealed, and the store of users' keys holds none of their keys.
    #[error(
        "no sealed value of this store can be checked: {count} of a sample are under keys of users that \
         the store of users' keys does not hold"
    )]
    UsersUnknown {
        /// The number of such values in the sample.
        count: usize,
    },
    /// The store of users' keys is not marked as this keyring's and holds none of its keys, and values are sealed under keys
    /// of users.
    #[error(
        "the store of users' keys at {location} holds no key of this keyring, and values are under keys of users \
         ({count} of a sample)"
    )]
    UsersLost {
        /// The store of users' keys.
        location: String,
        /// The number of such values in the sample.
        count: usize,
    },
    /// The store of users' keys is not marked as this keyring's and holds none of its keys, and the keyring knows that
    /// there were some.
    #[error(
        "the store of users' keys at {location} holds no key of this keyring, and the keyring knows that keys of \
         users are kept there"
    )]
    UsersGone {
        /// The store of users' keys.
        location: String,
    },
    /// Keys of users were configured for records that belong to no user.
    #[error("web sessions belong to no user: keys of users need a StateManager")]
    Userless,
    /// A decoy that can never be read: its name does not begin with the prefix of this manager.
    #[error("the decoy {record} matches no protected pattern")]
    ForeignDecoy {
        /// The record: a keyed hash.
        record: String,
    },
    /// A decoy that an except keeps in plaintext.
    #[error(
        "the decoy {record} is excepted from its pattern: choose a name that no except matches"
    )]
    ExceptedDecoy {
        /// The record: a keyed hash.
        record: String,
    },
    /// There are more decoys than the maximum.
    #[error("decoys names {count} records: at most {max}")]
    TooManyDecoys {
        /// The number of decoys.
        count: usize,
        /// The maximum.
        max: usize,
    },
    /// The keyring records that the names of these records are sealed, and this process has them in clear.
    #[error(
        "the keyring records that the names of {records} are sealed, and here they are in clear"
    )]
    SealedNames {
        /// The pattern, for messages.
        records: String,
    },
    /// The keyring records that the names of these records are in clear, and this process seals them.
    #[error(
        "the keyring records that the names of {records} are in clear, and here they are sealed"
    )]
    PlainNames {
        /// The pattern, for messages.
        records: String,
    },
    /// The keyring records another padding of names.
    #[error(
        "the keyring records that the names of {records} are padded to a multiple of {recorded}, and here it is {configured}"
    )]
    PadNames {
        /// The pattern, for messages.
        records: String,
        /// The recorded multiple.
        recorded: u16,
        /// The multiple of this process.
        configured: u16,
    },
    /// Names are sealed as those of a pattern that does not have all records of the prefix.
    #[error(
        "names are sealed as those of {scope}, which does not have all records that begin with \"{prefix}\""
    )]
    NamesScope {
        /// The pattern, for messages.
        scope: String,
        /// The prefix of the records.
        prefix: String,
    },
    /// Names are sealed here, and those of a sample are stored otherwise: their records would not be found.
    #[error(
        "the names of \"{records}\" are sealed here, and {count} of a sample are {fault}: their records would not be found"
    )]
    Names {
        /// The pattern, for messages.
        records: String,
        /// The number of names in the sample.
        count: u64,
        /// What they are.
        fault: NameFault,
    },
    /// Names cannot be sealed for this pattern.
    #[error(transparent)]
    NamePattern(#[from] TableError),
    /// The keys of users cannot be read.
    #[error(transparent)]
    Users(#[from] UserKeyError),
    /// The canary cannot be sealed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The prefix contains a character with a meaning in patterns.
    #[error(transparent)]
    Prefix(#[from] PatternError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}
