//! Writes a snapshot in Prometheus' text format. Nothing reads that text in turn but tests.

use std::fmt::{Display, Write as _};

use crate::names::TABLE;
use crate::snapshot::{Distribution, Labels, Series, Snapshot, Value};

/// A snapshot as text.
pub(crate) fn write(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    for (metric, series) in snapshot.families() {
        let (name, kind) = (metric.name, metric.kind.as_str());
        let help = metric.help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for series in series {
            write_series(&mut text, name, series);
        }
        text.push('\n');
    }
    text
}

fn write_series(text: &mut String, name: &str, series: &Series) {
    let labels = series.labels();
    match series.exact() {
        Value::Counter(total) => write_sample(text, name, labels, None, total),
        Value::Gauge(value) => write_sample(text, name, labels, None, &number(*value)),
        Value::Histogram(samples) => write_histogram(text, name, labels, samples),
    }
}

fn write_histogram(text: &mut String, name: &str, labels: &Labels, samples: &Distribution) {
    let bounds = TABLE.iter().find(|it| it.name == name);
    let bounds = bounds.map_or(&[][..], |metric| metric.buckets).iter();
    let bounds = bounds.map(f64::to_string).chain(["+Inf".to_owned()]);
    let mut total = 0;
    for (bound, count) in bounds.zip(&samples.buckets) {
        total += count;
        write_sample(
            text,
            &format!("{name}_bucket"),
            labels,
            Some(&bound),
            &total,
        );
    }
    let sum = number(samples.sum);
    write_sample(text, &format!("{name}_sum"), labels, None, &sum);
    write_sample(text, &format!("{name}_count"), labels, None, &total);
}

fn write_sample(
    text: &mut String,
    name: &str,
    labels: &Labels,
    bound: Option<&str>,
    value: &dyn Display,
) {
    text.push_str(name);
    let bound = bound.map(|bound| (BOUND, bound));
    let mut separator = '{';
    for (label, value) in labels.iter().chain(bound) {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        let value = value.replace('\n', "\\n");
        let _ = write!(text, "{separator}{label}=\"{value}\"");
        separator = ',';
    }
    if separator == ',' {
        text.push('}');
    }
    let _ = writeln!(text, " {value}");
}

/// A number as Prometheus writes it.
fn number(value: f64) -> String {
    match value {
        value if value == f64::INFINITY => "+Inf".to_owned(),
        value if value == f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}

/// The label of a bucket that holds its upper bound.
const BOUND: &str = "le";

#[cfg(test)]
pub(crate) mod parse;

#[cfg(test)]
mod tests {
    use super::parse::read;
    use super::*;
    use crate::metric::Metric;
    use crate::names::{CUSTODIAN_CALL_DURATION, KEYRING_NEXT_STEP, PLAIN_VALUES};

    #[test]
    fn what_is_written_is_read_back_unchanged() {
        let labels = |metric: &Metric, values: &[&str]| {
            Labels::new(metric, values.iter().map(|it| (*it).to_owned()))
        };
        let mut buckets = vec![0; CUSTODIAN_CALL_DURATION.buckets.len() + 1];
        (buckets[0], buckets[3], buckets[10]) = (2, 4, 1);
        let samples = Distribution { buckets, sum: 12.5 };
        let families = TABLE.iter().map(|it| {
            let series = match it.name {
                name if name == PLAIN_VALUES.name => vec![
                    Series::new(labels(it, &["a \"b\\c\n,}"]), Value::Counter(u64::MAX)),
                    Series::new(labels(it, &["b"]), Value::Counter(0)),
                ],
                name if name == KEYRING_NEXT_STEP.name => {
                    vec![Series::new(labels(it, &[]), Value::Gauge(f64::INFINITY))]
                }
                name if name == CUSTODIAN_CALL_DURATION.name => {
                    let labels = labels(it, &["env", "wrap"]);
                    vec![Series::new(labels, Value::Histogram(samples.clone()))]
                }
                _ => Vec::new(),
            };
            (*it, series)
        });
        let snapshot = Snapshot::of(families.collect());
        let text = write(&snapshot);
        assert_eq!(read(&text), snapshot, "{text}");
        for line in [
            "# TYPE waxseal_plain_values_total counter",
            "waxseal_plain_values_total{pattern=\"a \\\"b\\\\c\\n,}\"} 18446744073709551615",
            "waxseal_keyring_next_step_seconds +Inf",
            "waxseal_custodian_call_duration_seconds_bucket{scheme=\"env\",operation=\"wrap\",le=\"0.001\"} 2",
            "waxseal_custodian_call_duration_seconds_bucket{scheme=\"env\",operation=\"wrap\",le=\"+Inf\"} 7",
            "waxseal_custodian_call_duration_seconds_sum{scheme=\"env\",operation=\"wrap\"} 12.5",
            "waxseal_custodian_call_duration_seconds_count{scheme=\"env\",operation=\"wrap\"} 7",
        ] {
            assert!(
                text.lines().any(|it| it == line),
                "{line} is not in\n{text}"
            );
        }
    }
}
