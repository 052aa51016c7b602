//! The last hour of this process in samples: throughput and latency, and the metrics of some minutes ago.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use waxseal_metrics::Snapshot;
use waxseal_metrics::names::{
    KEYRING_NEXT_STEP, OPEN_DURATION, OPENS, RECEIVED_BYTES, SEAL_DURATION, SEALS, SENT_BYTES,
};
use waxseal_page::status::Traffic;

/// The interval of samples.
pub(super) const SAMPLE_INTERVAL: Duration = Duration::from_secs(5);
/// The time for which samples are kept.
const RETENTION: Duration = Duration::from_secs(3600);
/// The interval of snapshots that are kept whole, and the time that they cover at least.
const SNAPSHOT_INTERVAL: Duration = Duration::from_secs(60);
const COMPARISON_PERIOD: Duration = Duration::from_secs(600);
/// The maximal number of points of a line, about the pixels of a phone.
const MAX_POINTS: usize = 180;

/// The samples.
#[derive(Default)]
pub(super) struct History {
    samples: VecDeque<Sample>,
    snapshots: VecDeque<(Instant, Snapshot)>,
    /// The time since which a step of the keyring is due.
    due_since: Option<Instant>,
    /// The metrics before the process started.
    empty: Snapshot,
}

struct Sample {
    at: Instant,
    sealed: f64,
    opened: f64,
    received: f64,
    sent: f64,
    seal_durations: Vec<u64>,
    open_durations: Vec<u64>,
    server: Option<f64>,
}

impl History {
    /// Adds a sample: the current metrics, and the time that the server took to answer, if it did.
    pub(super) fn record(&mut self, at: Instant, now: Snapshot, server: Option<Duration>) {
        let client = [("side", "client")];
        self.samples.push_back(Sample {
            at,
            sealed: now.sum(&SEALS, &[("result", "ok")]),
            opened: now.sum(&OPENS, &[("result", "ok")]),
            received: now.sum(&RECEIVED_BYTES, &client),
            sent: now.sum(&SENT_BYTES, &client),
            seal_durations: now.buckets(&SEAL_DURATION),
            open_durations: now.buckets(&OPEN_DURATION),
            server: server.map(|took| took.as_secs_f64()),
        });
        while self
            .samples
            .front()
            .is_some_and(|it| at - it.at > RETENTION)
        {
            self.samples.pop_front();
        }
        // Without a keyring the gauge has no series.
        let is_due = |series: &waxseal_metrics::Series| series.value() <= 0.0;
        match now.series(&KEYRING_NEXT_STEP).first().is_some_and(is_due) {
            true => self.due_since = self.due_since.or(Some(at)),
            false => self.due_since = None,
        }
        if self
            .snapshots
            .back()
            .is_none_or(|(last, _)| at - *last >= SNAPSHOT_INTERVAL)
        {
            self.snapshots.push_back((at, now));
        }
        // The first one is dropped once the second covers the period: one snapshot always does.
        while self
            .snapshots
            .get(1)
            .is_some_and(|(second, _)| at.saturating_duration_since(*second) >= COMPARISON_PERIOD)
        {
            self.snapshots.pop_front();
        }
    }

    /// The time for which a step of the keyring has been due.
    pub(super) fn due_for(&self) -> Option<Duration> {
        Some(self.due_since?.elapsed())
    }

    /// The metrics of 10 minutes ago, or a little earlier; for a younger process, those before its start.
    pub(super) fn before(&self) -> &Snapshot {
        let first = self.snapshots.front();
        let first = first.filter(|(at, _)| at.elapsed() >= COMPARISON_PERIOD);
        first.map_or(&self.empty, |(_, snapshot)| snapshot)
    }

    /// The lines that the page draws.
    pub(super) fn traffic(&self, has_clients: bool) -> Traffic {
        let step = self.samples.len().div_ceil(MAX_POINTS).max(1);
        let chosen: Vec<&Sample> = self.samples.iter().rev().step_by(step).collect();
        let pairs: Vec<(&Sample, &Sample)> = chosen
            .windows(2)
            .rev()
            .filter_map(|pair| Some((*pair.get(1)?, *pair.first()?)))
            .collect();
        let rate = |of: fn(&Sample) -> f64| -> Vec<Option<f64>> {
            let rate = |(from, to): &(&Sample, &Sample)| {
                let seconds = (to.at - from.at).as_secs_f64();
                (seconds > 0.0).then(|| (of(to) - of(from)).max(0.0) / seconds)
            };
            pairs.iter().map(rate).collect()
        };
        let quantiles = |of: fn(&Sample) -> &[u64], bounds: &[f64]| {
            [0.5, 0.99].map(|wanted| -> Vec<Option<f64>> {
                let of_pair = |(from, to): &(&Sample, &Sample)| {
                    quantile(bounds, &difference(of(from), of(to)), wanted)
                };
                pairs.iter().map(of_pair).collect()
            })
        };
        let of_clients = |of: fn(&Sample) -> f64| match has_clients {
            true => rate(of),
            false => Vec::new(),
        };
        let outermost = self.samples.front().zip(self.samples.back());
        let since = outermost.map(|(first, last)| last.at.saturating_duration_since(first.at));
        let since = since.unwrap_or_default().as_millis();
        Traffic {
            since_ms: u64::try_from(since).unwrap_or(u64::MAX),
            values: [rate(|it| it.sealed), rate(|it| it.opened)],
            seal_durations: quantiles(|it| &it.seal_durations, SEAL_DURATION.buckets),
            open_durations: quantiles(|it| &it.open_durations, OPEN_DURATION.buckets),
            server: match has_clients {
                true => chosen.iter().rev().map(|it| it.server).collect(),
                false => Vec::new(),
            },
            bytes: [of_clients(|it| it.received), of_clients(|it| it.sent)],
        }
    }
}

fn difference(from: &[u64], to: &[u64]) -> Vec<u64> {
    let pairs = from.iter().zip(to);
    pairs.map(|(from, to)| to.saturating_sub(*from)).collect()
}

/// A quantile of a histogram, interpolated within its bucket like Prometheus' `histogram_quantile`. Samples above all bounds
/// count as the last bound.
fn quantile(bounds: &[f64], counts: &[u64], quantile: f64) -> Option<f64> {
    let all: u64 = counts.iter().sum();
    let wanted = all as f64 * quantile;
    let (mut below, mut lower) = (0.0, 0.0);
    for (bound, count) in bounds.iter().zip(counts) {
        let count = *count as f64;
        if count > 0.0 && below + count >= wanted {
            return Some(lower + (bound - lower) * ((wanted - below) / count));
        }
        below += count;
        lower = *bound;
    }
    (all > 0).then_some(lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_interpolated_within_its_bucket() {
        let bounds = [1.0, 2.0, 4.0];
        assert_eq!(quantile(&bounds, &[0, 10, 0, 0], 0.5), Some(1.5));
        assert_eq!(quantile(&bounds, &[5, 5, 0, 0], 0.5), Some(1.0));
        assert_eq!(quantile(&bounds, &[0, 0, 0, 3], 0.99), Some(4.0));
        assert_eq!(quantile(&bounds, &[0, 0, 0, 0], 0.5), None);
    }

    #[test]
    fn samples_of_an_hour_are_kept_and_drawn_with_a_bounded_number_of_points() {
        let mut history = History::default();
        let start = Instant::now();
        for step in 0..1_000 {
            let at = start + SAMPLE_INTERVAL * step;
            history.record(at, Snapshot::default(), Some(Duration::from_millis(1)));
        }
        assert_eq!(history.samples.len(), 721);
        assert!(history.snapshots.len() <= 12);
        let oldest = history.snapshots.front().unwrap().0;
        let newest = start + SAMPLE_INTERVAL * 999;
        assert!(newest - oldest >= COMPARISON_PERIOD);
        let traffic = history.traffic(true);
        let points = traffic.server.len();
        assert!((90..=MAX_POINTS).contains(&points), "{points}");
        assert_eq!(traffic.values[0].len(), points - 1);
        assert!(history.traffic(false).server.is_empty());
    }

    #[test]
    fn a_young_process_is_compared_with_its_start() {
        let mut history = History::default();
        history.record(Instant::now(), Snapshot::default(), None);
        let before = history.before();
        assert!(before.series(&SEALS).is_empty());
        assert_eq!(history.traffic(true).server, [None]);
    }
}
