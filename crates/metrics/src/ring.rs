//! The state of a keyring, calls of custodians, and the cache of users' keys. Only numbers and label values of the table
//! are known here.

use std::time::Duration;

use metrics::{Counter, Gauge};

use crate::handles::{counter, gauge, histogram};
use crate::names::{
    CUSTODIAN_CALL_DURATION, CUSTODIAN_CALLS, CUSTODIAN_THREADS_HUNG, KEYRING_CLOCK_OFFSET,
    KEYRING_KEYS, KEYRING_NEXT_STEP, KEYRING_SEALING_AGE, KEYRING_TROUBLE, KEYRING_VERSION,
    USER_KEY_CACHE_ENTRIES, USER_KEY_CACHE_LOOKUPS,
};

/// A keyring at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RingState {
    /// The version of its document.
    pub version: u64,
    /// The time for which its sealing key has been sealing.
    pub sealing_age: Duration,
    /// The time until the next step of its rotation; `None` if no step is planned.
    pub next_step: Option<Duration>,
    /// The number of keys in each state, by the value of the label `state`.
    pub keys: Vec<(&'static str, usize)>,
    /// True if the document cannot be used, so that the last good one is in use.
    pub degraded: bool,
    /// The milliseconds by which this clock is ahead of the server's; `None` without a server to compare with.
    pub clock_offset_ms: Option<i64>,
}

/// Handles for the state of a keyring.
pub struct RingMetrics {
    version: Gauge,
    sealing_age: Gauge,
    next_step: Gauge,
    degraded: Gauge,
}

impl RingMetrics {
    /// Creates the handles.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it registers with the recorder")]
    pub fn new() -> Self {
        Self {
            version: gauge(&KEYRING_VERSION, &[]),
            sealing_age: gauge(&KEYRING_SEALING_AGE, &[]),
            next_step: gauge(&KEYRING_NEXT_STEP, &[]),
            degraded: gauge(&KEYRING_TROUBLE, &[]),
        }
    }

    /// Sets the current state.
    pub fn set(&self, state: &RingState) {
        self.version.set(state.version as f64);
        self.sealing_age.set(state.sealing_age.as_secs_f64());
        let next = state.next_step;
        self.next_step
            .set(next.map_or(f64::INFINITY, |next| next.as_secs_f64()));
        self.degraded.set(f64::from(u8::from(state.degraded)));
        if let Some(offset) = state.clock_offset_ms {
            gauge(&KEYRING_CLOCK_OFFSET, &[]).set(offset as f64 / 1000.0);
        }
        for (key_state, count) in &state.keys {
            let count = u32::try_from(*count).unwrap_or(u32::MAX);
            gauge(&KEYRING_KEYS, &[key_state]).set(f64::from(count));
        }
    }
}

/// Records one call of a custodian: its operation (`wrap`, `unwrap`, `rewrap`), outcome and duration. Calls are so rare
/// that no handle is kept.
pub fn record_custodian_call(
    scheme: &'static str,
    operation: &'static str,
    outcome: &'static str,
    took: Duration,
) {
    counter(&CUSTODIAN_CALLS, &[scheme, operation, outcome]).increment(1);
    histogram(&CUSTODIAN_CALL_DURATION, &[scheme, operation]).record(took.as_secs_f64());
}

/// Sets the number of threads that wait for a module which does not return.
pub fn set_hung_custodian_threads(threads: usize) {
    let threads = u32::try_from(threads).unwrap_or(u32::MAX);
    gauge(&CUSTODIAN_THREADS_HUNG, &[]).set(f64::from(threads));
}

/// Handles for a cache of users' keys.
pub struct CacheMetrics {
    hits: Counter,
    misses: Counter,
    entries: Gauge,
}

impl CacheMetrics {
    /// Creates the handles of one cache.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it registers with the recorder")]
    pub fn new() -> Self {
        Self {
            hits: counter(&USER_KEY_CACHE_LOOKUPS, &["hit"]),
            misses: counter(&USER_KEY_CACHE_LOOKUPS, &["miss"]),
            entries: gauge(&USER_KEY_CACHE_ENTRIES, &[]),
        }
    }

    /// Counts one lookup.
    pub fn record_lookup(&self, found: bool) {
        let counter = if found { &self.hits } else { &self.misses };
        counter.increment(1);
    }

    /// Sets the number of users in the cache.
    pub fn set_entries(&self, users: usize) {
        self.entries
            .set(f64::from(u32::try_from(users).unwrap_or(u32::MAX)));
    }
}
