//! Bounds on lines of the log, so that a flood of events neither fills the disk nor hides others: so many lines
//! in a period, and how many events had none; and for each pattern a line once in an interval. What is logged is
//! not known here.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use waxseal_policy::PatternId;

/// At most so many lines in a period. Events without a line are counted.
pub struct LineLimit {
    lines: u64,
    period: Duration,
    /// The start of the period, and the lines that it has.
    current: Option<(Instant, u64)>,
    left_out: u64,
}

impl LineLimit {
    /// So many lines in such a period.
    #[must_use]
    pub fn new(lines: u64, period: Duration) -> Self {
        Self {
            lines,
            period,
            current: None,
            left_out: 0,
        }
    }

    /// One more event. With a line: how many events before it had none, and were not told of yet.
    pub fn admit(&mut self, now: Instant) -> Option<u64> {
        if !self.is_open(now) {
            self.leave_out();
            return None;
        }
        let written = match self.current {
            Some((start, written)) if !self.is_over(start, now) => {
                self.current = Some((start, written.saturating_add(1)));
                0
            }
            _ => {
                self.current = Some((now, 1));
                std::mem::take(&mut self.left_out)
            }
        };
        Some(written)
    }

    /// An event of this moment would have a line.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        self.current
            .is_none_or(|(start, written)| written < self.lines || self.is_over(start, now))
    }

    /// One more event, without a line.
    pub(crate) fn leave_out(&mut self) {
        self.left_out = self.left_out.saturating_add(1);
    }

    /// Events that had no line and were not told of yet.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// The age of the period.
    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        self.current
            .map(|(start, _)| now.saturating_duration_since(start))
    }

    /// A line tells of the events that had none: another period begins with it.
    pub(crate) fn tell_left_out(&mut self, now: Instant) -> u64 {
        self.current = Some((now, 1));
        std::mem::take(&mut self.left_out)
    }

    fn is_over(&self, start: Instant, now: Instant) -> bool {
        now.saturating_duration_since(start) > self.period
    }
}

/// For each pattern, when something is due again: seconds from the start.
pub(crate) struct Intervals {
    start: Instant,
    next: Vec<AtomicU64>,
}

impl Intervals {
    /// For so many patterns.
    pub(crate) fn new(patterns: usize) -> Self {
        Self {
            start: Instant::now(),
            next: (0..patterns).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Returns whether something is due for this pattern, of which `false` is then said for so long.
    pub(crate) fn is_due(&self, pattern: PatternId, interval: Duration) -> bool {
        let Some(next) = self.next.get(pattern.index()) else {
            return false;
        };
        let now = self.start.elapsed().as_secs();
        let due = next.load(Ordering::Relaxed);
        let after = now.saturating_add(interval.as_secs());
        // Of several threads one tells.
        now >= due
            && next
                .compare_exchange(due, after, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Returns whether it is time for this pattern.
    pub(crate) fn has_come(&self, pattern: PatternId) -> bool {
        let next = self.next.get(pattern.index());
        next.is_some_and(|next| self.start.elapsed().as_secs() >= next.load(Ordering::Relaxed))
    }

    /// It is not before so much time has passed.
    pub(crate) fn postpone(&self, pattern: PatternId, by: Duration) {
        if let Some(next) = self.next.get(pattern.index()) {
            let then = self
                .start
                .elapsed()
                .saturating_add(by)
                .as_secs()
                .saturating_add(1);
            next.store(then, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use waxseal_policy::{ProtectedNames, RecordPattern};

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(60);

    #[test]
    fn each_pattern_is_told_of_once_in_a_while() {
        let parse = |text| RecordPattern::parse(text).unwrap();
        let names = ProtectedNames::new(vec![parse("wa:*"), parse("sess:*")]);
        let reads = Intervals::new(2);
        for (id, _) in names.iter() {
            assert!(reads.is_due(id, INTERVAL));
            assert!(!reads.is_due(id, INTERVAL));
        }
    }

    #[test]
    fn events_beyond_the_lines_of_a_period_are_told_of_with_the_next_line() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut limit = LineLimit::new(2, Duration::from_secs(10));
        assert_eq!((limit.admit(start), limit.admit(at(1))), (Some(0), Some(0)));
        assert_eq!((limit.admit(at(2)), limit.admit(at(10))), (None, None));
        assert_eq!(limit.left_out(), 2);
        assert_eq!((limit.admit(at(11)), limit.left_out()), (Some(2), 0));
        assert_eq!((limit.admit(at(12)), limit.admit(at(13))), (Some(0), None));
        assert_eq!(limit.age(at(15)), Some(Duration::from_secs(4)));
        assert_eq!(limit.tell_left_out(at(22)), 1);
        assert_eq!((limit.admit(at(23)), limit.admit(at(24))), (Some(0), None));
    }
}
