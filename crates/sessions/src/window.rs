//! The guard against mass failure: a single damaged record is moved to quarantine; after a bad deployment nothing is. It
//! counts the results of the last opens, and knows neither records nor keys.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

/// The number of opens that are remembered.
const WINDOW: u32 = 20;
/// With more failures than this among them, nothing is moved to quarantine until the process restarts.
const MAX_FAILURES: u32 = 5;
/// Failed values that are remembered because they stay where they are.
const MAX_LEFT: usize = 64;

/// The results of the last opens.
#[derive(Default)]
pub(crate) struct Window(Mutex<Outcomes>);

#[derive(Default)]
struct Outcomes {
    /// One bit for each open, the newest lowest, set if it failed.
    last: u32,
    tripped: bool,
    /// Hashes of the last values that failed and stayed where they are, so that they are read again.
    left: VecDeque<u64>,
    hasher: RandomState,
}

impl Window {
    pub(crate) fn record_success(&self) {
        self.record(0);
    }

    /// Records a failure. Returns true if values may still be moved to quarantine.
    pub(crate) fn record_failure(&self) -> bool {
        !self.record(1)
    }

    /// Records the failure of a value that stays where it is: only once, however often it is read. Returns true as
    /// [`record_failure`](Self::record_failure) does.
    pub(crate) fn record_lasting_failure(&self, stored: &[u8]) -> bool {
        {
            let mut outcomes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let hash = outcomes.hasher.hash_one(stored);
            if outcomes.left.contains(&hash) {
                return !outcomes.tripped;
            }
            outcomes.left.push_back(hash);
            if outcomes.left.len() > MAX_LEFT {
                outcomes.left.pop_front();
            }
        }
        self.record_failure()
    }

    fn record(&self, failure: u32) -> bool {
        let mut outcomes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.last = (outcomes.last << 1 | failure) & ((1 << WINDOW) - 1);
        outcomes.tripped |= outcomes.last.count_ones() > MAX_FAILURES;
        outcomes.tripped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_failure_among_twenty_opens_stops_it_permanently() {
        let window = Window::default();
        for _ in 0..5 {
            assert!(window.record_failure());
            window.record_success();
        }
        assert!(!window.record_failure());
        (0..100).for_each(|_| window.record_success());
        assert!(!window.record_failure());
    }

    #[test]
    fn a_value_that_stays_fails_once_and_six_values_stop_it() {
        let window = Window::default();
        for _ in 0..100 {
            for value in 1..=5 {
                assert!(window.record_lasting_failure(&[value]));
            }
        }
        assert!(!window.record_lasting_failure(&[6]));
        assert!(!window.record_lasting_failure(&[1]));
    }

    #[test]
    fn failures_far_apart_do_not_stop_it() {
        let window = Window::default();
        for _ in 0..50 {
            assert!(window.record_failure());
            (0..4).for_each(|_| window.record_success());
        }
    }
}
