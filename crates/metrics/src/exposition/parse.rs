//! Reads Prometheus' text format back into a snapshot, for tests: of the writer, and with snapshots written as text.

use super::BOUND;
use crate::metric::{Kind, Metric};
use crate::names::TABLE;
use crate::snapshot::{Distribution, Labels, Series, Snapshot, Value};

/// The snapshot that a text shows. Lines that are not samples of the table are skipped.
pub(crate) fn read(text: &str) -> Snapshot {
    let mut families: Vec<_> = TABLE.iter().map(|it| (*it, Vec::new())).collect();
    for sample in text.lines().filter_map(Sample::read) {
        for (metric, series) in &mut families {
            if let Some(part) = sample.part_of(metric) {
                sample.add_to(metric, part, series);
                break;
            }
        }
    }
    for (_, series) in &mut families {
        series.iter_mut().for_each(finish_histogram);
    }
    Snapshot::of(families)
}

/// One line: `name{label="value",…} 12`.
struct Sample<'t> {
    name: &'t str,
    labels: Vec<(&'t str, String)>,
    value: &'t str,
}

/// The suffix of a histogram's lines.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Whole,
    Bucket,
    Sum,
    Count,
}

impl<'t> Sample<'t> {
    fn read(line: &'t str) -> Option<Self> {
        let end = line.find(['{', ' ']).filter(|_| !line.starts_with('#'))?;
        let (name, mut tail) = line.split_at_checked(end)?;
        let mut labels = Vec::new();
        if let Some(inner) = tail.strip_prefix('{') {
            tail = inner;
            while !tail.starts_with('}') {
                let (label, quoted) = tail.split_once("=\"")?;
                let (value, after) = unquote(quoted)?;
                labels.push((label, value));
                tail = after.strip_prefix(',').unwrap_or(after);
            }
            tail = tail.strip_prefix('}')?;
        }
        let value = tail.trim();
        Some(Self {
            name,
            labels,
            value,
        })
    }

    fn part_of(&self, metric: &Metric) -> Option<Part> {
        let suffix = self.name.strip_prefix(metric.name)?;
        match (metric.kind, suffix) {
            (Kind::Counter | Kind::Gauge, "") => Some(Part::Whole),
            (Kind::Histogram, "_bucket") => Some(Part::Bucket),
            (Kind::Histogram, "_sum") => Some(Part::Sum),
            (Kind::Histogram, "_count") => Some(Part::Count),
            _ => None,
        }
    }

    fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(label, _)| *label == name);
        found.map_or("", |(_, value)| value)
    }

    /// Adds this line to the series of its metric. Counts of buckets are cumulative until all lines were read.
    fn add_to(&self, metric: &'static Metric, part: Part, series: &mut Vec<Series>) {
        let Ok(value) = self.value.parse::<f64>() else {
            return;
        };
        let names = metric.labels.iter().map(|label| label.name);
        let values = names.map(|name| self.label(name).to_owned());
        let labels = Labels::new(metric, values);
        if part == Part::Whole {
            let value = match (metric.kind, self.value.parse()) {
                (Kind::Counter, Ok(total)) => Value::Counter(total),
                (Kind::Counter, Err(_)) => Value::Counter(value as u64),
                _ => Value::Gauge(value),
            };
            series.push(Series::new(labels, value));
            return;
        }
        let known = series.iter().position(|it| *it.labels() == labels);
        let index = known.unwrap_or_else(|| {
            let samples = Distribution {
                buckets: vec![0; metric.buckets.len() + 1],
                sum: 0.0,
            };
            series.push(Series::new(labels, Value::Histogram(samples)));
            series.len() - 1
        });
        let series = series.get_mut(index).map(Series::exact_mut);
        let Some(Value::Histogram(samples)) = series else {
            return;
        };
        match part {
            Part::Sum => samples.sum = value,
            Part::Count => set(&mut samples.buckets, metric.buckets.len(), value),
            _ => {
                let bound: f64 = self.label(BOUND).parse().unwrap_or(f64::INFINITY);
                let below = metric.buckets.iter();
                let below = below.take_while(|it| **it < bound * 0.999_999);
                set(&mut samples.buckets, below.count(), value);
            }
        }
    }
}

fn set(buckets: &mut [u64], index: usize, cumulative: f64) {
    if let Some(count) = buckets.get_mut(index) {
        *count = cumulative as u64;
    }
}

/// Turns cumulative counts into counts of single buckets.
fn finish_histogram(series: &mut Series) {
    if let Value::Histogram(samples) = series.exact_mut() {
        let mut below = 0;
        for count in &mut samples.buckets {
            let cumulative = *count;
            *count = cumulative.saturating_sub(below);
            below = cumulative.max(below);
        }
    }
}

/// The text that a quoted value stands for, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    loop {
        match chars.next()?.1 {
            '"' => return Some((value, chars.as_str())),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
}
