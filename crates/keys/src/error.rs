//! What can go wrong with keys, by culprit: the custodian, the place where the document lies, the
//! document itself, the operator's request. No text holds a key, a user or a document.

use waxseal_core::{KeyError, KeyId, KeyringError};

use crate::clock::ClockOffset;
use crate::secret_file::Unusable;
use crate::state::KeyState;

/// Why a custodian did not wrap or unwrap.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CustodianError {
    /// The URL names no kind of custodian that is known.
    #[error("a custodian URL starts with env:, file:, pkcs11:, awskms: or vault:")]
    Scheme,
    /// The URL is of a kind that this build leaves out.
    #[error("this waxseal was built without {feature}: custodians")]
    NotBuilt {
        /// The Cargo feature that has it.
        feature: String,
    },
    /// The URL is of a known kind, and malformed.
    #[error("the custodian URL {scheme}:… is malformed: {cause}")]
    Url {
        /// Its scheme.
        scheme: &'static str,
        /// What is wrong, in a few words.
        cause: String,
    },
    /// The variable of the environment is not set.
    #[error("the custodian's variable {variable} is not set")]
    NotSet {
        /// Its name.
        variable: String,
    },
    /// The variable of the environment, or the file that it names, cannot be read, or says something that
    /// does not serve.
    #[error("the custodian's variable {variable} cannot be used: {cause}")]
    Variable {
        /// Its name.
        variable: String,
        /// Why, in words.
        cause: String,
    },
    /// The secret cannot be a key.
    #[error("the secret of the custodian {custodian} is no key: {error}")]
    Secret {
        /// Its URL.
        custodian: String,
        /// Why.
        error: KeyError,
    },
    /// The file of a secret cannot be used.
    #[error("the custodian's file {path} {error}")]
    File {
        /// The file.
        path: String,
        /// What is the matter with it.
        error: Unusable,
    },
    /// It cannot be reached, or does not answer in time.
    #[error("the custodian {custodian} cannot be reached: {cause}")]
    Unavailable {
        /// Its URL.
        custodian: String,
        /// What happened, in a few words.
        cause: String,
    },
    /// It does not unwrap this: wrapped by another key, for another ring or environment, or damaged.
    #[error("the custodian {custodian} does not unwrap this key")]
    Refused {
        /// Its URL.
        custodian: String,
    },
    /// It answers, and denies this process the operation: rights, expired credentials, a disabled key.
    #[error("the custodian {custodian} denies {operation}: {cause}")]
    Denied {
        /// Its URL.
        custodian: String,
        /// What was asked for: `wrap`, `unwrap`, `login`.
        operation: &'static str,
        /// What it says, in a few words.
        cause: String,
    },
    /// It answers, and the key-encryption key is not there, or cannot be told from others.
    #[error("the custodian {custodian} cannot wrap: {cause}")]
    NoKey {
        /// Its URL.
        custodian: String,
        /// What is missing, in a few words.
        cause: &'static str,
    },
    /// A key was to be made, and there is one.
    #[error("the custodian {custodian} has a key of this name already")]
    KeyExists {
        /// Its URL.
        custodian: String,
    },
    /// The hardware module does not take the PIN. It is not tried again: that could lock the token.
    #[error("the token of {custodian} does not take the PIN: {cause}")]
    Pin {
        /// The custodian's URL.
        custodian: String,
        /// What is known about it, in a few words.
        cause: &'static str,
    },
    /// The document names it, and this process was not told to use it.
    #[error("the custodian {custodian} is not configured here")]
    NotConfigured {
        /// Its URL.
        custodian: String,
    },
    /// None of several does.
    #[error("{}", several(.0))]
    Several(Vec<CustodianError>),
    /// The cryptographic library.
    #[error(transparent)]
    Library(#[from] KeyError),
}

fn several(errors: &[CustodianError]) -> String {
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

impl CustodianError {
    /// Whether a token did not take its PIN: nothing may try again by itself.
    #[must_use]
    pub fn is_about_pin(&self) -> bool {
        match self {
            Self::Pin { .. } => true,
            Self::Several(errors) => errors.iter().any(Self::is_about_pin),
            _ => false,
        }
    }

    /// Whether it may pass by itself.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            // One that comes back is enough; but each attempt would cost a token another PIN.
            Self::Several(errors) => {
                errors.iter().any(Self::is_transient) && !errors.iter().any(Self::is_about_pin)
            }
            _ => false,
        }
    }
}

/// Why a place did not give or take a paper.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentStoreError {
    /// It cannot be reached now; it may come back by itself.
    #[error("the place of the keyring, {location}, cannot be reached: {cause}")]
    Unavailable {
        /// Where.
        location: String,
        /// What happened, in a few words.
        cause: String,
    },
    /// It refuses to be read or written.
    #[error("the place of the keyring, {location}, refuses: {cause}")]
    Denied {
        /// Where.
        location: String,
        /// What happened, in a few words.
        cause: String,
    },
}

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
