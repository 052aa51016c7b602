//! The settings of a ring's rotation. They are part of the document, so all processes that share a ring
//! use the same ones.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::ChangeError;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The schedule of key rotation. All times in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The age at which the sealing key is rotated; `null`: only by an operator.
    pub every_ms: Option<u64>,
    /// The number of values sealed under one key, by all processes together, at which it is rotated.
    pub seals: u64,
    /// The time between the publication of a new key and its first use for sealing.
    pub propagation_ms: u64,
    /// The interval at which a process polls for a newer document.
    pub refresh_ms: u64,
    /// The time for which a key under which nothing is found any more is retained.
    #[serde(rename = "rest_ms")]
    pub retention_ms: u64,
}

impl Default for Settings {
    /// A new key every 90 days or 2^32 values, published 2 hours before it seals; a poll of the document
    /// every minute; unused keys are retained for 7 days.
    fn default() -> Self {
        Self {
            every_ms: Some(90 * DAY),
            seals: 1 << 32,
            propagation_ms: 2 * HOUR,
            refresh_ms: MINUTE,
            retention_ms: 7 * DAY,
        }
    }
}

impl Settings {
    /// Returns the settings if no value can be lost under them.
    pub fn checked(self) -> Result<Self, ChangeError> {
        let refused = |why| Err(ChangeError::Settings(why));
        if self.refresh_ms == 0 {
            return refused("the refresh interval cannot be 0");
        }
        if self.propagation_ms < self.refresh_ms.saturating_mul(2) {
            return refused("the propagation delay must be at least twice the refresh interval");
        }
        if self.retention_ms < self.propagation_ms {
            return refused("an unused key must be kept at least as long as the propagation delay");
        }
        if self
            .every_ms
            .is_some_and(|every| every < self.propagation_ms.saturating_mul(2))
        {
            return refused("keys cannot be rotated more often than every two propagation delays");
        }
        if self.seals == 0 {
            return refused("the number of values under one key cannot be 0");
        }
        Ok(self)
    }

    /// The interval at which a process polls for a newer document.
    #[must_use]
    pub fn refresh(&self) -> Duration {
        Duration::from_millis(self.refresh_ms)
    }

    /// The time between the publication of a new key and its first use for sealing.
    #[must_use]
    pub fn propagation(&self) -> Duration {
        Duration::from_millis(self.propagation_ms)
    }

    /// The time for which an unused key is retained.
    #[must_use]
    pub fn retention(&self) -> Duration {
        Duration::from_millis(self.retention_ms)
    }

    /// The time after a change of the sealing key in which a process may still seal under the old one.
    #[must_use]
    pub fn settling_ms(&self) -> u64 {
        self.propagation_ms.max(self.refresh_ms.saturating_mul(2))
    }

    /// True if a ring that was confirmed so long ago (`None`: never) can seal without another poll.
    #[must_use]
    pub fn is_confirmed(&self, silent_ms: Option<u64>) -> bool {
        silent_ms.is_some_and(|silent| silent <= self.propagation_ms)
    }

    /// True if a ring that was confirmed so long ago (`None`: never) may have lost its sealing key. Then
    /// nothing may be sealed under it.
    #[must_use]
    pub fn is_lapsed(&self, silent_ms: Option<u64>) -> bool {
        silent_ms.is_none_or(|silent| silent >= self.retention_ms)
    }
}
