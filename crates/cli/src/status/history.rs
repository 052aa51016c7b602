//! The last hour of this process, in samples: what went through, how long it took, and how metrics were
//! some minutes ago.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use waxseal_metrics::Snapshot;
use waxseal_metrics::names::{
    KEYRING_NEXT_STEP, OPEN_DURATION, OPENS, RECEIVED_BYTES, SEAL_DURATION, SEALS, SENT_BYTES,
};
use waxseal_page::status::Traffic;

/// Between two samples.
pub(super) const EVERY: Duration = Duration::from_secs(5);
const KEPT: Duration = Duration::from_secs(3600);
/// Between two of the moments that are kept whole, and how far back they reach at least.
const MARK_EVERY: Duration = Duration::from_secs(60);
const MARKS_REACH: Duration = Duration::from_secs(600);
/// A line has no more points: a phone has no more pixels.
const POINTS: usize = 180;

/// The samples.
#[derive(Default)]
pub(super) struct History {
    samples: VecDeque<Sample>,
    marks: VecDeque<(Instant, Snapshot)>,
    /// Since when a step of the keyring is due.
    due: Option<Instant>,
    nothing: Snapshot,
}

struct Sample {
    at: Instant,
    sealed: f64,
    opened: f64,
    received: f64,
    sent: f64,
    sealing: Vec<u64>,
    opening: Vec<u64>,
    server: Option<f64>,
}

impl History {
    /// Metrics are like this now; the server took so long to answer, if it did.
    pub(super) fn note(&mut self, at: Instant, now: Snapshot, server: Option<Duration>) {
        let client = [("side", "client")];
        self.samples.push_back(Sample {
            at,
            sealed: now.sum(&SEALS, &[("result", "ok")]),
            opened: now.sum(&OPENS, &[("result", "ok")]),
            received: now.sum(&RECEIVED_BYTES, &client),
            sent: now.sum(&SENT_BYTES, &client),
            sealing: now.buckets(&SEAL_DURATION),
            opening: now.buckets(&OPEN_DURATION),
            server: server.map(|took| took.as_secs_f64()),
        });
        while self.samples.front().is_some_and(|it| at - it.at > KEPT) {
            self.samples.pop_front();
        }
        // Without a keyring the gauge is not there at all.
        let is_due = |series: &waxseal_metrics::Series| series.value() <= 0.0;
        match now.series(&KEYRING_NEXT_STEP).first().is_some_and(is_due) {
            true => self.due = self.due.or(Some(at)),
            false => self.due = None,
        }
        if self
            .marks
            .back()
            .is_none_or(|(last, _)| at - *last >= MARK_EVERY)
        {
            self.marks.push_back((at, now));
        }
        // The first goes when the next one reaches far enough: there is always one that does.
        while self
            .marks
            .get(1)
            .is_some_and(|(second, _)| at.saturating_duration_since(*second) >= MARKS_REACH)
        {
            self.marks.pop_front();
        }
    }

    /// For how long a step of the keyring is due.
    pub(super) fn due_for(&self) -> Option<Duration> {
        Some(self.due?.elapsed())
    }

    /// How metrics were 10 minutes ago, or a little longer; as at the start of a process, where it is
    /// younger.
    pub(super) fn before(&self) -> &Snapshot {
        let first = self.marks.front();
        let first = first.filter(|(at, _)| at.elapsed() >= MARKS_REACH);
        first.map_or(&self.nothing, |(_, snapshot)| snapshot)
    }

    /// The lines of the page.
    pub(super) fn traffic(&self, has_clients: bool) -> Traffic {
        let step = self.samples.len().div_ceil(POINTS).max(1);
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
            [0.5, 0.99].map(|part| -> Vec<Option<f64>> {
                let of_pair = |(from, to): &(&Sample, &Sample)| {
                    quantile(bounds, &difference(of(from), of(to)), part)
                };
                pairs.iter().map(of_pair).collect()
            })
        };
        let of_clients = |of: fn(&Sample) -> f64| match has_clients {
            true => rate(of),
            false => Vec::new(),
        };
        let ends = self.samples.front().zip(self.samples.back());
        let since = ends.map(|(first, last)| last.at.saturating_duration_since(first.at));
        let since = since.unwrap_or_default().as_millis();
        Traffic {
            since_ms: u64::try_from(since).unwrap_or(u64::MAX),
            values: [rate(|it| it.sealed), rate(|it| it.opened)],
            sealing: quantiles(|it| &it.sealing, SEAL_DURATION.buckets),
            opening: quantiles(|it| &it.opening, OPEN_DURATION.buckets),
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

/// Where this part of the samples is at most, as Prometheus' `histogram_quantile` finds it: even within a
/// bucket. What is above all bounds is at the last one.
fn quantile(bounds: &[f64], counts: &[u64], part: f64) -> Option<f64> {
    let all: u64 = counts.iter().sum();
    let wanted = all as f64 * part;
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
    fn a_quantile_lies_within_its_bucket() {
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
            let at = start + EVERY * step;
            history.note(at, Snapshot::default(), Some(Duration::from_millis(1)));
        }
        assert_eq!(history.samples.len(), 721);
        assert!(history.marks.len() <= 12);
        let oldest = history.marks.front().unwrap().0;
        let newest = start + EVERY * 999;
        assert!(newest - oldest >= MARKS_REACH);
        let traffic = history.traffic(true);
        let points = traffic.server.len();
        assert!((90..=POINTS).contains(&points), "{points}");
        assert_eq!(traffic.values[0].len(), points - 1);
        assert!(history.traffic(false).server.is_empty());
    }

    #[test]
    fn a_young_process_is_compared_with_its_start() {
        let mut history = History::default();
        history.note(Instant::now(), Snapshot::default(), None);
        let before = history.before();
        assert!(before.series(&SEALS).is_empty());
        assert_eq!(history.traffic(true).server, [None]);
    }
}
