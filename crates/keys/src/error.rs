//! Errors of keyrings: of the document, of opening and following a ring, of a requested change. Errors of
//! custodians and of document stores are beside their traits. No text contains a key, a user or a document.

use waxseal_core::{KeyError, KeyId, KeyringError};

use crate::clock::ClockOffset;
use crate::custodian::CustodianError;
use crate::document_store::DocumentStoreError;
use crate::state::KeyState;

/// Defects of a keyring document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// It has no bytes, or only white space.
    #[error("it is empty")]
    Empty,
    /// It is not a keyring document: truncated, or something else.
    #[error("it is not a keyring document (line {line}, column {column})")]
    Form {
        /// The line of the defect, counted from 1.
        line: usize,
        /// The column of the defect, counted from 1.
        column: usize,
    },
    /// Its format is newer than this program.
    #[error("its format {0} is unknown to this version of waxseal")]
    Format(u32),
    /// Its parts contradict each other.
    #[error("it contradicts itself: {0}")]
    Inconsistent(&'static str),
    /// Its authentication code is wrong: it was changed without its keys.
    #[error("its authentication code is wrong: it was changed, or put together from several")]
    Mac,
}

/// Errors of opening, following or changing a ring.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// The store has no ring.
    #[error("there is no keyring at {location}")]
    Missing {
        /// The location of the document.
        location: String,
    },
    /// The store has a ring already.
    #[error("there is a keyring at {location} already (version {version})")]
    Exists {
        /// The location of the document.
        location: String,
        /// Its version.
        version: u64,
    },
    /// The document is refused.
    #[error("the keyring at {location} is refused: {error}")]
    Document {
        /// The location of the document.
        location: String,
        /// The defect.
        error: DocumentError,
    },
    /// The ring belongs to another environment.
    #[error("the keyring is for the environment \"{found}\", and this process for \"{expected}\"")]
    Environment {
        /// The ring's.
        found: String,
        /// The one that is configured.
        expected: String,
    },
    /// It is another ring than the known one.
    #[error("the keyring at {location} is another one than this process knows")]
    OtherRing {
        /// The location of the document.
        location: String,
    },
    /// It is older than the known ring.
    #[error(
        "the keyring at {location} was rolled back: it has version {found}, version {known} was known"
    )]
    Rollback {
        /// The location of the document.
        location: String,
        /// The version in the store.
        found: u64,
        /// The newest that this process knows.
        known: u64,
    },
    /// It lacks keys or erasures that were known: its store lost a write.
    #[error("the keyring at {location} lacks keys or erased users that were known")]
    Lost {
        /// The location of the document.
        location: String,
    },
    /// Only wraps of keys in the stored document were damaged.
    #[error("the keyring at {location} holds wrapped keys that were damaged")]
    Damaged {
        /// The location of the document.
        location: String,
    },
    /// The store has lost it, and what this process knows is too old to be restored automatically.
    #[error(
        "the keyring at {location} is lost, and what is known here (version {version}) was not confirmed \
         for too long to be put back automatically"
    )]
    Outdated {
        /// The location of the document.
        location: String,
        /// The version that is known.
        version: u64,
    },
    /// No custodian unwraps it.
    #[error("no custodian of the keyring opens it: {0}")]
    Custodian(#[from] CustodianError),
    /// The store of the document failed.
    #[error(transparent)]
    DocumentStore(#[from] DocumentStoreError),
    /// The change is not allowed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The keys do not form a keyring.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// The operating system or the cryptographic library failed.
    #[error(transparent)]
    Library(#[from] KeyError),
    /// Others kept changing the document.
    #[error("others changed the keyring {0} times in a row, the change was given up")]
    Contended(u32),
    /// The ring was not confirmed for longer than its keys are guaranteed to exist.
    #[error(
        "the keyring was not reached for {silent_s} s: sealing stopped, its sealing key may have been destroyed"
    )]
    Lapsed {
        /// The time since the last confirmation, in seconds.
        silent_s: u64,
    },
}

impl RingError {
    /// True if the store has lost the ring, or was tampered with: a process that knows the ring then
    /// restores it. A document of a newer format or of another ring is never replaced.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Rollback { .. } => true,
            Self::Document { error, .. } => !matches!(error, DocumentError::Format(_)),
            _ => false,
        }
    }
}

/// Reasons why a change of a ring is not allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The ring holds no such key.
    #[error("the keyring holds no key {0}")]
    NoKey(KeyId),
    /// Its state does not allow it.
    #[error("key {id} is {from}: it cannot become {to}")]
    Transition {
        /// The key.
        id: KeyId,
        /// Its state.
        from: KeyState,
        /// The state that was asked for.
        to: KeyState,
    },
    /// Another key is pending already.
    #[error("key {0} is pending already")]
    Pending(KeyId),
    /// It may not seal yet: processes without it could not open its values.
    #[error("key {id} may seal in {left_s} s: not every process knows it before")]
    Early {
        /// The key.
        id: KeyId,
        /// The remaining time, in seconds.
        left_s: u64,
    },
    /// It would leave no sealing key.
    #[error("key {0} seals: another one must seal first")]
    Sealing(KeyId),
    /// It would leave the ring without a custodian.
    #[error("{0} is the last custodian of the keyring")]
    LastCustodian(String),
    /// The ring has no such custodian.
    #[error("the keyring has no custodian {0}")]
    NoCustodian(String),
    /// This process's clock and that of the server that holds the ring are too far apart.
    #[error(
        "the clock of this machine is {offset} that of the server at {location}: no key is created, put to use or \
         destroyed by it"
    )]
    Clock {
        /// The location of the ring.
        location: String,
        /// The difference.
        offset: ClockOffset,
    },
    /// Another process has become the leader since.
    #[error("another process leads the rotation")]
    Fenced,
    /// The settings could lose values.
    #[error("{0}")]
    Settings(&'static str),
}
