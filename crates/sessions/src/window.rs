//! The guard against mass failure: one bad record is moved aside; a bad deployment moves nothing.
//! It counts the last opens and knows nothing of records or keys.

use std::sync::{Mutex, PoisonError};

/// How many opens are remembered.
const OPENS: u32 = 20;
/// More failures than this among them, and nothing is moved aside until the process restarts.
const FAILURES: u32 = 5;

/// The outcomes of the last opens.
#[derive(Default)]
pub(crate) struct Window(Mutex<Outcomes>);

#[derive(Default)]
struct Outcomes {
    /// One bit an open, the newest lowest; set: it failed.
    last: u32,
    tripped: bool,
}

impl Window {
    pub(crate) fn opened(&self) {
        self.note(0);
    }

    /// Notes a failure; whether a value may still be moved aside.
    pub(crate) fn failed(&self) -> bool {
        !self.note(1)
    }

    fn note(&self, failure: u32) -> bool {
        let mut outcomes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.last = (outcomes.last << 1 | failure) & ((1 << OPENS) - 1);
        outcomes.tripped |= outcomes.last.count_ones() > FAILURES;
        outcomes.tripped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sixth_failure_among_twenty_opens_stops_it_for_good() {
        let window = Window::default();
        for _ in 0..5 {
            assert!(window.failed());
            window.opened();
        }
        assert!(!window.failed());
        (0..100).for_each(|_| window.opened());
        assert!(!window.failed());
    }

    #[test]
    fn failures_far_apart_do_not_stop_it() {
        let window = Window::default();
        for _ in 0..50 {
            assert!(window.failed());
            (0..4).for_each(|_| window.opened());
        }
    }
}
