//! The clock of a process, compared with that of the server that holds the ring.
//!
//! Times in the document decide about keys. A process whose clock is far ahead would destroy keys too early, and
//! publish keys that stay pending until its own time comes. Without a server to compare with, as for a file, only
//! the times in the document are checked (`ring/times`).

use std::fmt;
use std::time::Duration;

/// Clocks that differ by more than this are logged.
pub const MAX_UNNOTICED_OFFSET: Duration = Duration::from_secs(60);
/// A process whose clock differs from the server's by more than this changes no keys.
pub const MAX_OFFSET: Duration = Duration::from_secs(3600);

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// The difference between this process's clock and the server's, in milliseconds: positive if this one is
/// ahead, negative if it is behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClockOffset(pub i64);

impl ClockOffset {
    /// The offset for a server that reported `server_ms` to a request which was sent at `asked_ms` and answered at
    /// `answered_ms` by this process's clock. A difference that the round trip may explain does not count.
    #[must_use]
    pub fn from_round_trip(asked_ms: u64, server_ms: u64, answered_ms: u64) -> Self {
        let behind = server_ms.saturating_sub(answered_ms.max(asked_ms));
        let ahead = asked_ms.min(answered_ms).saturating_sub(server_ms);
        let signed = |ms| i64::try_from(ms).unwrap_or(i64::MAX);
        Self(signed(ahead).saturating_sub(signed(behind)))
    }

    /// True if keys may be changed by this clock.
    #[must_use]
    pub fn is_usable(self) -> bool {
        self.0.unsigned_abs() <= millis(MAX_OFFSET)
    }

    /// True if an operator should know about it.
    #[must_use]
    pub fn is_notable(self) -> bool {
        self.0.unsigned_abs() > millis(MAX_UNNOTICED_OFFSET)
    }

    /// The server's time at this moment of this process's clock.
    #[must_use]
    pub fn server_ms(self, own_ms: u64) -> u64 {
        own_ms.saturating_add_signed(self.0.saturating_neg())
    }
}

impl fmt::Display for ClockOffset {
    /// The middle of "the clock is … that of the server".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = if self.0 < 0 { "behind" } else { "ahead of" };
        write!(f, "{} {direction}", rounded(self.0.unsigned_abs()))
    }
}

/// A duration for messages: rounded, in its largest unit.
fn rounded(ms: u64) -> String {
    let (unit_ms, unit) = match ms {
        0..MINUTE => (SECOND, "second"),
        MINUTE..HOUR => (MINUTE, "minute"),
        HOUR..DAY => (HOUR, "hour"),
        DAY.. => (DAY, "day"),
    };
    let count = ms.saturating_add(unit_ms / 2) / unit_ms;
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_that_the_round_trip_may_explain_is_not_an_offset() {
        assert_eq!(ClockOffset::from_round_trip(1_000, 1_500, 2_000).0, 0);
        assert_eq!(ClockOffset::from_round_trip(1_000, 900, 2_000).0, 100);
        assert_eq!(ClockOffset::from_round_trip(1_000, 2_300, 2_000).0, -300);
        // The clock was set during the round trip.
        assert_eq!(ClockOffset::from_round_trip(9_000, 5_000, 1_000).0, 0);
        assert_eq!(ClockOffset(300).server_ms(1_000), 700);
        assert_eq!(ClockOffset(-300).server_ms(1_000), 1_300);
    }

    #[test]
    fn an_offset_is_shown_in_its_largest_unit() {
        let day = i64::try_from(DAY).unwrap();
        assert_eq!(ClockOffset(400 * day).to_string(), "400 days ahead of");
        assert_eq!(ClockOffset(400 * day - 3).to_string(), "400 days ahead of");
        assert_eq!(ClockOffset(-day).to_string(), "1 day behind");
        assert_eq!(ClockOffset(61_000).to_string(), "1 minute ahead of");
        assert!(ClockOffset(3_600_000).is_usable());
        assert!(!ClockOffset(-3_600_001).is_usable());
        assert!(!ClockOffset(60_000).is_notable());
    }
}
