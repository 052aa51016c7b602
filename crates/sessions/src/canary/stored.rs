//! The canary as it is stored, and what a sample of the values says beside it.

use waxseal_core::KeyId;

use super::{CanaryState, Sample};

/// More unopenable classic values than this in the sample speak against the key, whatever else is there.
const MAX_STRAY: usize = 5;
/// A canary weighs as much as one value: it is outvoted by this many under other keys.
const OUTVOTED: usize = 2;

/// The canary as it is stored.
pub(super) enum Stored {
    Absent,
    Opens(KeyId),
    /// Of another key, damaged, or something else (`bytes`: `None` where it is no string).
    Differs {
        key: Option<KeyId>,
        bytes: Option<Vec<u8>>,
    },
}

impl Stored {
    pub(super) fn state(&self) -> CanaryState {
        match self {
            Self::Absent => CanaryState::Absent,
            Self::Opens(id) => CanaryState::Opens(*id),
            Self::Differs { key, .. } => CanaryState::Differs(*key),
        }
    }

    /// The key of a canary that does not open.
    pub(super) fn foreign_key(&self) -> Option<KeyId> {
        match self {
            Self::Differs { key, .. } => *key,
            Self::Absent | Self::Opens(_) => None,
        }
    }

    /// One value that opens speaks for the key, whatever else is there. Where none does, values under
    /// unknown keys speak against it, and classic ones, which name no key, if they are many.
    pub(super) fn speaks_against_the_key(&self, sample: &Sample) -> bool {
        if sample.opened > 0 {
            return false;
        }
        let unknown = sample.under_unknown_keys();
        let many_classic = sample.classic > MAX_STRAY;
        // Without a canary, Base64 weighs as much where no classic values are written any more.
        let base64 = sample.classic + sample.base64;
        // A key that the ring destroyed, or marks as compromised, is not one of another store.
        let is_of_ring = sample.named > 0;
        match self {
            // Among plain values, what looks like a classic one may be plain as well.
            Self::Opens(_) => {
                !is_of_ring && (unknown >= OUTVOTED || (many_classic && sample.plain == 0))
            }
            Self::Absent => {
                !is_of_ring
                    && (unknown > 0 || base64 > MAX_STRAY || (base64 > 0 && sample.plain == 0))
            }
            Self::Differs { .. } => true,
        }
    }

    /// How many values are of users without keys, where nothing else is there to check the keys with and
    /// they are many. The keys of these users are elsewhere, or the ring is another one.
    pub(super) fn users_without_keys(&self, sample: &Sample) -> Option<usize> {
        let nothing_else = sample.opened + sample.named + sample.plain == 0;
        let is_absent = matches!(self, Self::Absent);
        (is_absent && nothing_else && sample.unknown_users > MAX_STRAY)
            .then_some(sample.unknown_users)
    }
}
