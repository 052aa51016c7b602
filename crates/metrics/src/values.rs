//! Sealed and opened values by result, format and key, and the time it took. Durations are sampled: reading the clock
//! twice for each value would cost as much as all other counting here.

use std::cell::Cell;
use std::thread::LocalKey;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use metrics::{Counter, Histogram};

use crate::handles::{KeyCounters, KeyUses, counter, gauge, histogram};
use crate::hooks::before_snapshot;
use crate::names::{
    KEY_LAST_USE, OPEN_DURATION, OPENS, PLAIN_VALUES, SEAL_DURATION, SEALED_TWICE, SEALS,
};

/// One of this many values of a thread is timed.
const SAMPLE_INTERVAL: u8 = 16;

thread_local! {
    static SEALED: Cell<u8> = const { Cell::new(0) };
    static OPENED: Cell<u8> = const { Cell::new(0) };
}

/// The format of a sealed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The classic format.
    Classic,
    /// The sealed format.
    Sealed,
}

/// Returns a short name for a key's id that does not reveal the id.
pub type KeyName = fn(u32) -> String;

/// The outcome of sealing a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealOutcome {
    /// Sealed, under this key of the ring.
    Done(Format, u32),
    /// Sealed, under a user's key.
    UserKey,
    /// Not sealed: the mode is `off`.
    NotSealed,
    /// There is no key.
    NoKey,
    /// The key has sealed as many values as its format allows.
    KeyExhausted,
    /// Longer than the format allows.
    TooLong,
    /// The user was erased.
    Erased,
    /// None of these.
    Other,
}

/// The outcome of opening a stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenOutcome {
    /// Opened, with this key of the ring.
    Done(Format, u32),
    /// Opened, with a user's key.
    UserKey,
    /// Plain, and accepted.
    Plain,
    /// In the sealed format under a key of the ring, and it does not open.
    Refused(u32),
    /// In the sealed format under a user's key, and it does not open.
    RefusedUserKey,
    /// In another format, and it does not open.
    RefusedNoKey,
    /// Under a key that the ring does not hold.
    UnknownKey,
    /// Under a key of its user that does not exist.
    UnknownUserKey,
    /// Under a compromised key.
    Compromised,
    /// Plain, and refused.
    Plaintext,
    /// It starts like an envelope and is not one.
    Malformed,
    /// Under a user's key that was destroyed.
    Erased,
    /// None of these.
    Other,
}

/// The labels of outcomes that do not depend on a key of the ring.
const SEAL_LABELS: [(SealOutcome, [&str; 3]); 7] = [
    (SealOutcome::UserKey, ["ok", "sealed", "user"]),
    (SealOutcome::NotSealed, ["left", "plain", "none"]),
    (SealOutcome::NoKey, ["no_key", "plain", "none"]),
    (
        SealOutcome::KeyExhausted,
        ["key_exhausted", "classic", "none"],
    ),
    (SealOutcome::TooLong, ["too_long", "plain", "none"]),
    (SealOutcome::Erased, ["erased", "sealed", "user"]),
    (SealOutcome::Other, ["other", "plain", "none"]),
];

/// The labels of outcomes that do not depend on a key of the ring.
const OPEN_LABELS: [(OpenOutcome, [&str; 3]); 11] = [
    (OpenOutcome::UserKey, ["ok", "sealed", "user"]),
    (OpenOutcome::Plain, ["ok", "plain", "none"]),
    (OpenOutcome::RefusedUserKey, ["refused", "sealed", "user"]),
    (OpenOutcome::RefusedNoKey, ["refused", "unknown", "none"]),
    (
        OpenOutcome::UnknownKey,
        ["unknown_key", "sealed", "unknown"],
    ),
    (
        OpenOutcome::UnknownUserKey,
        ["unknown_key", "sealed", "user"],
    ),
    (OpenOutcome::Compromised, ["compromised", "unknown", "none"]),
    (OpenOutcome::Plaintext, ["plaintext", "plain", "none"]),
    (OpenOutcome::Malformed, ["malformed", "sealed", "none"]),
    (OpenOutcome::Erased, ["erased", "sealed", "user"]),
    (OpenOutcome::Other, ["other", "unknown", "none"]),
];

/// Handles for sealed and opened values.
pub struct ValueMetrics {
    key_name: KeyName,
    sealed: PerFormat,
    seal_outcomes: Vec<(SealOutcome, Counter)>,
    opened: PerFormat,
    refused: KeyCounters,
    open_outcomes: Vec<(OpenOutcome, Counter)>,
    plain: Vec<Counter>,
    sealed_twice: Vec<Counter>,
    seal_durations: Histogram,
    open_durations: Histogram,
}

/// Counters by key for each format.
struct PerFormat {
    classic: KeyCounters,
    sealed: KeyCounters,
}

impl PerFormat {
    fn new(counter: impl Fn(&'static str, &str) -> Counter + Copy + Send + Sync + 'static) -> Self {
        Self {
            classic: KeyCounters::new(move |key| counter("classic", key)),
            sealed: KeyCounters::new(move |key| counter("sealed", key)),
        }
    }

    #[inline]
    fn get(&self, format: Format) -> &KeyCounters {
        match format {
            Format::Classic => &self.classic,
            Format::Sealed => &self.sealed,
        }
    }
}

impl ValueMetrics {
    /// Creates the handles for these patterns, by their configured names. `key_name` names keys in labels.
    #[must_use]
    pub fn new<'p>(patterns: impl IntoIterator<Item = &'p str>, key_name: KeyName) -> Self {
        let patterns: Vec<_> = patterns.into_iter().collect();
        let per_pattern = |metric| {
            let patterns = patterns.iter();
            patterns.map(|name| counter(metric, &[name])).collect()
        };
        Self {
            key_name,
            sealed: PerFormat::new(|format, key| counter(&SEALS, &["ok", format, key])),
            opened: PerFormat::new(|format, key| counter(&OPENS, &["ok", format, key])),
            refused: KeyCounters::new(|key| counter(&OPENS, &["refused", "sealed", key])),
            seal_outcomes: SEAL_LABELS
                .map(|(outcome, labels)| (outcome, counter(&SEALS, &labels)))
                .into(),
            open_outcomes: OPEN_LABELS
                .map(|(outcome, labels)| (outcome, counter(&OPENS, &labels)))
                .into(),
            plain: per_pattern(&PLAIN_VALUES),
            sealed_twice: per_pattern(&SEALED_TWICE),
            seal_durations: histogram(&SEAL_DURATION, &[]),
            open_durations: histogram(&OPEN_DURATION, &[]),
        }
    }

    /// Publishes the last use of each key, from now on until the process ends. To spare each value a reading of the clock,
    /// a use only sets a flag, and the next snapshot dates it.
    pub fn publish_last_use(&self) {
        let [sealed, opened] = [&self.sealed, &self.opened];
        let counters = [
            &sealed.classic,
            &sealed.sealed,
            &opened.classic,
            &opened.sealed,
        ];
        let uses = counters.map(KeyCounters::uses);
        let name = self.key_name;
        before_snapshot(move || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.unwrap_or_default().as_secs_f64();
            for key in uses.iter().flat_map(KeyUses::take) {
                gauge(&KEY_LAST_USE, &[&name(key)]).set(now);
            }
        });
    }

    /// Counts the outcome of sealing one value.
    #[inline]
    pub fn sealed(&self, outcome: SealOutcome) {
        if let SealOutcome::Done(format, key) = outcome {
            let counters = self.sealed.get(format);
            counters.get(key, self.key_name).increment(1);
        } else if let Some((_, counter)) = self.seal_outcomes.iter().find(|it| it.0 == outcome) {
            counter.increment(1);
        }
    }

    /// Counts the outcome of opening `count` values of the pattern with this index.
    #[inline]
    pub fn opened(&self, outcome: OpenOutcome, pattern: usize, count: u64) {
        match outcome {
            OpenOutcome::Done(format, key) => {
                let counters = self.opened.get(format);
                counters.get(key, self.key_name).increment(count);
            }
            OpenOutcome::Refused(key) => self.refused.get(key, self.key_name).increment(count),
            _ => {
                if let Some((_, counter)) = self.open_outcomes.iter().find(|it| it.0 == outcome) {
                    counter.increment(count);
                }
                if matches!(outcome, OpenOutcome::Plain | OpenOutcome::Plaintext)
                    && let Some(plain) = self.plain.get(pattern)
                {
                    plain.increment(count);
                }
            }
        }
    }

    /// Counts a value that was an envelope already when a client wrote it, for the pattern with this index.
    pub fn sealed_twice(&self, pattern: usize) {
        if let Some(counter) = self.sealed_twice.get(pattern) {
            counter.increment(1);
        }
    }

    /// Returns the start time of sealing a value if this one is sampled.
    #[inline]
    #[must_use]
    pub fn start_seal_timer(&self) -> Option<Instant> {
        is_sampled(&SEALED).then(Instant::now)
    }

    /// Records the duration of a seal that started then.
    #[inline]
    pub fn record_seal_duration(&self, started: Option<Instant>) {
        if let Some(started) = started {
            let elapsed = started.elapsed().as_secs_f64();
            self.seal_durations.record(elapsed);
        }
    }

    /// Returns the start time of opening a value if this one is sampled.
    #[inline]
    #[must_use]
    pub fn start_open_timer(&self) -> Option<Instant> {
        is_sampled(&OPENED).then(Instant::now)
    }

    /// Records the duration of an open that started then.
    #[inline]
    pub fn record_open_duration(&self, started: Option<Instant>) {
        if let Some(started) = started {
            let elapsed = started.elapsed().as_secs_f64();
            self.open_durations.record(elapsed);
        }
    }
}

fn is_sampled(count: &'static LocalKey<Cell<u8>>) -> bool {
    let before = count.get();
    count.set((before + 1) % SAMPLE_INTERVAL);
    before == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_label_values_of_the_table() {
        let seals = SEAL_LABELS.iter().map(|(_, values)| (&SEALS, values));
        let opens = OPEN_LABELS.iter().map(|(_, values)| (&OPENS, values));
        for (metric, values) in seals.chain(opens) {
            for (label, value) in metric.labels.iter().zip(values) {
                assert!(metric.allows(label.name, value), "{} {value}", metric.name);
            }
        }
    }

    #[test]
    fn one_value_of_sixteen_is_sampled_starting_with_the_first() {
        let count = (0..160).filter(|_| is_sampled(&SEALED)).count();
        assert_eq!(count, 10);
        assert!(is_sampled(&SEALED) && !is_sampled(&SEALED));
    }
}
