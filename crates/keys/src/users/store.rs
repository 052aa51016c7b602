//! The store of users' keys: the interface to databases, and its errors. The content of the records is
//! not known here.

use async_trait::async_trait;
use waxseal_core::{KeyError, OpenError};

use crate::error::RingError;

/// A store of users' keys.
///
/// The contract: each call is one round trip, whatever the number of names; a record is read as it was
/// written last; a replacement is atomic, one by one; no error holds a name.
#[async_trait]
pub trait UserKeyStore: Send + Sync {
    /// The location for messages, without credentials.
    fn location(&self) -> String;

    /// Reads the records of these names, in their order.
    async fn read(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>, UserKeyError>;

    /// Writes each record that is still as expected (`None`: absent). Returns true for each that was.
    async fn replace(&self, changes: &[UserChange]) -> Result<Vec<bool>, UserKeyError>;

    /// Returns about `count` of the records, of any users, with their names, in a bounded number of round
    /// trips. A store that cannot list its records returns none.
    async fn sample(&self, _count: usize) -> Result<Vec<(String, Vec<u8>)>, UserKeyError> {
        Ok(Vec::new())
    }
}

/// A compare-and-set of one record.
#[derive(Clone)]
pub struct UserChange {
    /// The name of the record.
    pub name: String,
    /// The content that it must still have (`None`: absent).
    pub expected: Option<Vec<u8>>,
    /// The new content.
    pub new: Vec<u8>,
}

/// Errors of reading or writing a user's key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserKeyError {
    /// The store of users' keys failed.
    #[error("the store of users' keys at {location} {problem}")]
    Store {
        /// Its location.
        location: String,
        /// The problem, continuing the sentence "the store … ".
        problem: String,
        /// True if it may work again without intervention.
        transient: bool,
    },
    /// The record of a user's key does not open.
    #[error("the key of a user ({user}) cannot be used: {error}")]
    Record {
        /// The beginning of the user's keyed hash.
        user: String,
        /// The error of opening it.
        error: OpenError,
    },
    /// The record of a user's key opens to something else.
    #[error("the key of a user ({user}) cannot be used: its record does not hold one")]
    Form {
        /// The beginning of the user's keyed hash.
        user: String,
    },
    /// The store has lost the mark of this ring, or never had one and was not accepted.
    #[error(
        "the store of users' keys at {location} has lost the mark of this keyring: no new key is created there"
    )]
    Lost {
        /// Its location.
        location: String,
    },
    /// An error of the ring.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The key could not be sealed or prepared.
    #[error("the key of a user cannot be created: {0}")]
    Creation(String),
    /// Others kept changing it.
    #[error("the key of a user is being changed by others again and again")]
    Contended,
}

impl UserKeyError {
    /// True if a later attempt may succeed without intervention.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store { transient, .. } => *transient,
            Self::Contended => true,
            _ => false,
        }
    }

    /// True if the error concerns single users among those that were asked for: the others may still have
    /// their keys.
    pub(crate) fn is_about_single_user(&self) -> bool {
        matches!(
            self,
            Self::Record { .. } | Self::Form { .. } | Self::Contended
        )
    }

    pub(crate) fn from_key_error(error: KeyError) -> Self {
        Self::Creation(error.to_string())
    }
}
