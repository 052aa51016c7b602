//! Creates handles: a metric of the table and its label values become a handle of the recorder that is installed at that
//! moment.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use metrics::{
    Counter, Gauge, Histogram, Key, Label, Level, Metadata, SharedString, with_recorder,
};

use crate::metric::{Kind, Metric};

const METADATA: Metadata<'static> = Metadata::new("waxseal", Level::INFO, None);

/// The values of a metric's labels, in the order of the table.
pub(crate) type Values<'a> = &'a [&'a str];

fn key(metric: &Metric, values: Values<'_>) -> Key {
    let labels = metric.labels.iter().zip(values);
    let labels = labels.map(|(label, value)| Label::new(label.name, (*value).to_owned()));
    Key::from_parts(metric.name, labels.collect::<Vec<_>>())
}

/// A handle of a counter.
pub(crate) fn counter(metric: &'static Metric, values: Values<'_>) -> Counter {
    describe(metric);
    with_recorder(|recorder| recorder.register_counter(&key(metric, values), &METADATA))
}

/// A handle of a gauge.
pub(crate) fn gauge(metric: &'static Metric, values: Values<'_>) -> Gauge {
    describe(metric);
    with_recorder(|recorder| recorder.register_gauge(&key(metric, values), &METADATA))
}

/// A handle of a histogram.
pub(crate) fn histogram(metric: &'static Metric, values: Values<'_>) -> Histogram {
    describe(metric);
    with_recorder(|recorder| recorder.register_histogram(&key(metric, values), &METADATA))
}

/// Tells an application's own recorder the help text.
fn describe(metric: &'static Metric) {
    let help = SharedString::const_str(metric.help);
    with_recorder(|recorder| match metric.kind {
        Kind::Counter => recorder.describe_counter(metric.name.into(), None, help),
        Kind::Gauge => recorder.describe_gauge(metric.name.into(), None, help),
        Kind::Histogram => recorder.describe_histogram(metric.name.into(), None, help),
    });
}

/// The number of keys that have a series of their own in one process. A ring can hold a thousand keys, and a series lasts
/// as long as the process.
const MAX_KEYS: usize = 64;

/// One counter for each key of a ring, created at the first use of the key and found again without a lock.
pub(crate) struct KeyCounters {
    create: Box<dyn Fn(&str) -> Counter + Send + Sync>,
    slots: Arc<[OnceLock<Slot>; MAX_KEYS]>,
    others: OnceLock<Counter>,
}

struct Slot {
    key: u32,
    counter: Counter,
    /// True if the key was used since the uses were last taken.
    used: AtomicBool,
}

/// The keys that were used since the last call of [`take`](Self::take).
pub(crate) struct KeyUses(Arc<[OnceLock<Slot>; MAX_KEYS]>);

impl KeyCounters {
    pub(crate) fn new(create: impl Fn(&str) -> Counter + Send + Sync + 'static) -> Self {
        Self {
            create: Box::new(create),
            slots: Arc::new([const { OnceLock::new() }; MAX_KEYS]),
            others: OnceLock::new(),
        }
    }

    /// The counter of a key, which counts as used. All keys beyond the first [`MAX_KEYS`] share one.
    #[inline]
    pub(crate) fn get(&self, key: u32, name: impl Fn(u32) -> String) -> &Counter {
        for slot in &*self.slots {
            let slot = slot.get_or_init(|| Slot {
                key,
                counter: (self.create)(&name(key)),
                used: AtomicBool::new(false),
            });
            if slot.key == key {
                // Read first: a store each time would move the cache line from core to core.
                if !slot.used.load(Ordering::Relaxed) {
                    slot.used.store(true, Ordering::Relaxed);
                }
                return &slot.counter;
            }
        }
        self.others.get_or_init(|| (self.create)("other"))
    }

    pub(crate) fn uses(&self) -> KeyUses {
        KeyUses(self.slots.clone())
    }
}

impl KeyUses {
    /// The keys that were used since the last call.
    pub(crate) fn take(&self) -> impl Iterator<Item = u32> {
        let known = self.0.iter().map_while(OnceLock::get);
        let used = known.filter(|slot| slot.used.swap(false, Ordering::Relaxed));
        used.map(|slot| slot.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_counter_up_to_the_bound_and_the_others_share_one() {
        let created = Arc::new(std::sync::Mutex::new(Vec::new()));
        let names = created.clone();
        let counters = KeyCounters::new(move |name| {
            names.lock().unwrap().push(name.to_owned());
            Counter::noop()
        });
        for _ in 0..3 {
            for key in 0..100 {
                counters.get(key, |key| format!("k{key}"));
            }
        }
        let created = created.lock().unwrap();
        assert_eq!(created.len(), MAX_KEYS + 1);
        assert_eq!((created[0].as_str(), created[63].as_str()), ("k0", "k63"));
        assert_eq!(created[64], "other");
    }

    #[test]
    fn a_use_is_reported_once() {
        let counters = KeyCounters::new(|_| Counter::noop());
        let uses = counters.uses();
        assert_eq!(uses.take().count(), 0);
        for key in [7, 9, 7] {
            counters.get(key, |key| format!("k{key}"));
        }
        assert_eq!(uses.take().collect::<Vec<_>>(), [7, 9]);
        counters.get(9, |key| format!("k{key}"));
        assert_eq!(uses.take().collect::<Vec<_>>(), [9]);
        assert_eq!(uses.take().count(), 0);
    }
}
