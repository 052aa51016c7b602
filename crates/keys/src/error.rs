//! What can go wrong with keys, by culprit: the custodian, the place where the document lies, the
//! document itself, the operator's request. No text holds a key, a user or a document.

use waxseal_core::{KeyError, KeyId, KeyringError};

use crate::clock::ClockOffset;
use crate::custodian::CustodianError;
use crate::document_store::DocumentStoreError;
use crate::state::KeyState;

/// What is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// No bytes at all.
    #[error("it is empty")]
    Empty,
    /// It is no keyring document: truncated, or something else.
    #[error("it is no keyring document (line {line}, column {column})")]
    Form {
        /// Where it goes wrong, counted from 1.
        line: usize,
        /// Where in the line, counted from 1.
        column: usize,
    },
    /// Its format is newer than this program.
    #[error("its format {0} is unknown to this version of waxseal")]
    Format(u32),
    /// Its parts contradict each other.
    #[error("it contradicts itself: {0}")]
    Inconsistent(&'static str),
    /// Its authentication code is wrong: changed by somebody who does not hold its keys.
    #[error("its authentication code is wrong: it was changed, or put together from several")]
    Mac,
}

/// Why a ring was not opened, not taken over, or not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RingError {
    /// There is none.
    #[error("there is no keyring at {location}")]
    Missing {
        /// Where.
        location: String,
    },
    /// There is one already.
    #[error("there is a keyring at {location} already (version {version})")]
    Exists {
        /// Where.
        location: String,
        /// Its version.
        version: u64,
    },
    /// The document is refused.
    #[error("the keyring at {location} is refused: {error}")]
    Document {
        /// Where.
        location: String,
        /// Why.
        error: DocumentError,
    },
    /// It belongs to another environment.
    #[error("the keyring is for the environment \"{found}\", and this process for \"{expected}\"")]
    Environment {
        /// The ring's.
        found: String,
        /// The one that is configured.
        expected: String,
    },
    /// It is another ring than the one that was known.
    #[error("the keyring at {location} is another one than this process knows")]
    OtherRing {
        /// Where.
        location: String,
    },
    /// It is older than the one that was known.
    #[error(
        "the keyring at {location} was rolled back: it has version {found}, version {known} was known"
    )]
    Rollback {
        /// Where.
        location: String,
        /// The version that lies there.
        found: u64,
        /// The newest that this process knows.
        known: u64,
    },
    /// It lacks keys or erasures that were known: its place lost a write.
    #[error("the keyring at {location} lacks keys or erased users that were known")]
    Lost {
        /// Where.
        location: String,
    },
    /// Wraps of keys in the stored document were damaged, and the rest was not.
    #[error("the keyring at {location} holds wrapped keys that were damaged")]
    Damaged {
        /// Where.
        location: String,
    },
    /// The place has lost it, and what this process knows is too old to be put back by itself.
    #[error(
        "the keyring at {location} is lost, and what is known here (version {version}) was not confirmed \
         for too long to be put back by itself"
    )]
    Outdated {
        /// Where.
        location: String,
        /// The version that is known.
        version: u64,
    },
    /// None of its custodians unwraps it.
    #[error("no custodian of the keyring opens it: {0}")]
    Custodian(#[from] CustodianError),
    /// The place where it lies.
    #[error(transparent)]
    DocumentStore(#[from] DocumentStoreError),
    /// A change is not allowed.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Keys that do not make a ring.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// The operating system or the cryptographic library.
    #[error(transparent)]
    Library(#[from] KeyError),
    /// Others changed the document again and again.
    #[error("others changed the keyring {0} times in a row, the change was given up")]
    Contended(u32),
    /// The ring was not confirmed for longer than its keys are certain to exist.
    #[error(
        "the keyring was not reached for {silent_s} s: sealing stopped, its sealing key may have been destroyed"
    )]
    Lapsed {
        /// For how long, in seconds.
        silent_s: u64,
    },
}

impl RingError {
    /// Whether a place that answers so has lost the ring, or was made to: then who knows the ring puts
    /// it back. A document of a newer format or of somebody else is nobody's to replace.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        match self {
            Self::Missing { .. } | Self::Rollback { .. } => true,
            Self::Document { error, .. } => !matches!(error, DocumentError::Format(_)),
            _ => false,
        }
    }
}

/// Why a change of a ring is not allowed.
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
    /// There is a key waiting to seal already.
    #[error("key {0} is pending already")]
    Pending(KeyId),
    /// It may not seal yet: processes that do not know it could not open.
    #[error("key {id} may seal in {left_s} s: not every process knows it before")]
    Early {
        /// The key.
        id: KeyId,
        /// How long, in seconds.
        left_s: u64,
    },
    /// It would leave no key that seals.
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
        "the clock of this machine is {offset} that of the server at {location}: no key is made, put to use or \
         destroyed by it"
    )]
    Clock {
        /// Where the ring is.
        location: String,
        /// How far.
        offset: ClockOffset,
    },
    /// A leader that another one has followed.
    #[error("another process leads the rotation")]
    Fenced,
    /// Settings that would lose values.
    #[error("{0}")]
    Settings(&'static str),
}
