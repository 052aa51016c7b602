//! The recorder for a program that has none of its own: one atomic cell for each series of the table. Handles write to
//! the cells and a [`Snapshot`](crate::Snapshot) reads them; nothing else keeps the numbers. It opens no address.
//!
//! Recording is one atomic operation on the cell. A histogram counts into its buckets at once, so memory does not grow
//! with the number of samples and nothing has to be drained in the background.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, SharedString, Unit};

use crate::metric::{Kind, Metric};
use crate::names::TABLE;
use crate::snapshot::{Distribution, Labels, Series, Value};

static REGISTRY: OnceLock<Arc<Registry>> = OnceLock::new();

/// The recorder cannot be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstallError {
    /// This process has a recorder already.
    #[error("metrics cannot be kept: this process already has a metrics recorder")]
    AlreadyInstalled,
}

/// Installs the recorder. Handles that were created before count nothing.
pub fn install() -> Result<(), InstallError> {
    let registry = Arc::new(Registry::new());
    metrics::set_global_recorder(TableRecorder(registry.clone()))
        .map_err(|_| InstallError::AlreadyInstalled)?;
    // Only the caller that installed the recorder gets here.
    let _ = REGISTRY.set(registry);
    Ok(())
}

/// The series of the installed recorder; `None` without one of ours.
pub(crate) fn registry() -> Option<&'static Registry> {
    REGISTRY.get().map(Arc::as_ref)
}

/// The recorder as the `metrics` facade calls it. Metrics that are not in the table are not recorded.
struct TableRecorder(Arc<Registry>);

impl metrics::Recorder for TableRecorder {
    // Help texts are in the table.
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        match self.0.cell(key) {
            Some(Cell::Counter(cell)) => Counter::from_arc(cell),
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        match self.0.cell(key) {
            Some(Cell::Gauge(cell)) => Gauge::from_arc(cell),
            _ => Gauge::noop(),
        }
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        match self.0.cell(key) {
            Some(Cell::Histogram(cell)) => Histogram::from_arc(cell),
            _ => Histogram::noop(),
        }
    }
}

/// All series, by metric, in the order of the table.
pub(crate) struct Registry(Vec<Family>);

struct Family {
    metric: &'static Metric,
    series: Mutex<Vec<(Labels, Cell)>>,
}

/// The storage of one series. Gauges are the bits of an `f64`.
#[derive(Clone)]
enum Cell {
    Counter(Arc<AtomicU64>),
    Gauge(Arc<AtomicU64>),
    Histogram(Arc<Buckets>),
}

impl Registry {
    fn new() -> Self {
        let family = |metric: &&'static Metric| Family {
            metric,
            series: Mutex::default(),
        };
        Self(TABLE.iter().map(family).collect())
    }

    /// The cell of a series, created on first use; `None` if the table has no such metric.
    fn cell(&self, key: &Key) -> Option<Cell> {
        let family = self.0.iter().find(|it| it.metric.name == key.name())?;
        let mut series = family.series.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |labels: &Labels| labels.values().eq(key.labels().map(metrics::Label::value));
        if let Some((_, cell)) = series.iter().find(|(labels, _)| is_same(labels)) {
            return Some(cell.clone());
        }
        let cell = Cell::new(family.metric);
        let values = key.labels().map(|label| label.value().to_owned());
        series.push((Labels::new(family.metric, values), cell.clone()));
        Some(cell)
    }

    /// The current value of every series, by metric, in the order of the table.
    pub(crate) fn read(&self) -> impl Iterator<Item = (&'static Metric, Vec<Series>)> {
        self.0.iter().map(|family| {
            let series = family.series.lock().unwrap_or_else(PoisonError::into_inner);
            let read = |(labels, cell): &(Labels, Cell)| Series::new(labels.clone(), cell.value());
            (family.metric, series.iter().map(read).collect())
        })
    }
}

impl Cell {
    fn new(metric: &Metric) -> Self {
        match metric.kind {
            Kind::Counter => Self::Counter(Arc::default()),
            Kind::Gauge => Self::Gauge(Arc::new(AtomicU64::new(0_f64.to_bits()))),
            Kind::Histogram => Self::Histogram(Arc::new(Buckets::new(metric.buckets))),
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Counter(cell) => Value::Counter(cell.load(Ordering::Acquire)),
            Self::Gauge(cell) => Value::Gauge(f64::from_bits(cell.load(Ordering::Acquire))),
            Self::Histogram(buckets) => Value::Histogram(buckets.value()),
        }
    }
}

/// The samples of a histogram: one count for each bucket of the table, one for what is above all bounds, and the sum.
struct Buckets {
    bounds: &'static [f64],
    counts: Box<[AtomicU64]>,
    /// The bits of an `f64`.
    sum: AtomicU64,
}

impl Buckets {
    fn new(bounds: &'static [f64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0_f64.to_bits()),
        }
    }

    fn value(&self) -> Distribution {
        Distribution {
            buckets: self
                .counts
                .iter()
                .map(|it| it.load(Ordering::Acquire))
                .collect(),
            sum: f64::from_bits(self.sum.load(Ordering::Acquire)),
        }
    }
}

impl HistogramFn for Buckets {
    fn record(&self, value: f64) {
        // A bound belongs to its bucket, as in Prometheus.
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(bucket) {
            count.fetch_add(1, Ordering::Release);
        }
        let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
        let _ = self
            .sum
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{OPEN_DURATION, READY, SEALS};

    fn key(metric: &Metric, labels: &[(&'static str, &'static str)]) -> Key {
        let labels = labels
            .iter()
            .map(|(name, value)| metrics::Label::new(*name, *value));
        Key::from_parts(metric.name, labels.collect::<Vec<_>>())
    }

    #[test]
    fn handles_of_the_same_series_share_one_cell() {
        let registry = Registry::new();
        let ok = [("result", "ok"), ("format", "sealed"), ("key", "a1")];
        for _ in 0..3 {
            let Some(Cell::Counter(cell)) = registry.cell(&key(&SEALS, &ok)) else {
                panic!("a counter is expected");
            };
            Counter::from_arc(cell).increment(2);
        }
        let (metric, series) = registry.read().next().unwrap();
        assert_eq!((metric.name, series.len()), (SEALS.name, 1));
        assert_eq!((series[0].value(), series[0].label("key")), (6.0, "a1"));
        assert!(
            registry
                .cell(&Key::from_name("of_another_library"))
                .is_none()
        );
        assert!(registry.cell(&key(&READY, &[])).is_some());
    }

    #[test]
    fn a_sample_is_counted_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let bounds = OPEN_DURATION.buckets;
        let buckets = Buckets::new(bounds);
        for value in [0.0, bounds[0], bounds[0] * 1.1, bounds[1], 7.0] {
            buckets.record(value);
        }
        let Distribution { buckets, sum } = buckets.value();
        assert_eq!((&buckets[..3], buckets.last()), (&[2, 2, 0][..], Some(&1)));
        assert_eq!(buckets.len(), bounds.len() + 1);
        assert!((sum - 7.0).abs() < 0.001, "{sum}");
    }
}
