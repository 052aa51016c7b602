//! The expiries of values, counted in buckets of time: few buckets however many values.

use std::collections::BTreeMap;

/// The largest number of buckets. Beyond it all of them are widened.
const MAX_BUCKETS: usize = 64;
const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// The widths of buckets, each a multiple of the one before. Beyond the last they double.
const WIDTHS: [u64; 6] = [MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, DAY, 7 * DAY];

/// Values by the time of their expiry. The order in which they are counted makes no difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiries {
    width: u64,
    /// By the number of the bucket since the Unix epoch.
    values: BTreeMap<u64, u64>,
}

impl Default for Expiries {
    fn default() -> Self {
        Self {
            width: MINUTE,
            values: BTreeMap::new(),
        }
    }
}

impl Expiries {
    /// The width of each bucket in milliseconds.
    #[must_use]
    pub fn width_ms(&self) -> u64 {
        self.width
    }

    /// The start of each bucket that is not empty (milliseconds since the Unix epoch), and its number of values.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        let width = self.width;
        self.values
            .iter()
            .map(move |(number, values)| (number.saturating_mul(width), *values))
    }

    /// Counts values that expire at this time.
    pub(crate) fn count(&mut self, at_ms: u64, values: u64) {
        *self.values.entry(at_ms / self.width).or_default() += values;
        while self.values.len() > MAX_BUCKETS {
            self.widen(next_width(self.width));
        }
    }

    /// Adds the counts of another pass.
    pub fn add(&mut self, other: &Self) {
        while self.width < other.width {
            self.widen(next_width(self.width));
        }
        for (at, values) in other.buckets() {
            self.count(at, values);
        }
    }

    fn widen(&mut self, width: u64) {
        let old = std::mem::replace(&mut self.width, width);
        for (number, values) in std::mem::take(&mut self.values) {
            let at = number.saturating_mul(old);
            *self.values.entry(at / width).or_default() += values;
        }
    }
}

fn next_width(width: u64) -> u64 {
    let next = WIDTHS.into_iter().find(|next| *next > width);
    next.unwrap_or(width.saturating_mul(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: impl IntoIterator<Item = u64>) -> Expiries {
        let mut expiries = Expiries::default();
        times.into_iter().for_each(|at| expiries.count(at, 1));
        expiries
    }

    #[test]
    fn few_values_are_counted_by_the_minute() {
        let expiries = of([5 * MINUTE, 5 * MINUTE + 1, 90 * DAY]);
        assert_eq!(expiries.width_ms(), MINUTE);
        let buckets: Vec<_> = expiries.buckets().collect();
        assert_eq!(buckets, [(5 * MINUTE, 2), (90 * DAY, 1)]);
    }

    #[test]
    fn many_buckets_are_widened_and_lose_no_value() {
        for (spread, width) in [(MINUTE, HOUR), (HOUR, DAY), (DAY, 14 * DAY)] {
            let expiries = of((0..800).map(|i| i * spread));
            assert_eq!(expiries.width_ms(), width, "{spread}");
            assert!(expiries.buckets().count() <= MAX_BUCKETS);
            assert_eq!(expiries.buckets().map(|(_, n)| n).sum::<u64>(), 800);
        }
        // A single far expiry does not widen the near buckets.
        let far = of((0..40).map(|i| i * MINUTE).chain([u64::MAX]));
        assert_eq!(far.width_ms(), MINUTE);
    }

    #[test]
    fn the_order_of_values_and_passes_makes_no_difference() {
        let times: Vec<_> = (0..3_000_u64).map(|i| i * i * 7_919 % (40 * DAY)).collect();
        let forwards = of(times.iter().copied());
        assert_eq!(forwards, of(times.iter().rev().copied()));
        for split in [1, 1_000, 2_990] {
            let (one, two) = times.split_at(split);
            let (mut one, two) = (of(one.iter().copied()), of(two.iter().copied()));
            let mut other = two.clone();
            other.add(&one);
            one.add(&two);
            assert_eq!(one, forwards);
            assert_eq!(other, forwards);
        }
    }
}
