//! Passes over records: what became of values, how far a pass is, when the last one ended; and values that
//! were moved aside. Knows no record.

use std::time::{SystemTime, UNIX_EPOCH};

use metrics::{Counter, Gauge};

use crate::handles::{counter, gauge};
use crate::names::{QUARANTINED_VALUES, SWEEP_LAST_RUN, SWEEP_PROGRESS, SWEEP_RECORDS};

/// What became of a value in a pass, in the order of its words in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// Replaced; in a dry run or an audit: would have been.
    pub done: u64,
    /// As it shall be already.
    pub already: u64,
    /// Empty.
    pub empty: u64,
    /// Of a user who was erased.
    pub erased: u64,
    /// Changed by another writer first.
    pub raced: u64,
    /// Something is wrong with it.
    pub failed: u64,
    /// Records of a type whose values cannot be sealed.
    pub skipped: u64,
}

/// Handles for the passes of one task.
pub struct SweepMetrics {
    verdicts: [Counter; 7],
    progress: Gauge,
    last_run: Gauge,
}

impl SweepMetrics {
    /// For this task, by its word in the table.
    #[must_use]
    pub fn new(task: &'static str) -> Self {
        let words = [
            "done", "already", "empty", "erased", "raced", "failed", "skipped",
        ];
        Self {
            verdicts: words.map(|verdict| counter(&SWEEP_RECORDS, &[task, verdict])),
            progress: gauge(&SWEEP_PROGRESS, &[task]),
            last_run: gauge(&SWEEP_LAST_RUN, &[task]),
        }
    }

    /// So many more values are done with, and the pass is at this part of the store.
    pub fn advance(&self, verdicts: Verdicts, progress: f64) {
        let Verdicts {
            done,
            already,
            empty,
            erased,
            raced,
            failed,
            skipped,
        } = verdicts;
        let counts = [done, already, empty, erased, raced, failed, skipped];
        for (counter, count) in self.verdicts.iter().zip(counts) {
            counter.increment(count);
        }
        self.progress.set(progress.clamp(0.0, 1.0));
    }

    /// A pass went to its end.
    pub fn finish(&self) {
        self.progress.set(1.0);
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        self.last_run.set(since.unwrap_or_default().as_secs_f64());
    }
}

/// Counts values that were moved aside because they could not be opened.
pub fn quarantined_counter() -> Counter {
    counter(&QUARANTINED_VALUES, &[])
}
