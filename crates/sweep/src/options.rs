//! The options of a sweep, the position that it starts from, and the signal to stop it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::tally::Tally;

/// The options of a sweep.
#[derive(Clone, Debug)]
pub struct SweepOptions {
    /// Judge every value, replace none.
    pub dry_run: bool,
    /// The largest number of values a second, on average. A record with many values is not split.
    pub max_rate: Option<u32>,
    /// Slow down while the store's latency is higher than this.
    pub max_latency: Option<Duration>,
    /// The number of records read at a time, about. Memory grows with it.
    pub batch: usize,
    /// Rewrite streams with values that are to be replaced, as copies.
    pub rewrite_streams: bool,
    /// The time to wait for a store that cannot be reached or fails at every attempt.
    pub reconnect_timeout: Duration,
}

/// The bytes of values that are read at a time, about.
pub(crate) const BATCH_BYTES: u64 = 8 << 20;

impl SweepOptions {
    /// The number of records to ask for at a time. A low rate is kept by small batches: large ones would be bursts with
    /// long pauses between them. Large values are read in small batches as well, so that memory is bounded: `mean` is
    /// the mean size of the values that were read last.
    pub(crate) fn page_size(&self, mean: u64) -> usize {
        let by_rate = self
            .max_rate
            .and_then(|rate| usize::try_from(rate / 10).ok());
        let by_memory = usize::try_from(BATCH_BYTES / mean.max(1));
        self.batch
            .min(by_rate.unwrap_or(usize::MAX))
            .min(by_memory.unwrap_or(usize::MAX))
            .max(1)
    }
}

impl Default for SweepOptions {
    /// No limit on the rate, 50 ms of latency, batches of 500, streams left as they are, one minute to reconnect.
    fn default() -> Self {
        Self {
            dry_run: false,
            max_rate: None,
            max_latency: Some(Duration::from_millis(50)),
            batch: 500,
            rewrite_streams: false,
            reconnect_timeout: Duration::from_secs(60),
        }
    }
}

/// The position of a sweep: everything before it is done. Kept in a checkpoint, it lets another sweep continue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The store's generation. In another one the cursor is meaningless.
    pub generation: String,
    /// The cursor of the scan; empty at the start, and at the end.
    pub cursor: String,
    /// True if the scan is finished. From here a sweep has nothing to do.
    #[serde(default)]
    pub finished: bool,
    /// Records examined so far, about.
    pub examined: u64,
    /// The counts so far, each value once.
    pub tally: Tally,
    /// Values counted as replaced that the scan will return again, where they count as already done.
    #[serde(default)]
    pub(crate) carried: u64,
    /// The number of names in the last page. Not in checkpoints.
    #[serde(skip)]
    pub(crate) last_page: u64,
}

impl Position {
    /// The counts, each value once however often the scan had to start again.
    #[must_use]
    pub fn counts(&self) -> Tally {
        self.tally.clone()
    }

    /// Adds the counts of a batch. Values that were counted before are among those that it found already done.
    pub(crate) fn count(&mut self, mut tally: Tally) {
        let repeated = self.carried.min(tally.already);
        self.carried -= repeated;
        tally.already -= repeated;
        tally.total -= repeated;
        self.tally.add(tally);
    }

    /// Counts values that were replaced after this position.
    pub(crate) fn carry(&mut self, done: u64) {
        self.tally.total += done;
        self.tally.done += done;
        self.carried += done;
    }

    /// Starts again in another generation of the store. Replaced values stay counted.
    pub(crate) fn start_again(&mut self, generation: String, dry_run: bool) {
        let done = if dry_run { 0 } else { self.tally.done };
        *self = Self {
            generation,
            ..Self::default()
        };
        self.carry(done);
    }
}

/// A signal to a sweep to stop after the batches that it has begun.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Stops the sweep.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// True if it was told to stop.
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
        assert_eq!(options.page_size(0), 500);
        assert_eq!(options.page_size(800), 500);
        assert_eq!(options.page_size(1 << 20), 8);
        assert_eq!(options.page_size(1 << 29), 1);
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
        // The second scan returns the 28 again, the two, and twelve new ones.
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
