//! The states of a key and the table of legal transitions. When a key changes its state is decided in
//! `rotation` and by operators.

use std::fmt;

use serde::{Deserialize, Serialize};
use waxseal_core::KeyRole;

/// The state of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyState {
    /// Published, so that every process has it before anything is sealed under it.
    Pending,
    /// Seals new values. Exactly one key of a ring does.
    Sealing,
    /// Opens values that were sealed under it, and seals no new ones.
    #[serde(rename = "opening")]
    DecryptOnly,
    /// Nothing was found under it; it still opens what was overlooked.
    Archived,
    /// Erased: only its id and its dates are left.
    Destroyed,
    /// Known to others: it opens values only on request.
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

    /// The states that may follow this one: the table of all legal transitions.
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

    /// True if `next` may follow this state.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        self.followers().contains(&next)
    }

    /// The role of a key in this state in a process's keyring; `None` for a destroyed one.
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
