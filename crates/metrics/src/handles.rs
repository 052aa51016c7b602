//! Makes handles: a metric of the table and its labels become a handle of the recorder that is installed
//! at that moment. What is counted is not known here.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use metrics::{
    Counter, Gauge, Histogram, Key, Label, Level, Metadata, SharedString, with_recorder,
};

use crate::metric::{Kind, Metric};

const METADATA: Metadata<'static> = Metadata::new("waxseal", Level::INFO, None);

/// The values of a metric's labels, in the order of the table.
pub(crate) type LabelNames<'a> = &'a [&'a str];

fn key(metric: &Metric, words: LabelNames<'_>) -> Key {
    let labels = metric.labels.iter().zip(words);
    let labels = labels.map(|(label, word)| Label::new(label.name, (*word).to_owned()));
    Key::from_parts(metric.name, labels.collect::<Vec<_>>())
}

/// A handle of a counter.
pub(crate) fn counter(metric: &'static Metric, words: LabelNames<'_>) -> Counter {
    describe(metric);
    with_recorder(|recorder| recorder.register_counter(&key(metric, words), &METADATA))
}

/// A handle of a gauge.
pub(crate) fn gauge(metric: &'static Metric, words: LabelNames<'_>) -> Gauge {
    describe(metric);
    with_recorder(|recorder| recorder.register_gauge(&key(metric, words), &METADATA))
}

/// A handle of a histogram.
pub(crate) fn histogram(metric: &'static Metric, words: LabelNames<'_>) -> Histogram {
    describe(metric);
    with_recorder(|recorder| recorder.register_histogram(&key(metric, words), &METADATA))
}

fn describe(metric: &'static Metric) {
    let help = SharedString::const_str(metric.help);
    with_recorder(|recorder| match metric.kind {
        Kind::Counter => recorder.describe_counter(metric.name.into(), None, help),
        Kind::Gauge => recorder.describe_gauge(metric.name.into(), None, help),
        Kind::Histogram => recorder.describe_histogram(metric.name.into(), None, help),
    });
}

/// Keys that one process tells apart. A ring can hold a thousand, and each is a series for ever.
const MAX_KEYS: usize = 64;

/// A counter for each key of a ring, made when the key is first seen; found again without a lock.
pub(crate) struct KeyCounters {
    make: Box<dyn Fn(&str) -> Counter + Send + Sync>,
    slots: Arc<[OnceLock<Slot>; MAX_KEYS]>,
    others: OnceLock<Counter>,
}

struct Slot {
    key: u32,
    counter: Counter,
    /// Since the uses were last taken.
    used: AtomicBool,
}

/// Which keys were used since that was last asked.
pub(crate) struct KeyUses(Arc<[OnceLock<Slot>; MAX_KEYS]>);

impl KeyCounters {
    pub(crate) fn new(make: impl Fn(&str) -> Counter + Send + Sync + 'static) -> Self {
        Self {
            make: Box::new(make),
            slots: Arc::new([const { OnceLock::new() }; MAX_KEYS]),
            others: OnceLock::new(),
        }
    }

    /// The counter of a key, which is used. Keys beyond what is told apart have one together.
    #[inline]
    pub(crate) fn of(&self, key: u32, name: impl Fn(u32) -> String) -> &Counter {
        for slot in &*self.slots {
            let slot = slot.get_or_init(|| Slot {
                key,
                counter: (self.make)(&name(key)),
                used: AtomicBool::new(false),
            });
            if slot.key == key {
                // Mostly only read, so that threads do not take the line from each other.
                if !slot.used.load(Ordering::Relaxed) {
                    slot.used.store(true, Ordering::Relaxed);
                }
                return &slot.counter;
            }
        }
        self.others.get_or_init(|| (self.make)("other"))
    }

    pub(crate) fn uses(&self) -> KeyUses {
        KeyUses(self.slots.clone())
    }
}

impl KeyUses {
    /// The keys that were used since this was last called.
    pub(crate) fn take(&self) -> impl Iterator<Item = u32> {
        let made = self.0.iter().map_while(OnceLock::get);
        let used = made.filter(|slot| slot.used.swap(false, Ordering::Relaxed));
        used.map(|slot| slot.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_one_counter_and_those_beyond_the_bound_one_together() {
        let made = Arc::new(std::sync::Mutex::new(Vec::new()));
        let seen = made.clone();
        let by_key = KeyCounters::new(move |name| {
            seen.lock().unwrap().push(name.to_owned());
            Counter::noop()
        });
        for _ in 0..3 {
            for key in 0..100 {
                by_key.of(key, |key| format!("k{key}"));
            }
        }
        let made = made.lock().unwrap();
        assert_eq!(made.len(), MAX_KEYS + 1);
        assert_eq!((made[0].as_str(), made[63].as_str()), ("k0", "k63"));
        assert_eq!(made[64], "other");
    }

    #[test]
    fn a_use_is_told_once() {
        let by_key = KeyCounters::new(|_| Counter::noop());
        let uses = by_key.uses();
        assert_eq!(uses.take().count(), 0);
        for key in [7, 9, 7] {
            by_key.of(key, |key| format!("k{key}"));
        }
        assert_eq!(uses.take().collect::<Vec<_>>(), [7, 9]);
        by_key.of(9, |key| format!("k{key}"));
        assert_eq!(uses.take().collect::<Vec<_>>(), [9]);
        assert_eq!(uses.take().count(), 0);
    }
}
