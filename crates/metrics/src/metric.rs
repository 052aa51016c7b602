//! What a metric of the table is: its kind, its unit, its labels. Which there are stands in the table.

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, while the process lives.
    Counter,
    /// How it is now.
    Gauge,
    /// How often a duration was at most so long.
    Histogram,
}

/// One metric.
#[derive(Debug)]
pub struct Metric {
    /// Its name, which ends with its unit.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What its numbers are of.
    pub unit: &'static str,
    /// What it tells.
    pub help: &'static str,
    /// What somebody who operates Waxseal asks that it answers.
    pub question: &'static str,
    /// Its labels, in order.
    pub labels: &'static [Label],
    /// The upper bounds of a histogram's buckets, in its unit.
    pub buckets: &'static [f64],
}

/// A label, and what it can be.
#[derive(Debug)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// What it can be.
    pub values: LabelValues,
}

/// What a label can be.
#[derive(Debug)]
pub enum LabelValues {
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Other words as well, of a number that is bounded as it says here.
    Bounded(&'static str),
}

impl Metric {
    /// Whether one of its labels can be this word.
    #[must_use]
    pub fn allows(&self, label: &str, word: &str) -> bool {
        let label = self.labels.iter().find(|it| it.name == label);
        label.is_some_and(|label| match label.values {
            LabelValues::OneOf(words) => words.contains(&word),
            LabelValues::Bounded(_) => true,
        })
    }
}
