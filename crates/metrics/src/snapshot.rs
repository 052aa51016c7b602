//! All metrics of this process at one moment, read from the cells that the handles write to. The text for Prometheus,
//! an OpenTelemetry export and the status page are all derived from a snapshot.

use std::sync::Arc;

use crate::metric::{Kind, Metric};
use crate::{exposition, hooks, recorder};

/// Metrics at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    families: Vec<(&'static Metric, Vec<Series>)>,
}

/// One metric with one set of labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    labels: Labels,
    value: Value,
}

/// The labels of one series: the names from the table, with a value for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Labels(Arc<[(&'static str, String)]>);

/// The value of one series.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A total since the process started.
    Counter(u64),
    /// A current value.
    Gauge(f64),
    /// Samples.
    Histogram(Distribution),
}

/// The samples of a histogram.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Distribution {
    /// The number of samples in each bucket of the table, and last the number above all bounds; not cumulative.
    pub(crate) buckets: Vec<u64>,
    /// The sum of all samples.
    pub(crate) sum: f64,
}

impl Distribution {
    /// The number of samples.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

impl Labels {
    /// The labels of a metric with these values, in the order of the table.
    pub(crate) fn new(metric: &Metric, values: impl Iterator<Item = String>) -> Self {
        let names = metric.labels.iter().map(|label| label.name);
        Self(names.zip(values).collect())
    }

    /// Each name with its value.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// The values, in the order of the table.
    pub(crate) fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, value)| value.as_str())
    }
}

impl Series {
    pub(crate) fn new(labels: Labels, value: Value) -> Self {
        Self { labels, value }
    }

    /// The value of a label; empty if it has no label of this name.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        let mut labels = self.labels.iter();
        let found = labels.find(|(label, _)| *label == name);
        found.map_or("", |(_, value)| value)
    }

    /// The value; of a histogram the number of samples.
    #[must_use]
    pub fn value(&self) -> f64 {
        match &self.value {
            Value::Counter(total) => *total as f64,
            Value::Gauge(value) => *value,
            Value::Histogram(samples) => samples.count() as f64,
        }
    }

    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(crate) fn exact(&self) -> &Value {
        &self.value
    }

    #[cfg(test)]
    pub(crate) fn exact_mut(&mut self) -> &mut Value {
        &mut self.value
    }
}

impl Snapshot {
    /// The current metrics; `None` if our recorder is not installed.
    #[must_use]
    pub fn take() -> Option<Self> {
        let registry = recorder::registry()?;
        hooks::run();
        Some(Self {
            families: registry.read().collect(),
        })
    }

    #[cfg(test)]
    pub(crate) fn of(families: Vec<(&'static Metric, Vec<Series>)>) -> Self {
        Self { families }
    }

    /// The metrics in Prometheus' text format.
    pub(crate) fn to_text(&self) -> String {
        exposition::write(self)
    }

    /// Each metric that has series, in the order of the table.
    pub(crate) fn families(&self) -> impl Iterator<Item = (&'static Metric, &[Series])> {
        let families = self
            .families
            .iter()
            .filter(|(_, series)| !series.is_empty());
        families.map(|(metric, series)| (*metric, series.as_slice()))
    }

    /// All series of a metric.
    #[must_use]
    pub fn series(&self, metric: &Metric) -> &[Series] {
        let mut families = self.families.iter();
        let found = families.find(|(it, _)| it.name == metric.name);
        found.map_or(&[], |(_, series)| series)
    }

    /// The sum over those series of a metric that have these labels.
    #[must_use]
    pub fn sum(&self, metric: &Metric, labels: &[(&str, &str)]) -> f64 {
        let has_labels = |series: &&Series| {
            let mut labels = labels.iter();
            labels.all(|(name, value)| series.label(name) == *value)
        };
        let series = self.series(metric).iter().filter(has_labels);
        // The sum of an empty iterator of floats is -0.0.
        series.fold(0.0, |sum, series| sum + series.value())
    }

    /// The number of samples of a histogram in each of its buckets and above all of them, by the bounds in the table;
    /// not cumulative.
    #[must_use]
    pub fn buckets(&self, metric: &Metric) -> Vec<u64> {
        debug_assert_eq!(metric.kind, Kind::Histogram);
        let mut sums = vec![0; metric.buckets.len() + 1];
        for series in self.series(metric) {
            if let Value::Histogram(samples) = &series.value {
                for (sum, count) in sums.iter_mut().zip(&samples.buckets) {
                    *sum += count;
                }
            }
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use crate::exposition::parse::read;
    use crate::names::{OPENS, SEAL_DURATION, SEALS};

    const TEXT: &str = "# HELP waxseal_seals_total x\n\
        waxseal_seals_total{result=\"ok\",format=\"sealed\",key=\"a1\"} 12\n\
        waxseal_seals_total{result=\"ok\",format=\"classic\",key=\"q\\\"\\\\,{}\"} 3\n\
        waxseal_ready 1\n\
        broken{ 7\nbroken{x=\"y} 7\n";

    #[test]
    fn sums_are_of_the_series_with_these_labels() {
        let read = read(TEXT);
        assert_eq!(read.sum(&SEALS, &[]), 15.0);
        assert_eq!(read.sum(&SEALS, &[("format", "classic")]), 3.0);
        assert_eq!(read.series(&SEALS)[1].label("key"), "q\"\\,{}");
        assert!(read.sum(&OPENS, &[]).is_sign_positive());
        assert!(read.families().all(|(metric, _)| metric.name != "broken"));
        assert_eq!(read.families().count(), 2);
    }

    #[test]
    fn buckets_are_not_cumulative() {
        let (mut text, mut all) = (String::new(), 0);
        for (index, bound) in SEAL_DURATION.buckets.iter().enumerate() {
            all += index;
            text += &format!("waxseal_seal_duration_seconds_bucket{{le=\"{bound}\"}} {all}\n");
        }
        text += &format!(
            "waxseal_seal_duration_seconds_bucket{{le=\"+Inf\"}} {}\n",
            all + 7
        );
        let mut expected: Vec<u64> = (0..SEAL_DURATION.buckets.len() as u64).collect();
        expected.push(7);
        assert_eq!(read(&text).buckets(&SEAL_DURATION), expected);
    }
}
