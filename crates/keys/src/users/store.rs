//! Where the keys of users are kept: the joint between them and databases, and what can go wrong there.
//! What the records say is not known here.

use async_trait::async_trait;
use waxseal_core::OpenError;

use crate::error::RingError;

/// Where the keys of users are kept.
///
/// The contract: each call is one round trip, whatever the number of names; a record is read as it was
/// written last; a replacement is atomic, one by one; no error holds a name.
#[async_trait]
pub trait UserKeyStore: Send + Sync {
    /// Where it is, for messages: without credentials.
    fn location(&self) -> String;

    /// What lies under each of these names, in their order.
    async fn read(&self, names: &[String]) -> Result<Vec<Option<Vec<u8>>>, UserKeyError>;

    /// Writes each record that is still as expected (`None`: absent), and says for each whether it was.
    async fn replace(&self, changes: &[UserChange]) -> Result<Vec<bool>, UserKeyError>;

    /// Some of the records, with their names, whoever they belong to: about `count`, in a bounded number
    /// of round trips. A store that cannot list them has none to show.
    async fn sample(&self, _count: usize) -> Result<Vec<(String, Vec<u8>)>, UserKeyError> {
        Ok(Vec::new())
    }
}

/// One record of a user's key to be written.
#[derive(Clone)]
pub struct UserChange {
    /// The record.
    pub name: String,
    /// What it must still hold.
    pub expected: Option<Vec<u8>>,
    /// What it shall hold.
    pub new: Vec<u8>,
}

/// Why the key of a user is not at hand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UserKeyError {
    /// The store of users' keys.
    #[error("the store of users' keys at {location} {problem}")]
    Store {
        /// Where.
        location: String,
        /// What is wrong with it.
        problem: String,
        /// Whether it may pass by itself.
        transient: bool,
    },
    /// The record of a user's key does not open.
    #[error("the key of a user ({user}) cannot be used: {error}")]
    Record {
        /// The beginning of the user's keyed hash.
        user: String,
        /// Why.
        error: OpenError,
    },
    /// The record of a user's key opens to something else.
    #[error("the key of a user ({user}) cannot be used: its record does not hold one")]
    Form {
        /// The beginning of the user's keyed hash.
        user: String,
    },
    /// The store of users' keys was marked as this ring's, and is not any more, or never was and nobody has judged it.
    #[error(
        "the store of users' keys at {location} has lost the mark of this keyring: no new key is made there"
    )]
    Lost {
        /// Where.
        location: String,
    },
    /// The ring.
    #[error(transparent)]
    Ring(#[from] RingError),
    /// The key could not be sealed or prepared.
    #[error("the key of a user cannot be made: {0}")]
    Making(String),
    /// Others changed it again and again.
    #[error("the key of a user is being changed by others again and again")]
    Contended,
}

impl UserKeyError {
    /// Whether it may pass by itself.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Store { transient, .. } => *transient,
            Self::Contended => true,
            _ => false,
        }
    }
}
