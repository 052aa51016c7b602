//! The pace of a sweep: below the rate that the operator set, and slower while the store is slow for other clients.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use waxseal_stores::RecordStore;

use crate::options::{Stop, SweepOptions};

/// The time between two measurements of the store's latency.
const PROBE_INTERVAL: Duration = Duration::from_millis(50);
const MIN_DELAY: Duration = Duration::from_millis(5);
const MAX_DELAY: Duration = Duration::from_secs(2);
/// The time between two checks whether to stop.
const STOP_INTERVAL: Duration = Duration::from_millis(100);

/// Keeps a sweep within its limits.
pub(crate) struct Pace {
    max_rate: Option<u32>,
    max_latency: Option<Duration>,
    /// The time from which all recorded values are within the rate. Idle time is not made up for.
    due: Instant,
    last_probe: Instant,
    /// The delay before each batch: doubled while the store is slow, halved while it is not.
    delay: Duration,
}

impl Pace {
    pub(crate) fn new(options: &SweepOptions) -> Self {
        let now = Instant::now();
        Self {
            max_rate: options.max_rate,
            max_latency: options.max_latency,
            due: now,
            last_probe: now,
            delay: Duration::ZERO,
        }
    }

    /// Records values that are being worked on.
    pub(crate) fn record(&mut self, values: u64) {
        if let Some(rate) = self.max_rate {
            let span = Duration::from_secs_f64(values as f64 / f64::from(rate.max(1)));
            let from = self.due.max(Instant::now());
            self.due = from.checked_add(span).unwrap_or(from);
        }
    }

    /// True if the sweep is slowed down for other clients.
    pub(crate) fn is_slowed(&self) -> bool {
        !self.delay.is_zero()
    }

    /// Waits until the next batch may start, or the sweep is told to stop. An error of the measurement is ignored: the
    /// next request of the sweep fails as well.
    pub(crate) async fn wait(&mut self, store: &dyn RecordStore, stop: &Stop) {
        if let Some(limit) = self.max_latency
            && self.last_probe.elapsed() >= PROBE_INTERVAL
        {
            let asked = Instant::now();
            if store.ping().await.is_ok() {
                self.adjust(asked.elapsed() > limit);
            }
            self.last_probe = Instant::now();
        }
        sleep_unless_stopped(self.delay.max(self.until_due()), stop).await;
    }

    fn adjust(&mut self, slow: bool) {
        self.delay = if slow {
            (self.delay * 2).clamp(MIN_DELAY, MAX_DELAY)
        } else if self.delay <= MIN_DELAY {
            Duration::ZERO
        } else {
            self.delay / 2
        };
    }

    /// The time until all recorded values are within the rate.
    fn until_due(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }
}

/// Sleeps for this long, or until the sweep is told to stop.
pub(crate) async fn sleep_unless_stopped(span: Duration, stop: &Stop) {
    let started = Instant::now();
    while !stop.is_stopped() {
        let left = span.saturating_sub(started.elapsed());
        if left.is_zero() {
            break;
        }
        sleep(left.min(STOP_INTERVAL)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_doubles_while_the_store_is_slow_and_ends_when_it_is_not() {
        let mut pace = Pace::new(&SweepOptions::default());
        assert!(!pace.is_slowed());
        (0..20).for_each(|_| pace.adjust(true));
        assert_eq!(pace.delay, MAX_DELAY);
        (0..20).for_each(|_| pace.adjust(false));
        assert!(!pace.is_slowed());
    }

    #[test]
    fn a_rate_takes_time_in_proportion_to_the_values() {
        let options = SweepOptions {
            max_rate: Some(100),
            ..SweepOptions::default()
        };
        let mut pace = Pace::new(&options);
        pace.record(1_000);
        let due = pace.until_due();
        assert!(
            due > Duration::from_secs(9) && due <= Duration::from_secs(10),
            "{due:?}"
        );
    }
}
