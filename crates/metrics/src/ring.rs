//! Keys: the state of a keyring, who was asked to wrap and unwrap, and the cache of users' keys. Knows no
//! key, no id and no user: numbers and the words of the table.

use std::time::Duration;

use metrics::{Counter, Gauge};

use crate::handles::{counter, gauge, histogram};
use crate::names::{
    CUSTODIAN_CALL_DURATION, CUSTODIAN_CALLS, CUSTODIAN_THREADS_HUNG, KEYRING_CLOCK_OFFSET,
    KEYRING_KEYS, KEYRING_NEXT_STEP, KEYRING_SEALING_AGE, KEYRING_TROUBLE, KEYRING_VERSION,
    USER_KEY_CACHE_ENTRIES, USER_KEY_CACHE_LOOKUPS,
};

/// What is known about a keyring at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RingState {
    /// The version of its document.
    pub version: u64,
    /// For how long its sealing key has sealed.
    pub sealing_age: Duration,
    /// Until the next step of the exchange of its sealing key; `None` where none is to come.
    pub next_step: Option<Duration>,
    /// How many keys are in each state, by the word of the state.
    pub keys: Vec<(&'static str, usize)>,
    /// Whether something is wrong with the document.
    pub degraded: bool,
    /// How many milliseconds the clock is ahead of the server's; `None` where there is none to compare with.
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
    /// The handles. Made once.
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

    /// The keyring is like this now.
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
        for (word, count) in &state.keys {
            let count = u32::try_from(*count).unwrap_or(u32::MAX);
            gauge(&KEYRING_KEYS, &[word]).set(f64::from(count));
        }
    }
}

/// Records a call of a custodian: the operation (`wrap`, `unwrap`, `rewrap`) and its outcome. Too rare to
/// keep a handle.
pub fn record_custodian_call(
    scheme: &'static str,
    operation: &'static str,
    outcome: &'static str,
    took: Duration,
) {
    counter(&CUSTODIAN_CALLS, &[scheme, operation, outcome]).increment(1);
    histogram(&CUSTODIAN_CALL_DURATION, &[scheme, operation]).record(took.as_secs_f64());
}

/// So many threads wait for modules that do not answer.
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
    /// The handles. Made once for each cache.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it registers with the recorder")]
    pub fn new() -> Self {
        Self {
            hits: counter(&USER_KEY_CACHE_LOOKUPS, &["hit"]),
            misses: counter(&USER_KEY_CACHE_LOOKUPS, &["miss"]),
            entries: gauge(&USER_KEY_CACHE_ENTRIES, &[]),
        }
    }

    /// A user was looked up.
    pub fn record_lookup(&self, found: bool) {
        let counter = if found { &self.hits } else { &self.misses };
        counter.increment(1);
    }

    /// It holds so many users.
    pub fn set_entries(&self, users: usize) {
        self.entries
            .set(f64::from(u32::try_from(users).unwrap_or(u32::MAX)));
    }
}
