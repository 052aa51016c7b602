//! The states of a key, and which of them may follow which: one table. What makes a key change its
//! state is decided in `rotation` and by operators.

use std::fmt;

use serde::{Deserialize, Serialize};
use waxseal_core::KeyRole;

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Published, so that every process learns it before anything is sealed under it.
    Pending,
    /// Seals. Exactly one key of a ring does.
    Sealing,
    /// Opens what was sealed under it.
    #[serde(rename = "opening")]
    DecryptOnly,
    /// Nothing was found under it; still opens what was overlooked.
    Archived,
    /// Gone: only its id and its dates are kept.
    Destroyed,
    /// Known to others: opens only where that is asked for.
    Compromised,
}

impl KeyState {
    /// All states, in the order of a key's life.
    pub const ALL: [Self; 6] = [
        Self::Pending,
        Self::Sealing,
        Self::DecryptOnly,
        Self::Archived,
        Self::Destroyed,
        Self::Compromised,
    ];

    /// The states that may follow this one. The table of all legal transitions.
    #[must_use]
    pub fn followers(self) -> &'static [Self] {
        match self {
            Self::Pending => &[Self::Sealing, Self::Compromised],
            Self::Sealing => &[Self::DecryptOnly, Self::Compromised],
            Self::DecryptOnly => &[Self::Archived, Self::Compromised],
            Self::Archived => &[Self::Destroyed, Self::Compromised],
            Self::Compromised => &[Self::Destroyed],
            Self::Destroyed => &[],
        }
    }

    /// Whether this state may be followed by that one.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        self.followers().contains(&next)
    }

    /// What a key in this state does in a process' keyring; `None` for one that is gone.
    #[must_use]
    pub fn role(self) -> Option<KeyRole> {
        Some(match self {
            Self::Pending => KeyRole::Pending,
            Self::Sealing => KeyRole::Sealing,
            Self::DecryptOnly => KeyRole::DecryptOnly,
            Self::Archived => KeyRole::Archived,
            Self::Compromised => KeyRole::Compromised,
            Self::Destroyed => return None,
        })
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.role().map_or("destroyed", KeyRole::as_str))
    }
}
