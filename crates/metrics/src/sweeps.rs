//! Sweeps: the outcome for each value, progress, and the end of the last one; and values moved to quarantine.

use std::time::{SystemTime, UNIX_EPOCH};

use metrics::{Counter, Gauge};

use crate::handles::{counter, gauge};
use crate::names::{QUARANTINED_VALUES, SWEEP_LAST_RUN, SWEEP_PROGRESS, SWEEP_RECORDS};

/// The outcomes of a sweep, in the order of the label `verdict` in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdicts {
    /// Replaced; in a dry run or an audit: would be replaced.
    pub done: u64,
    /// Already in the wanted form.
    pub already: u64,
    /// Empty.
    pub empty: u64,
    /// Of a user who was erased.
    pub erased: u64,
    /// Changed by another writer first.
    pub raced: u64,
    /// Failed.
    pub failed: u64,
    /// Records of a type whose values cannot be sealed.
    pub skipped: u64,
}

/// Handles for the sweeps of one task.
pub struct SweepMetrics {
    verdicts: [Counter; 7],
    progress: Gauge,
    last_run: Gauge,
}

impl SweepMetrics {
    /// Creates the handles of a task, a value of the label `task`.
    #[must_use]
    pub fn new(task: &'static str) -> Self {
        let labels = [
            "done", "already", "empty", "erased", "raced", "failed", "skipped",
        ];
        Self {
            verdicts: labels.map(|verdict| counter(&SWEEP_RECORDS, &[task, verdict])),
            progress: gauge(&SWEEP_PROGRESS, &[task]),
            last_run: gauge(&SWEEP_LAST_RUN, &[task]),
        }
    }

    /// Counts further outcomes, and sets the progress (0 to 1).
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

    /// Marks the end of a completed sweep.
    pub fn finish(&self) {
        self.progress.set(1.0);
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        self.last_run.set(since.unwrap_or_default().as_secs_f64());
    }
}

/// Creates the counter of values that were moved to quarantine because they could not be opened.
pub fn quarantined_counter() -> Counter {
    counter(&QUARANTINED_VALUES, &[])
}
