//! A maximum of lines in a period.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A maximum of lines in a period. Events beyond it are suppressed and counted.
///
/// A period begins with the first event that is admitted after the end of the one before.
#[derive(Debug)]
pub struct LineLimit {
    max_lines: u64,
    period: Duration,
    /// The start of the current period and the lines written in it.
    current: Option<(Instant, u64)>,
    suppressed: u64,
}

impl LineLimit {
    /// Creates a limit of `max_lines` in each `period`.
    #[must_use]
    pub const fn new(max_lines: u64, period: Duration) -> Self {
        Self {
            max_lines,
            period,
            current: None,
            suppressed: 0,
        }
    }

    /// Counts one event. Returns `None` if it is suppressed, or else the number of events that were suppressed before
    /// it and have not been reported.
    pub fn admit(&mut self, now: Instant) -> Option<u64> {
        if !self.has_room(now) {
            self.suppress();
            return None;
        }
        let suppressed = match self.current {
            Some((start, written)) if !self.is_over(start, now) => {
                self.current = Some((start, written.saturating_add(1)));
                0
            }
            _ => self.report_suppressed(now),
        };
        Some(suppressed)
    }

    /// True if an event at this moment would be admitted.
    #[must_use]
    pub fn has_room(&self, now: Instant) -> bool {
        self.current
            .is_none_or(|(start, written)| written < self.max_lines || self.is_over(start, now))
    }

    /// Counts one event that the caller suppresses for a reason of its own.
    pub fn suppress(&mut self) {
        self.suppressed = self.suppressed.saturating_add(1);
    }

    /// The number of suppressed events that have not been reported.
    #[must_use]
    pub fn suppressed(&self) -> u64 {
        self.suppressed
    }

    /// The age of the current period.
    #[must_use]
    pub fn age(&self, now: Instant) -> Option<Duration> {
        self.current
            .map(|(start, _)| now.saturating_duration_since(start))
    }

    /// Begins a new period with a line that reports the suppressed events, and returns their number.
    pub fn report_suppressed(&mut self, now: Instant) -> u64 {
        self.current = Some((now, 1));
        std::mem::take(&mut self.suppressed)
    }

    fn is_over(&self, start: Instant, now: Instant) -> bool {
        now.saturating_duration_since(start) >= self.period
    }
}

/// A [`LineLimit`] for several threads.
#[derive(Debug)]
pub struct SharedLineLimit(Mutex<LineLimit>);

impl SharedLineLimit {
    /// Creates a limit of `max_lines` in each `period`.
    #[must_use]
    pub const fn new(max_lines: u64, period: Duration) -> Self {
        Self(Mutex::new(LineLimit::new(max_lines, period)))
    }

    /// Counts one event of this moment, as [`LineLimit::admit`] does.
    pub fn admit(&self) -> Option<u64> {
        let mut limit = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        limit.admit(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suppressed_events_are_reported_with_the_first_line_of_the_next_period() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut limit = LineLimit::new(2, Duration::from_secs(10));
        assert_eq!((limit.admit(start), limit.admit(at(1))), (Some(0), Some(0)));
        assert_eq!((limit.admit(at(2)), limit.admit(at(9))), (None, None));
        assert_eq!(limit.suppressed(), 2);
        assert_eq!((limit.admit(at(11)), limit.suppressed()), (Some(2), 0));
        assert_eq!((limit.admit(at(12)), limit.admit(at(13))), (Some(0), None));
        assert_eq!(limit.age(at(15)), Some(Duration::from_secs(4)));
        assert_eq!(limit.report_suppressed(at(22)), 1);
        assert_eq!((limit.admit(at(23)), limit.admit(at(24))), (Some(0), None));
    }

    #[test]
    fn a_period_is_over_as_soon_as_it_has_passed() {
        let (start, period) = (Instant::now(), Duration::from_secs(10));
        let mut limit = LineLimit::new(1, period);
        assert_eq!(limit.admit(start), Some(0));
        let last = start + period - Duration::from_nanos(1);
        assert!(!limit.has_room(last));
        assert_eq!(limit.admit(last), None);
        assert!(limit.has_room(start + period));
        assert_eq!(limit.admit(start + period), Some(1));
    }

    #[test]
    fn events_that_the_caller_suppresses_are_reported_as_well() {
        let start = Instant::now();
        let mut limit = LineLimit::new(1, Duration::from_secs(10));
        assert!(limit.has_room(start));
        limit.suppress();
        assert_eq!(limit.admit(start), Some(1));
        assert!(!limit.has_room(start));
    }

    #[test]
    fn threads_share_one_limit() {
        let limit = SharedLineLimit::new(3, Duration::from_secs(3600));
        let admitted = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| limit.admit().is_some()))
                .collect();
            let results = threads.into_iter().map(|thread| thread.join().unwrap());
            results.filter(|admitted| *admitted).count()
        });
        assert_eq!(admitted, 3);
    }
}
