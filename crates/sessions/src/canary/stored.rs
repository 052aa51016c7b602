//! The verdict on the key, by the stored canary and a sample of the values.

use waxseal_core::KeyId;

use super::domain::CanaryValue;
use super::{CanaryState, Sample};

/// More classic values in the sample that do not open than this refute the key.
const MAX_UNOPENABLE: usize = 5;
/// A canary counts as much as one value: this many values under other keys outvote it.
const OUTVOTES: usize = 2;

/// The stored canary, opened with the configured keys.
pub(super) enum StoredCanary {
    Absent,
    Opens {
        key: KeyId,
        value: CanaryValue,
        bytes: Vec<u8>,
    },
    /// Of another key, damaged, or something else. `bytes` is `None` if the record is not a string.
    Differs {
        key: Option<KeyId>,
        bytes: Option<Vec<u8>>,
    },
}

impl StoredCanary {
    /// A record of another type.
    pub(super) const OTHER_TYPE: Self = Self::Differs {
        key: None,
        bytes: None,
    };

    pub(super) fn state(&self) -> CanaryState {
        match self {
            Self::Absent => CanaryState::Absent,
            Self::Opens { key, .. } => CanaryState::Opens(*key),
            Self::Differs { key, .. } => CanaryState::Differs(*key),
        }
    }

    /// Returns the key of a canary that does not open.
    pub(super) fn foreign_key(&self) -> Option<KeyId> {
        match self {
            Self::Differs { key, .. } => *key,
            Self::Absent | Self::Opens { .. } => None,
        }
    }

    /// Returns true if the key is not the one of the store. One value that opens confirms the key. If none does, values
    /// under unknown keys refute it, and so do many classic ones, which name no key.
    pub(super) fn refutes_key(&self, sample: &Sample) -> bool {
        if sample.opened > 0 {
            return false;
        }
        let unknown = sample.under_unknown_keys();
        let many_classic = sample.classic > MAX_UNOPENABLE;
        // Without a canary, Base64 counts as much, even if classic values are no longer written.
        let base64 = sample.classic + sample.base64;
        // A key that the ring has destroyed, or marked as compromised, does not belong to another store.
        let is_of_ring = sample.named > 0;
        match self {
            // Among plain values, one that looks like a classic one may be plain as well.
            Self::Opens { .. } => {
                !is_of_ring && (unknown >= OUTVOTES || (many_classic && sample.plain == 0))
            }
            Self::Absent => {
                !is_of_ring
                    && (unknown > 0 || base64 > MAX_UNOPENABLE || (base64 > 0 && sample.plain == 0))
            }
            Self::Differs { .. } => true,
        }
    }

    /// Returns the number of values of users without keys, if they are many and nothing else can confirm the keys. Then
    /// the keys of these users are in another store, or the keyring is another one.
    pub(super) fn users_without_keys(&self, sample: &Sample) -> Option<usize> {
        let nothing_else = sample.opened + sample.named + sample.plain == 0;
        let is_absent = matches!(self, Self::Absent);
        (is_absent && nothing_else && sample.unknown_users > MAX_UNOPENABLE)
            .then_some(sample.unknown_users)
    }
}
