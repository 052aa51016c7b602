//! The settings of a ring's rotation. They lie in the document: all processes that share a ring go by
//! the same ones.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::ChangeError;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// When keys are exchanged, and how much time each step gets. All in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The age at which the sealing key is exchanged; `null`: only when an operator says so.
    pub every_ms: Option<u64>,
    /// The number of values sealed under one key, by all processes together, at which it is exchanged.
    pub seals: u64,
    /// How long a new key is only known before it seals.
    pub propagation_ms: u64,
    /// How often a process looks for a newer document.
    pub refresh_ms: u64,
    /// How long a key under which nothing is found any more is kept.
    #[serde(rename = "rest_ms")]
    pub retention_ms: u64,
}

impl Default for Settings {
    /// A new key every 90 days or 2^32 values, known for 2 hours before it seals; a look at the
    /// document every minute; unused keys are kept for 7 days.
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
    /// The settings, if no value can be lost under them.
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
            return refused(
                "keys cannot be exchanged more often than every two propagation delays",
            );
        }
        if self.seals == 0 {
            return refused("the number of values under one key cannot be 0");
        }
        Ok(self)
    }

    /// How often a process looks for a newer document.
    #[must_use]
    pub fn refresh(&self) -> Duration {
        Duration::from_millis(self.refresh_ms)
    }

    /// How long a new key is only known before it seals.
    #[must_use]
    pub fn propagation(&self) -> Duration {
        Duration::from_millis(self.propagation_ms)
    }

    /// How long an unused key is kept.
    #[must_use]
    pub fn retention(&self) -> Duration {
        Duration::from_millis(self.retention_ms)
    }

    /// How long after a change of the sealing key a process may still seal under the old one.
    #[must_use]
    pub fn settling_ms(&self) -> u64 {
        self.propagation_ms.max(self.refresh_ms.saturating_mul(2))
    }

    /// Whether a ring that was confirmed so long ago (`None`: never) is good for sealing without asking.
    #[must_use]
    pub fn is_confirmed(&self, silent_ms: Option<u64>) -> bool {
        silent_ms.is_some_and(|silent| silent <= self.propagation_ms)
    }

    /// Whether a ring that was confirmed so long ago (`None`: never) may have lost its sealing key: then
    /// nothing may be sealed under it.
    #[must_use]
    pub fn is_lapsed(&self, silent_ms: Option<u64>) -> bool {
        silent_ms.is_none_or(|silent| silent >= self.retention_ms)
    }
}
