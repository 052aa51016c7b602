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
    /// At most so many values a second.
    pub max_rate: Option<u32>,
    /// Slow down while the store lets another client wait longer than this.
    pub max_latency: Option<Duration>,
    /// About how many records are read at a time. Memory grows with it.
    pub batch: usize,
    /// How long a store that went away is waited for.
    pub patience: Duration,
}

impl Default for SweepOptions {
    /// No limit on the rate, 50 ms of latency, batches of 500, a minute of patience.
    fn default() -> Self {
        Self {
            dry_run: false,
            max_rate: None,
            max_latency: Some(Duration::from_millis(50)),
            batch: 500,
            patience: Duration::from_secs(60),
        }
    }
}

/// Up to where everything is done. Kept in a checkpoint, it lets another sweep go on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The store's generation; in another one the cursor means nothing.
    pub generation: String,
    /// Where the scan goes on; empty: at the start.
    pub cursor: String,
    /// Records looked at so far, about.
    pub examined: u64,
    /// What has been counted so far.
    pub tally: Tally,
    /// How many values were replaced before the scan had to start again. This scan meets them as
    /// already done.
    #[serde(default)]
    pub(crate) carried: u64,
}

impl Position {
    /// What has been counted, each value once however often the scan had to start again.
    #[must_use]
    pub fn counts(&self) -> Tally {
        let mut tally = self.tally.clone();
        let met = self.carried.min(tally.already);
        tally.already -= met;
        // Those that were not met again have expired since; they were there.
        tally.total += self.carried - met;
        tally
    }

    /// Starts again in another generation of the store. What was replaced stays counted.
    pub(crate) fn start_again(&mut self, generation: String, dry_run: bool) {
        let done = if dry_run { 0 } else { self.tally.done };
        let tally = Tally {
            done,
            ..Tally::default()
        };
        *self = Self {
            generation,
            cursor: String::new(),
            examined: 0,
            tally,
            carried: done,
        };
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
        // The second scan meets 25 of the 28 again (three expired), the two, and twelve new ones.
        position.tally.add(Tally {
            total: 39,
            done: 12,
            already: 27,
            ..Tally::default()
        });
        let counts = position.counts();
        assert_eq!((counts.total, counts.done, counts.already), (42, 40, 0));
    }
}
