//! The options of sessions: names, lifetimes, and the treatment of values that cannot be opened.

use std::time::Duration;

use waxseal_keys::{LiveRing, UserKeys};
use waxseal_stores::Clock;

use crate::canary::GuardedRecords;
use crate::names::SealedNames;

#[cfg(any(feature = "tower-sessions", feature = "actix-session"))]
use crate::error::GuardError;

/// The lifetime of a state, as in the operator's guide.
const DEFAULT_TTL: Duration = Duration::from_secs(3600);
/// The lifetime of a value in quarantine.
const DEFAULT_KEEP: Duration = Duration::from_secs(30 * 24 * 3600);

/// The result of reading a value that cannot be opened because it is damaged, was tampered with or was moved.
///
/// The state of a user who was erased is not such a value: it is permanently erased, never moved to quarantine, and an
/// update begins without it. A read of it is an error only with [`Error`](Self::Error).
///
/// A member of a set, or a value in an entry of a stream, stays where it is, and is left out of what is read. That it is there
/// is logged at each read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRefused {
    /// An error.
    Error,
    /// No state. The value stays in its record.
    Absent,
    /// No state, and the value is moved to quarantine.
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
    pub(crate) names: Option<SealedNames>,
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
            names: None,
        }
    }
}

impl Options {
    /// Sets the prefix of record names, before the user or the session.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the excepted record names, as globs over whole names (`wa:*:lock`): their values are written plain, and those
    /// that are sealed still open. All processes of the store, a proxy and the command line included, need the same
    /// excepts.
    #[must_use]
    pub fn except<T: Into<String>>(mut self, globs: impl IntoIterator<Item = T>) -> Self {
        self.excepts = globs.into_iter().map(Into::into).collect();
        self
    }

    /// Sets how record names are stored sealed. By default they are in clear. All processes of the store need the same; with
    /// a ring a process that has another setting than the ring records does not start.
    ///
    /// With a ring its document format 2 is needed. Names do not change while any process runs: `waxseal migrate --names
    /// --offline` renames the records.
    ///
    /// ```
    /// use waxseal_core::PadNames;
    /// use waxseal_sessions::{Options, SealedNames};
    ///
    /// let names = SealedNames {
    ///     scope: "wa:{user}".to_owned(),
    ///     pad: PadNames::default(),
    /// };
    /// let options = Options::default().names(names);
    /// ```
    #[must_use]
    pub fn names(mut self, names: SealedNames) -> Self {
        self.names = Some(names);
        self
    }

    /// Sets the lifetime of a state after each write.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// Sets the treatment of values that cannot be opened.
    #[must_use]
    pub fn on_refused(mut self, on_refused: OnRefused) -> Self {
        self.on_refused = on_refused;
        self
    }

    /// Sets the lifetime of values in quarantine.
    #[must_use]
    pub fn keep_quarantined(mut self, keep: Duration) -> Self {
        self.keep_quarantined = keep;
        self
    }

    /// Sets the clock for the time of a move to quarantine.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the name of the canary record, for several applications with different keys in one store (by default all share
    /// `waxseal:canary`, and one keyring).
    #[must_use]
    pub fn canary(mut self, name: impl Into<String>) -> Self {
        self.canary = Some(name.into());
        self
    }

    /// Adds further records of the store that are sealed under the same keys. The check of the key opens a sample of them
    /// as well, so that a wrong key is found even if nothing is sealed under the prefix yet.
    #[must_use]
    pub fn guarded_records(mut self, records: impl IntoIterator<Item = GuardedRecords>) -> Self {
        self.guarded = records.into_iter().collect();
        self
    }

    /// Sets the ring that the sealer follows, which must be created with [`LiveRing::keyring`]. If a value is under a key
    /// that another process has added, the ring is read again; and nothing is sealed under a ring that has been
    /// unreachable for so long that its sealing key may be destroyed.
    #[must_use]
    pub fn ring(mut self, ring: LiveRing) -> Self {
        self.ring = Some(ring);
        self
    }

    /// Sets the keys of users: the state of each user is sealed under a key of their own, in the sealed format whatever the
    /// sealer writes. The user is the part of a record name after the prefix. States under the ring, and plain ones, are
    /// still read.
    ///
    /// Only for the [`StateManager`](crate::StateManager): web sessions belong to no user.
    #[must_use]
    pub fn user_keys(mut self, users: UserKeys) -> Self {
        self.user_keys = Some(users);
        self
    }

    /// Sets the decoys: records that the application never reads, by their whole names with the prefix, at most 1,000.
    /// Reading one returns its value as usual, logs an error, and is counted in `waxseal_decoys_opened_total`.
    /// `waxseal decoy plant` writes them.
    #[must_use]
    pub fn decoys<N: Into<Vec<u8>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.decoys = names.into_iter().map(Into::into).collect();
        self
    }

    /// Refuses keys of users, for records that belong to no user.
    #[cfg(any(feature = "tower-sessions", feature = "actix-session"))]
    pub(crate) fn userless(self) -> Result<Self, GuardError> {
        match self.user_keys {
            Some(_) => Err(GuardError::Userless),
            None => Ok(self),
        }
    }
}
