//! Lines about a state that lasts.

use std::time::{Duration, Instant};

/// Decides when a state that lasts is logged: when it begins or changes, and again in each interval while it lasts.
#[derive(Debug)]
pub struct Reminder<T> {
    interval: Duration,
    last: Option<Logged<T>>,
}

/// The state as it was logged last.
#[derive(Debug)]
struct Logged<T> {
    state: T,
    since: Instant,
    at: Instant,
}

impl<T: PartialEq> Reminder<T> {
    /// Creates a reminder for this interval.
    #[must_use]
    pub const fn new(interval: Duration) -> Self {
        Self {
            interval,
            last: None,
        }
    }

    /// Records the current state. Returns true if it is to be logged now.
    pub fn record(&mut self, state: T, now: Instant) -> bool {
        match &mut self.last {
            Some(last) if last.state == state => {
                let is_due = now.saturating_duration_since(last.at) >= self.interval;
                if is_due {
                    last.at = now;
                }
                is_due
            }
            last => {
                *last = Some(Logged {
                    state,
                    since: now,
                    at: now,
                });
                true
            }
        }
    }

    /// Records that the state has ended. Returns true if it had been logged, so that its end is worth a line.
    pub fn clear(&mut self) -> bool {
        self.last.take().is_some()
    }

    /// The current state and the time at which it began.
    #[must_use]
    pub fn state(&self) -> Option<(&T, Instant)> {
        self.last.as_ref().map(|last| (&last.state, last.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_logged_when_it_begins_and_changes_and_in_each_interval() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut reminder = Reminder::new(Duration::from_secs(10));
        assert!(!reminder.clear());
        assert!(reminder.record("a", start));
        assert!(!reminder.record("a", at(9)));
        assert!(reminder.record("a", at(10)));
        assert!(!reminder.record("a", at(19)));
        assert_eq!(reminder.state(), Some((&"a", start)));
        assert!(reminder.record("b", at(19)));
        assert_eq!(reminder.state(), Some((&"b", at(19))));
        assert!(reminder.clear());
        assert_eq!(reminder.state(), None);
        assert!(reminder.record("b", at(20)));
    }
}
