//! Errors of keyrings: of the document, of opening and following a ring, of a requested change. Errors of
//! custodians and of document stores are beside their traits. No text contains a key, a user or a document.

use waxseal_core::{KeyError, KeyId, KeyringError};

use crate::audit::AuditGap;
use crate::clock::ClockOffset;
use crate::custodian::CustodianError;
use crate::document_format::DocumentFormat;
use crate::document_store::DocumentStoreError;
use crate::index_state::IndexKeyState;
use crate::protected_scope::Difference;
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
    /// The ring holds no such index key.
    #[error("the keyring holds no index key {0}")]
    NoIndexKey(KeyId),
    /// It is an index key, and the change is one of data keys.
    #[error("key {0} is an index key: it is only replaced by another one")]
    IndexKey(KeyId),
    /// The state of an index key does not allow it.
    #[error("index key {id} is {from}: it cannot become {to}")]
    IndexTransition {
        /// The key.
        id: KeyId,
        /// Its state.
        from: IndexKeyState,
        /// The state that was asked for.
        to: IndexKeyState,
    },
    /// Another index key is pending already.
    #[error("index key {0} is pending already")]
    PendingIndexKey(KeyId),
    /// It may not write yet: processes without it could not find what is under it.
    #[error("index key {id} may write in {left_s} s: not every process knows it before")]
    EarlyIndexKey {
        /// The key.
        id: KeyId,
        /// The remaining time, in seconds.
        left_s: u64,
    },
    /// It would leave no index key that writes.
    #[error("index key {0} writes: another one must write first")]
    Writing(KeyId),
    /// Names of records are sealed under the index key that writes.
    #[error(
        "the names of the records {records} at {store} are sealed under the index key that writes: another one would not \
         find them"
    )]
    SealedNames {
        /// The pattern, for messages.
        records: String,
        /// The location of the store.
        store: String,
    },
    /// The document is of format 1, which cannot express it.
    #[error("the keyring document is of format 1: {what} need format 2")]
    NeedsFormat2 {
        /// What cannot be expressed, in the plural.
        what: &'static str,
    },
    /// The document has this format already.
    #[error("the keyring document is of format {0} already")]
    Format(DocumentFormat),
    /// Processes that report do not read the format.
    #[error(
        "not every process that uses the keyring reads document format {format}: {}; a report is dropped \
         {dropped_s} s after it was made", FormerProcess::list(.processes)
    )]
    FormerProcesses {
        /// The format.
        format: DocumentFormat,
        /// The processes.
        processes: Vec<FormerProcess>,
        /// The time after which the report of a process that has ended is dropped, in seconds.
        dropped_s: u64,
    },
    /// It would accept only a version that is not written.
    #[error("version 3 of the sealed format must be written before it alone is accepted")]
    NotWritten,
    /// It would write a version that others refuse.
    #[error("version 2 of the sealed format must be accepted before it is written")]
    NotAccepted,
    /// Version 3 is written or alone accepted, which format 1 cannot express.
    #[error(
        "processes write version 3 of the sealed format, or accept no other, and document format 1 knows \
         version 2 alone"
    )]
    WritesVersion3,
    /// Members may be under index keys, which the return to format 1 destroys.
    #[error(
        "the return to document format 1 destroys the index keys, and members may be sealed under them: {values} \
         seals and {processes} running processes that can seal members are reported"
    )]
    IndexKeysInUse {
        /// Values sealed under index keys, as reported.
        values: u64,
        /// Processes that read format 2 and have not ended.
        processes: usize,
    },
    /// Values or names of protected records exist in version 3 only, or their settings in format 2.
    #[error(
        "the records {records} at {store} have a group, a binding to it or sealed names: {what} has none"
    )]
    ScopeSettings {
        /// The pattern, for messages.
        records: String,
        /// The location of the store.
        store: String,
        /// What lacks them.
        what: &'static str,
    },
    /// Processes may still act as before the last change.
    #[error(
        "{change} has to wait {left_s} s: a process that has not seen the last change may still write as \
         before it"
    )]
    Unsettled {
        /// The change.
        change: GuardedChange,
        /// The remaining time, in seconds.
        left_s: u64,
    },
    /// An audit does not show that nothing is lost by it.
    #[error("{change} needs a clean audit: {gap}")]
    Unproven {
        /// The change.
        change: GuardedChange,
        /// What the audit lacks.
        gap: AuditGap,
    },
    /// A process is configured otherwise than the ring has it: values that it writes would not be found by
    /// others.
    #[error(
        "the keyring records {0} = {1} for the records {records} at {store}, and this process is configured with \
         {0} = {2}", .difference.what, .difference.recorded, .difference.configured
    )]
    Protected {
        /// The pattern, for messages.
        records: String,
        /// The location of the store.
        store: String,
        /// The setting that differs.
        difference: Box<Difference>,
    },
}

/// A change that waits until every process has seen the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuardedChange {
    /// New values are in version 3.
    #[error("writing version 3 of the sealed format")]
    WriteVersion3,
    /// New values are in version 2 again.
    #[error("writing version 2 of the sealed format")]
    WriteVersion2,
    /// Older versions do not open.
    #[error("accepting version 3 of the sealed format alone")]
    AcceptVersion3,
    /// The document is of format 1 again.
    #[error("the return to document format 1")]
    Format1,
    /// An index key is destroyed.
    #[error("destroying index key {0}")]
    DestroyIndexKey(KeyId),
}

/// A process that does not say that it reads a document format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerProcess {
    /// Its id, or `unknown`.
    pub id: String,
    /// The kind of process.
    pub kind: String,
    /// The time since its report, in seconds.
    pub silent_s: u64,
}

impl FormerProcess {
    /// The number of processes that a text names.
    const MAX_LISTED: usize = 3;

    /// The processes in a text: the first of them.
    #[must_use]
    pub fn list(processes: &[Self]) -> String {
        let first = processes.iter().take(Self::MAX_LISTED);
        let first = first.map(|it| {
            let (kind, id, silent_s) = (&it.kind, &it.id, it.silent_s);
            format!("{kind} {id} reported {silent_s} s ago")
        });
        let mut texts: Vec<_> = first.collect();
        match processes.len().saturating_sub(Self::MAX_LISTED) {
            0 => {}
            more => texts.push(format!("and {more} more")),
        }
        texts.join(", ")
    }
}
