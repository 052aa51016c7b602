//! What an application chooses about its sessions: their names, how long they live, and what
//! becomes of a value that cannot be opened.

use std::time::Duration;

use waxseal_stores::Clock;

/// The lifetime of a state, as in the operator's guide.
const DEFAULT_TTL: Duration = Duration::from_secs(3600);
/// How long a value that was moved aside is kept.
const DEFAULT_KEEP: Duration = Duration::from_secs(30 * 24 * 3600);

/// What is answered for a value that cannot be opened because it is damaged, was tampered with or
/// moved.
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
}
