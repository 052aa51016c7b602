//! How fast a sweep may go: below a rate that the operator set, and slower while the store lets
//! other clients wait.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use waxseal_stores::RecordStore;

use crate::options::{Stop, SweepOptions};

/// How often the store's latency is measured.
const PROBE_EVERY: Duration = Duration::from_millis(50);
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How often a sweep that waits looks whether it was told to stop.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Keeps a sweep to its limits.
pub(crate) struct Pace {
    max_rate: Option<u32>,
    max_latency: Option<Duration>,
    /// From when on all that was noted is within the rate. Time in which nothing could be done is
    /// not made up for.
    due: Instant,
    last_probe: Instant,
    /// The pause before each batch; doubled while the store is slow, halved when it is not.
    pause: Duration,
}

impl Pace {
    pub(crate) fn new(options: &SweepOptions) -> Self {
        let now = Instant::now();
        Self {
            max_rate: options.max_rate,
            max_latency: options.max_latency,
            due: now,
            last_probe: now,
            pause: Duration::ZERO,
        }
    }

    /// Notes that so many values are on their way.
    pub(crate) fn note(&mut self, values: u64) {
        if let Some(rate) = self.max_rate {
            let span = Duration::from_secs_f64(values as f64 / f64::from(rate.max(1)));
            let from = self.due.max(Instant::now());
            self.due = from.checked_add(span).unwrap_or(from);
        }
    }

    /// Whether the sweep is being slowed down for the sake of other clients.
    pub(crate) fn is_slowed(&self) -> bool {
        !self.pause.is_zero()
    }

    /// Waits until the next batch may start, or the sweep is told to stop. An error of the probe is
    /// left to the work itself.
    pub(crate) async fn wait(&mut self, store: &dyn RecordStore, stop: &Stop) {
        if let Some(limit) = self.max_latency
            && self.last_probe.elapsed() >= PROBE_EVERY
        {
            let asked = Instant::now();
            if store.ping().await.is_ok() {
                self.adjust(asked.elapsed() > limit);
            }
            self.last_probe = Instant::now();
        }
        pause(self.pause.max(self.until_due()), stop).await;
    }

    fn adjust(&mut self, slow: bool) {
        self.pause = if slow {
            (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE)
        } else if self.pause <= FIRST_PAUSE {
            Duration::ZERO
        } else {
            self.pause / 2
        };
    }

    /// How long until what was noted is within the rate.
    fn until_due(&self) -> Duration {
        self.due.saturating_duration_since(Instant::now())
    }
}

/// Sleeps for so long, or until the sweep is told to stop.
pub(crate) async fn pause(span: Duration, stop: &Stop) {
    let started = Instant::now();
    while !stop.is_stopped() {
        let left = span.saturating_sub(started.elapsed());
        if left.is_zero() {
            break;
        }
        sleep(left.min(LOOK_EVERY)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_while_the_store_is_slow_and_goes_away_when_it_is_not() {
        let mut pace = Pace::new(&SweepOptions::default());
        assert!(!pace.is_slowed());
        (0..20).for_each(|_| pace.adjust(true));
        assert_eq!(pace.pause, LONGEST_PAUSE);
        (0..20).for_each(|_| pace.adjust(false));
        assert!(!pace.is_slowed());
    }

    #[test]
    fn a_rate_asks_for_time_in_proportion_to_the_values() {
        let options = SweepOptions {
            max_rate: Some(100),
            ..SweepOptions::default()
        };
        let mut pace = Pace::new(&options);
        pace.note(1_000);
        let due = pace.until_due();
        assert!(
            due > Duration::from_secs(9) && due <= Duration::from_secs(10),
            "{due:?}"
        );
    }
}
