//! The states of an index key and the table of legal transitions. An index key seals members and record
//! names deterministically; it changes its state only on an operator's request.

use std::fmt;

use serde::{Deserialize, Serialize};
use waxseal_core::IndexKeyRole;

/// The state of an index key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexKeyState {
    /// Published, so that every process has it before anything is sealed under it.
    Pending,
    /// Seals. Exactly one index key of a ring does.
    Writing,
    /// Opens what was sealed under it, and seals nothing new.
    Reading,
    /// Erased: only its id and its dates are left.
    Destroyed,
}

impl IndexKeyState {
    /// All states, in the order of a key's life.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Writing, Self::Reading, Self::Destroyed];

    /// The states that may follow this one: the table of all legal transitions.
    #[must_use]
    pub fn followers(self) -> &'static [Self] {
        match self {
            Self::Pending => &[Self::Writing],
            Self::Writing => &[Self::Reading],
            Self::Reading => &[Self::Destroyed],
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
    pub fn role(self) -> Option<IndexKeyRole> {
        Some(match self {
            Self::Pending => IndexKeyRole::Pending,
            Self::Writing => IndexKeyRole::Writing,
            Self::Reading => IndexKeyRole::Reading,
            Self::Destroyed => return None,
        })
    }

    /// The state as documents have it: `pending`, `writing`, ….
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Writing => "writing",
            Self::Reading => "reading",
            Self::Destroyed => "destroyed",
        }
    }
}

impl fmt::Display for IndexKeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
