//! How a sweep goes about its work, where it starts, and how it is told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::tally::Tally;

/// How a sweep goes about its work.
#[derive(Clone, Debug)]
pub struct SweepOptions {
    /// Judge everything and replace nothing.
    pub dry_run: bool,
    /// At most so many values a second, on average; a record with many values is not cut in parts.
    pub max_rate: Option<u32>,
    /// Slow down while the store lets another client wait longer than this.
    pub max_latency: Option<Duration>,
    /// About how many records are read at a time. Memory grows with it.
    pub batch: usize,
    /// How long a store that went away, or fails at every try, is waited for.
    pub reconnect_timeout: Duration,
}

/// About so many bytes of values are read at a time.
pub(crate) const BATCH_BYTES: u64 = 8 << 20;

impl SweepOptions {
    /// How many records to ask for at a time. A low rate is kept by small batches: large ones would
    /// be rushes with long pauses in between.
    /// Large values come in small batches as well, so that memory is bounded: `mean` is the mean size
    /// of the values that were read last.
    pub(crate) fn page(&self, mean: u64) -> usize {
        let in_a_moment = self
            .max_rate
            .and_then(|rate| usize::try_from(rate / 10).ok());
        let in_memory = usize::try_from(BATCH_BYTES / mean.max(1));
        self.batch
            .min(in_a_moment.unwrap_or(usize::MAX))
            .min(in_memory.unwrap_or(usize::MAX))
            .max(1)
    }
}

impl Default for SweepOptions {
    /// No limit on the rate, 50 ms of latency, batches of 500, a minute of reconnect_timeout.
    fn default() -> Self {
        Self {
            dry_run: false,
            max_rate: None,
            max_latency: Some(Duration::from_millis(50)),
            batch: 500,
            reconnect_timeout: Duration::from_secs(60),
        }
    }
}

/// Up to where everything is done. Kept in a checkpoint, it lets another sweep go on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The store's generation; in another one the cursor means nothing.
    pub generation: String,
    /// Where the scan goes on; empty at the start, and at the end.
    pub cursor: String,
    /// Whether the scan went to its end. From here a sweep has nothing to do.
    #[serde(default)]
    pub finished: bool,
    /// Records looked at so far, about.
    pub examined: u64,
    /// What has been counted so far, each value once.
    pub tally: Tally,
    /// How many values are counted as replaced that the scan will come to once more. It meets them
    /// as already done.
    #[serde(default)]
    pub(crate) carried: u64,
}

impl Position {
    /// What has been counted, each value once however often the scan had to start again.
    #[must_use]
    pub fn counts(&self) -> Tally {
        self.tally.clone()
    }

    /// Counts what a batch came to. Values that were counted before are among those that it found
    /// already done.
    pub(crate) fn count(&mut self, mut tally: Tally) {
        let met = self.carried.min(tally.already);
        self.carried -= met;
        tally.already -= met;
        tally.total -= met;
        self.tally.add(tally);
    }

    /// Counts values that were replaced behind this position.
    pub(crate) fn carry(&mut self, done: u64) {
        self.tally.total += done;
        self.tally.done += done;
        self.carried += done;
    }

    /// Starts again in another generation of the store. What was replaced stays counted.
    pub(crate) fn start_again(&mut self, generation: String, dry_run: bool) {
        let done = if dry_run { 0 } else { self.tally.done };
        *self = Self {
            generation,
            ..Self::default()
        };
        self.carry(done);
    }
}

/// Tells a sweep from outside to stop after what it has begun.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Stops the sweep soon.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was told to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_values_are_read_in_small_batches() {
        let options = SweepOptions::default();
        assert_eq!(options.page(0), 500);
        assert_eq!(options.page(800), 500);
        assert_eq!(options.page(1 << 20), 8);
        assert_eq!(options.page(1 << 29), 1);
    }

    #[test]
    fn starting_again_counts_no_value_twice() {
        let mut position = Position {
            tally: Tally {
                total: 30,
                done: 28,
                already: 2,
                ..Tally::default()
            },
            ..Position::default()
        };
        position.start_again("b".to_owned(), false);
        // The second scan meets the 28 again, the two, and twelve new ones.
        for (total, done, already) in [(10, 2, 8), (32, 10, 22)] {
            position.count(Tally {
                total,
                done,
                already,
                ..Tally::default()
            });
        }
        let counts = position.counts();
        assert_eq!((counts.total, counts.done, counts.already), (42, 40, 2));
    }

    #[test]
    fn a_dry_run_that_starts_again_has_replaced_nothing() {
        let tally = Tally {
            total: 30,
            done: 30,
            ..Tally::default()
        };
        let mut position = Position::default();
        position.count(tally.clone());
        position.start_again("b".to_owned(), true);
        position.count(tally.clone());
        assert_eq!(position.counts(), tally);
    }
}
