//! One event of each item in an interval.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// For each of several items the time before which nothing is due, in seconds from the start. Takes no lock.
#[derive(Debug)]
pub struct Intervals {
    start: Instant,
    due: Vec<AtomicU64>,
}

impl Intervals {
    /// Creates the intervals of `items` items, each of which is due at once.
    #[must_use]
    pub fn new(items: usize) -> Self {
        Self {
            start: Instant::now(),
            due: (0..items).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Returns true if the item is due, and then false for the length of `interval`. Of several threads one gets true.
    pub fn claim(&self, item: usize, interval: Duration) -> bool {
        let Some(next) = self.due.get(item) else {
            return false;
        };
        let now = self.start.elapsed().as_secs();
        let due = next.load(Ordering::Relaxed);
        let after = now.saturating_add(interval.as_secs());
        now >= due
            && next
                .compare_exchange(due, after, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// True if the item is due.
    #[must_use]
    pub fn is_due(&self, item: usize) -> bool {
        let due = self.due.get(item);
        due.is_some_and(|due| self.start.elapsed().as_secs() >= due.load(Ordering::Relaxed))
    }

    /// Makes the item due when at least `delay` has passed.
    pub fn postpone(&self, item: usize, delay: Duration) {
        if let Some(due) = self.due.get(item) {
            let then = self.start.elapsed().saturating_add(delay);
            due.store(then.as_secs().saturating_add(1), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(3600);

    #[test]
    fn each_item_is_due_once_in_an_interval() {
        let intervals = Intervals::new(2);
        for item in 0..2 {
            assert!(intervals.claim(item, INTERVAL));
            assert!(!intervals.claim(item, INTERVAL));
        }
        assert!(!intervals.claim(2, INTERVAL) && !intervals.is_due(2));
    }

    #[test]
    fn a_postponed_item_is_not_due() {
        let intervals = Intervals::new(2);
        intervals.postpone(0, INTERVAL);
        assert!(!intervals.is_due(0) && !intervals.claim(0, INTERVAL));
        assert!(intervals.is_due(1));
    }
}
