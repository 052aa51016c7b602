//! Values: what was sealed and opened, with which result, format and key, and how long it took. Latencies
//! are sampled: asking the clock twice would cost as much as everything else here together.

use std::cell::Cell;
use std::thread::LocalKey;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use metrics::{Counter, Histogram};

use crate::before_render;
use crate::handles::{KeyCounters, KeyUses, counter, gauge, histogram};
use crate::names::{
    KEY_LAST_USE, OPEN_DURATION, OPENS, PLAIN_VALUES, SEAL_DURATION, SEALED_TWICE, SEALS,
};

/// Of so many values of a thread, one is measured.
const SAMPLED: u8 = 16;

thread_local! {
    static SEALED: Cell<u8> = const { Cell::new(0) };
    static OPENED: Cell<u8> = const { Cell::new(0) };
}

/// The form of a stored value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The classic format.
    Classic,
    /// The sealed format.
    Sealed,
}

/// Tells a key's id by a short name that is not the id.
pub type KeyName = fn(u32) -> String;

/// What came of a value that was to be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealOutcome {
    /// Sealed, under this key of the ring.
    Done(Format, u32),
    /// Sealed, under a user's key.
    UserKey,
    /// Left as it is: the mode does not seal.
    NotSealed,
    /// There is no key.
    NoKey,
    /// The key has sealed as many values as its format allows.
    KeyExhausted,
    /// Longer than the format can say.
    TooLong,
    /// The user was erased.
    Erased,
    /// None of these.
    Other,
}

/// What came of a stored value that was to be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenOutcome {
    /// Opened, with this key of the ring.
    Done(Format, u32),
    /// Opened, with a user's key.
    UserKey,
    /// It was plain, and may be.
    Plain,
    /// In the sealed format, under a key of the ring, and not opened by it.
    Refused(u32),
    /// The same under a user's key.
    RefusedUserKey,
    /// In another form, and not opened.
    RefusedNoKey,
    /// Under a key that the ring does not hold.
    UnknownKey,
    /// Under a key of its user that is not there.
    UnknownUserKey,
    /// Under a compromised key.
    Compromised,
    /// It was plain, and may not be.
    Plaintext,
    /// It starts like an envelope and is none.
    Malformed,
    /// Under a user's key that was destroyed.
    Erased,
    /// None of these.
    Other,
}

const SEALINGS: [(SealOutcome, [&str; 3]); 7] = [
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

const OPENINGS: [(OpenOutcome, [&str; 3]); 11] = [
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

/// Handles for what becomes of values.
pub struct ValueMetrics {
    key_name: KeyName,
    sealed: [KeyCounters; 2],
    sealings: Vec<(SealOutcome, Counter)>,
    opened: [KeyCounters; 2],
    refused: KeyCounters,
    openings: Vec<(OpenOutcome, Counter)>,
    plain: Vec<Counter>,
    sealed_twice: Vec<Counter>,
    record_seal_duration: Histogram,
    record_open_duration: Histogram,
}

impl ValueMetrics {
    /// For these patterns, by their configured names; `key_name` tells how keys are called.
    #[must_use]
    pub fn new<'p>(patterns: impl IntoIterator<Item = &'p str>, key_name: KeyName) -> Self {
        let [classic, sealed] = ["classic", "sealed"].map(|format| {
            let seals = KeyCounters::new(move |key| counter(&SEALS, &["ok", format, key]));
            let opens = KeyCounters::new(move |key| counter(&OPENS, &["ok", format, key]));
            (seals, opens)
        });
        let patterns: Vec<_> = patterns.into_iter().collect();
        let of_each = |metric| {
            patterns
                .iter()
                .map(|name| counter(metric, &[name]))
                .collect()
        };
        Self {
            key_name,
            sealed: [classic.0, sealed.0],
            opened: [classic.1, sealed.1],
            refused: KeyCounters::new(|key| counter(&OPENS, &["refused", "sealed", key])),
            sealings: SEALINGS
                .map(|(it, words)| (it, counter(&SEALS, &words)))
                .into(),
            openings: OPENINGS
                .map(|(it, words)| (it, counter(&OPENS, &words)))
                .into(),
            plain: of_each(&PLAIN_VALUES),
            sealed_twice: of_each(&SEALED_TWICE),
            record_seal_duration: histogram(&SEAL_DURATION, &[]),
            record_open_duration: histogram(&OPEN_DURATION, &[]),
        }
    }

    /// From here on, until the process ends, it is shown with the metrics when each key was last used.
    /// A value costs no clock for that: it is noted that a key was used, and looked at when metrics are
    /// shown.
    pub fn publish_last_use(&self) {
        let [sealed, opened] = [&self.sealed, &self.opened];
        let uses: Vec<_> = sealed.iter().chain(opened).map(KeyCounters::uses).collect();
        let name = self.key_name;
        before_render(move || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.unwrap_or_default().as_secs_f64();
            for key in uses.iter().flat_map(KeyUses::take) {
                gauge(&KEY_LAST_USE, &[&name(key)]).set(now);
            }
        });
    }

    /// A value was to be sealed, and this came of it.
    #[inline]
    pub fn sealed(&self, sealing: SealOutcome) {
        if let SealOutcome::Done(format, key) = sealing {
            let [classic, sealed] = &self.sealed;
            let by_key = if format == Format::Classic {
                classic
            } else {
                sealed
            };
            by_key.of(key, self.key_name).increment(1);
        } else if let Some((_, counter)) = self.sealings.iter().find(|(it, _)| *it == sealing) {
            counter.increment(1);
        }
    }

    /// So many values were to be opened, of the pattern at this place, and this came of each.
    #[inline]
    pub fn opened(&self, opening: OpenOutcome, pattern: usize, count: u64) {
        match opening {
            OpenOutcome::Done(format, key) => {
                let [classic, sealed] = &self.opened;
                let by_key = if format == Format::Classic {
                    classic
                } else {
                    sealed
                };
                by_key.of(key, self.key_name).increment(count);
            }
            OpenOutcome::Refused(key) => self.refused.of(key, self.key_name).increment(count),
            _ => {
                if let Some((_, counter)) = self.openings.iter().find(|(it, _)| *it == opening) {
                    counter.increment(count);
                }
                if matches!(opening, OpenOutcome::Plain | OpenOutcome::Plaintext)
                    && let Some(plain) = self.plain.get(pattern)
                {
                    plain.increment(count);
                }
            }
        }
    }

    /// A value for a record of the pattern at this place was an envelope already.
    pub fn sealed_twice(&self, pattern: usize) {
        if let Some(counter) = self.sealed_twice.get(pattern) {
            counter.increment(1);
        }
    }

    /// When the sealing of a value begins: a moment, if this one is measured.
    #[inline]
    #[must_use]
    pub fn start_seal_timer(&self) -> Option<Instant> {
        is_sampled(&SEALED).then(Instant::now)
    }

    /// The sealing that began then has ended.
    #[inline]
    pub fn record_seal_duration(&self, since: Option<Instant>) {
        if let Some(since) = since {
            self.record_seal_duration
                .record(since.elapsed().as_secs_f64());
        }
    }

    /// When the opening of a value begins: a moment, if this one is measured.
    #[inline]
    #[must_use]
    pub fn start_open_timer(&self) -> Option<Instant> {
        is_sampled(&OPENED).then(Instant::now)
    }

    /// The opening that began then has ended.
    #[inline]
    pub fn record_open_duration(&self, since: Option<Instant>) {
        if let Some(since) = since {
            self.record_open_duration
                .record(since.elapsed().as_secs_f64());
        }
    }
}

fn is_sampled(count: &'static LocalKey<Cell<u8>>) -> bool {
    let before = count.get();
    count.set((before + 1) % SAMPLED);
    before == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_one_that_the_table_allows() {
        let seals = SEALINGS.iter().map(|(_, words)| (&SEALS, words));
        let opens = OPENINGS.iter().map(|(_, words)| (&OPENS, words));
        for (metric, words) in seals.chain(opens) {
            for (label, word) in metric.labels.iter().zip(words) {
                assert!(metric.allows(label.name, word), "{} {word}", metric.name);
            }
        }
    }

    #[test]
    fn one_of_sixteen_is_measured_beginning_with_the_first() {
        let count = (0..160).filter(|_| is_sampled(&SEALED)).count();
        assert_eq!(count, 10);
        assert!(is_sampled(&SEALED) && !is_sampled(&SEALED));
    }
}
