//! The definition of a metric: its kind, unit and labels. The metrics themselves are in [`names`](crate::names).

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A total that only grows while the process runs.
    Counter,
    /// A current value.
    Gauge,
    /// Samples by size.
    Histogram,
}

impl Kind {
    /// The word of Prometheus for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, PartialEq)]
pub struct Metric {
    /// The name, which ends with the unit.
    pub name: &'static str,
    /// The kind.
    pub kind: Kind,
    /// The unit.
    pub unit: &'static str,
    /// The description.
    pub help: &'static str,
    /// The question of an operator that it answers.
    pub question: &'static str,
    /// The labels, in order.
    pub labels: &'static [Label],
    /// The upper bounds of a histogram's buckets, in its unit.
    pub buckets: &'static [f64],
}

/// A label of a metric.
#[derive(Debug, PartialEq)]
pub struct Label {
    /// The name.
    pub name: &'static str,
    /// The values that it can have.
    pub values: LabelValues,
}

/// The values that a label can have.
#[derive(Debug, PartialEq)]
pub enum LabelValues {
    /// One of this list.
    OneOf(&'static [&'static str]),
    /// A bounded number of values, as described here.
    Bounded(&'static str),
}

impl Metric {
    /// True if one of its labels can have this value.
    #[must_use]
    pub fn allows(&self, label: &str, value: &str) -> bool {
        let label = self.labels.iter().find(|it| it.name == label);
        label.is_some_and(|label| match label.values {
            LabelValues::OneOf(values) => values.contains(&value),
            LabelValues::Bounded(_) => true,
        })
    }
}
