//! How the names of records are stored, in steps from plain to sealed.

use std::fmt;

/// How the names of the records of a pattern are stored: the steps from plain names to sealed ones.
///
/// Processes that share the records may be one step apart: each reads what the other writes. So a switch takes all steps
/// in their order, and waits at each until every process has taken it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameState {
    /// In clear.
    #[default]
    Plain,
    /// In clear; sealed ones are understood.
    Accept,
    /// Sealed; those in clear are understood.
    Both,
    /// Sealed.
    Sealed,
}

impl NameState {
    /// All states, in their order.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Accept, Self::Both, Self::Sealed];

    /// The state as configurations and documents have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Accept => "accept",
            Self::Both => "both",
            Self::Sealed => "sealed",
        }
    }

    /// True if one step leads from this state to the other, in either direction.
    #[must_use]
    pub fn is_neighbor(self, other: Self) -> bool {
        matches!(
            (self, other),
            (Self::Plain, Self::Accept)
                | (Self::Accept, Self::Plain | Self::Both)
                | (Self::Both, Self::Accept | Self::Sealed)
                | (Self::Sealed, Self::Both)
        )
    }

    /// True if new records have sealed names.
    #[must_use]
    pub fn writes_sealed(self) -> bool {
        matches!(self, Self::Both | Self::Sealed)
    }

    /// True if records are also found under their plain names.
    #[must_use]
    pub fn reads_plain(self) -> bool {
        !matches!(self, Self::Sealed)
    }

    /// True if records are also found under their sealed names.
    #[must_use]
    pub fn reads_sealed(self) -> bool {
        !matches!(self, Self::Plain)
    }
}

impl fmt::Display for NameState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbors_are_one_step_apart() {
        assert!(NameState::ALL.is_sorted());
        for (at, state) in NameState::ALL.into_iter().enumerate() {
            for (other_at, other) in NameState::ALL.into_iter().enumerate() {
                let is_next = at.abs_diff(other_at) == 1;
                assert_eq!(state.is_neighbor(other), is_next, "{state} {other}");
            }
        }
    }

    #[test]
    fn processes_that_are_at_most_one_step_apart_read_what_the_other_writes() {
        let reads_what_is_written = |reader: NameState, writer: NameState| {
            if writer.writes_sealed() {
                reader.reads_sealed()
            } else {
                reader.reads_plain()
            }
        };
        for a in NameState::ALL {
            for b in NameState::ALL {
                let both = reads_what_is_written(a, b) && reads_what_is_written(b, a);
                if a == b || a.is_neighbor(b) {
                    assert!(both, "{a} {b}");
                }
                if a == NameState::Plain && b.writes_sealed() {
                    assert!(!both, "{a} {b}");
                }
            }
        }
    }
}
