//! All metrics of this process at one moment, to be looked up: read from the same text that Prometheus is
//! given, so that whoever shows both shows the same.

use std::collections::BTreeMap;

use crate::metric::{Kind, Metric};
use crate::text::samples;

/// Metrics at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot(BTreeMap<String, Vec<Series>>);

/// One metric with one set of labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    labels: Vec<(String, String)>,
    /// Its value.
    pub value: f64,
}

impl Series {
    /// What a label is; empty where it has none of this name.
    #[must_use]
    pub fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(label, _)| label == name);
        found.map_or("", |(_, word)| word)
    }
}

impl Snapshot {
    /// How metrics are now; `None` where no recorder of ours was installed.
    #[must_use]
    pub fn take() -> Option<Self> {
        Some(Self::read(&crate::render()?))
    }

    /// Reads the text that another process of ours gave as its metrics; what is no sample is left out.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut this = Self::default();
        for sample in samples(text) {
            let Ok(value) = sample.value.parse() else {
                continue;
            };
            let labels = sample.labels.into_iter();
            let labels = labels.map(|(name, word)| (name.to_owned(), word)).collect();
            let series = Series { labels, value };
            match this.0.get_mut(sample.name) {
                Some(known) => known.push(series),
                None => {
                    this.0.insert(sample.name.to_owned(), vec![series]);
                }
            }
        }
        this
    }

    /// All series of a metric.
    #[must_use]
    pub fn series(&self, metric: &Metric) -> &[Series] {
        self.named(metric.name)
    }

    /// The sum of those series of a metric that have these labels.
    #[must_use]
    pub fn sum(&self, metric: &Metric, labels: &[(&str, &str)]) -> f64 {
        let fits = |series: &&Series| {
            labels
                .iter()
                .all(|(name, word)| series.label(name) == *word)
        };
        let fitting = self.series(metric).iter().filter(fits);
        // The sum of no numbers is -0.0.
        fitting.fold(0.0, |sum, series| sum + series.value)
    }

    /// How many samples of a histogram are in each of its buckets and above all of them, by the table's
    /// bounds; not cumulative.
    #[must_use]
    pub fn buckets(&self, metric: &Metric) -> Vec<u64> {
        debug_assert_eq!(metric.kind, Kind::Histogram);
        let mut upto = vec![0u64; metric.buckets.len() + 1];
        for series in self.named(&format!("{}_bucket", metric.name)) {
            let bound = series.label("le").parse().unwrap_or(f64::INFINITY);
            let bounds = metric.buckets.iter();
            let at = bounds.take_while(|it| **it < bound * 0.999_999).count();
            if let Some(count) = upto.get_mut(at) {
                *count += series.value as u64;
            }
        }
        let mut below = 0;
        for count in &mut upto {
            let all = *count;
            *count = all.saturating_sub(below);
            below = all;
        }
        upto
    }

    pub(crate) fn named(&self, name: &str) -> &[Series] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{OPENS, SEAL_DURATION, SEALS};

    const TEXT: &str = "# HELP waxseal_seals_total x\n\
        waxseal_seals_total{result=\"ok\",format=\"sealed\",key=\"a1\"} 12\n\
        waxseal_seals_total{result=\"ok\",format=\"classic\",key=\"q\\\"\\\\,{}\"} 3\n\
        waxseal_ready 1\n\
        broken{ 7\nbroken{x=\"y} 7\n";

    #[test]
    fn sums_are_of_the_series_with_these_labels() {
        let read = Snapshot::read(TEXT);
        assert_eq!(read.sum(&SEALS, &[]), 15.0);
        assert_eq!(read.sum(&SEALS, &[("format", "classic")]), 3.0);
        assert_eq!(read.series(&SEALS)[1].label("key"), "q\"\\,{}");
        assert!(read.sum(&OPENS, &[]).is_sign_positive());
        assert!(!read.0.contains_key("broken"));
    }

    #[test]
    fn buckets_are_counted_each_by_itself() {
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
        assert_eq!(Snapshot::read(&text).buckets(&SEAL_DURATION), expected);
    }
}
