//! What an application chooses about its sessions: their names, how long they live, and what
//! becomes of a value that cannot be opened.

use std::time::Duration;

use waxseal_keys::{LiveRing, UserKeys};
use waxseal_stores::Clock;

use crate::canary::GuardedRecords;

#[cfg(any(feature = "tower-sessions", feature = "actix-session"))]
use crate::error::GuardError;

/// The lifetime of a state, as in the operator's guide.
const DEFAULT_TTL: Duration = Duration::from_secs(3600);
/// How long a value that was moved aside is kept.
const DEFAULT_KEEP: Duration = Duration::from_secs(30 * 24 * 3600);

/// What is answered for a value that cannot be opened because it is damaged, was tampered with or
/// moved.
///
/// A state of a user who was erased is nothing of the kind: it is gone for good, never moved aside,
/// and an update begins afresh. Only under [`Error`](Self::Error) is a read of it an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRefused {
    /// The error.
    Error,
    /// "There is none"; the value stays where it is.
    Absent,
    /// "There is none", after the value was moved aside.
    Quarantine,
}

/// Options of a [`StateManager`](crate::StateManager) or an adapter.
#[derive(Clone)]
pub struct Options {
    pub(crate) prefix: String,
    pub(crate) ttl: Duration,
    pub(crate) on_refused: OnRefused,
    pub(crate) keep_quarantined: Duration,
    pub(crate) clock: Clock,
    pub(crate) canary: Option<String>,
    pub(crate) ring: Option<LiveRing>,
    pub(crate) user_keys: Option<UserKeys>,
    pub(crate) decoys: Vec<Vec<u8>>,
    pub(crate) guarded: Vec<GuardedRecords>,
    pub(crate) excepts: Vec<String>,
}

impl Default for Options {
    /// The guide's: names `wa:<user>`, 3600 s, and quarantine.
    fn default() -> Self {
        Self {
            prefix: "wa:".to_owned(),
            ttl: DEFAULT_TTL,
            on_refused: OnRefused::Quarantine,
            keep_quarantined: DEFAULT_KEEP,
            clock: Clock::system(),
            canary: None,
            ring: None,
            user_keys: None,
            decoys: Vec::new(),
            guarded: Vec::new(),
            excepts: Vec::new(),
        }
    }
}

impl Options {
    /// What record names start with, before the user or the session.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Record names that are excepted, as globs over whole names (`wa:*:lock`): their values are written plain,
    /// and those that are sealed still open. Every process of the store, a proxy and the command line among
    /// them, needs the same excepts.
    #[must_use]
    pub fn except<T: Into<String>>(mut self, globs: impl IntoIterator<Item = T>) -> Self {
        self.excepts = globs.into_iter().map(Into::into).collect();
        self
    }

    /// How long a state lives after it was written.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// What becomes of a value that cannot be opened.
    #[must_use]
    pub fn on_refused(mut self, on_refused: OnRefused) -> Self {
        self.on_refused = on_refused;
        self
    }

    /// How long a value that was moved aside is kept.
    #[must_use]
    pub fn keep_quarantined(mut self, keep: Duration) -> Self {
        self.keep_quarantined = keep;
        self
    }

    /// The clock that tells when something was moved aside.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The name of the canary record, where several applications with keys of their own share a
    /// store (by default all share `waxseal:canary`, and one keyring).
    #[must_use]
    pub fn canary(mut self, name: impl Into<String>) -> Self {
        self.canary = Some(name.into());
        self
    }

    /// Further records of the store that are sealed under the same keys. The check of the key opens a
    /// sample of them as well, so that a key is not taken for the right one where nothing is sealed under
    /// the prefix yet.
    #[must_use]
    pub fn guarded_records(mut self, records: impl IntoIterator<Item = GuardedRecords>) -> Self {
        self.guarded = records.into_iter().collect();
        self
    }

    /// The ring that the sealer follows: make it with [`LiveRing::keyring`]. A value under a key that
    /// others added since is opened once the ring is read again, and nothing is sealed under a ring
    /// that was out of reach for so long that its sealing key may be gone.
    #[must_use]
    pub fn ring(mut self, ring: LiveRing) -> Self {
        self.ring = Some(ring);
        self
    }

    /// The keys of users: the state of each is sealed under a key of their own, in the sealed format
    /// whatever the sealer writes. The user is what follows the prefix in a record name. What lies
    /// there under the ring, or plain, is still read.
    ///
    /// For the [`StateManager`](crate::StateManager) alone: web sessions belong to no user.
    #[must_use]
    pub fn user_keys(mut self, users: UserKeys) -> Self {
        self.user_keys = Some(users);
        self
    }

    /// Decoys: records that the application never reads, by their whole names, each of them under the
    /// prefix, at most 1,000. Reading the value of one is answered as ever, raises a line in the log at the
    /// level of errors, and is counted in `waxseal_decoys_opened_total`. `waxseal decoy plant` writes them.
    #[must_use]
    pub fn decoys<N: Into<Vec<u8>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.decoys = names.into_iter().map(Into::into).collect();
        self
    }

    /// For records that belong to no user.
    #[cfg(any(feature = "tower-sessions", feature = "actix-session"))]
    pub(crate) fn userless(self) -> Result<Self, GuardError> {
        match self.user_keys {
            Some(_) => Err(GuardError::Userless),
            None => Ok(self),
        }
    }
}
