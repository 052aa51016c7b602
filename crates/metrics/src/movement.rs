//! Which metrics moved while somebody looked on: each metric of the table, from its first reading to its
//! last, of one process that lived all the while.

use crate::metric::Metric;
use crate::names::TABLE;
use crate::snapshot::{Series, Snapshot};

/// Follows all metrics of the table through readings of one process.
#[derive(Clone, Debug)]
pub struct Movement(Vec<MetricMovement>);

/// What one metric did between the first reading and the last.
#[derive(Clone, Debug)]
pub struct MetricMovement {
    /// Which one.
    pub metric: &'static Metric,
    /// Its sum at the first reading; of a histogram the number of its samples.
    pub before: f64,
    /// The same at the last one.
    pub after: f64,
    /// The lowest sum that was read.
    pub lowest: f64,
    /// The highest sum that was read.
    pub highest: f64,
    /// Whether any of its series was ever other than at the first reading. The sum of a gauge may stay
    /// while its series change: a key that goes from one state to another.
    pub moved: bool,
    first: Vec<Series>,
}

impl Movement {
    /// Begins with a first reading.
    #[must_use]
    pub fn begin(first: &Snapshot) -> Self {
        let begin = |metric: &&'static Metric| {
            let series = first.series(metric);
            let sum = sum(series);
            MetricMovement {
                metric,
                before: sum,
                after: sum,
                lowest: sum,
                highest: sum,
                moved: false,
                first: series.to_vec(),
            }
        };
        Self(TABLE.iter().map(begin).collect())
    }

    /// Takes the next reading.
    pub fn note(&mut self, now: &Snapshot) {
        for moved in &mut self.0 {
            let series = now.series(moved.metric);
            let sum = sum(series);
            moved.after = sum;
            moved.lowest = moved.lowest.min(sum);
            moved.highest = moved.highest.max(sum);
            moved.moved |= differ(&moved.first, series) || differ(series, &moved.first);
        }
    }

    /// What each metric did, in the order of the table.
    #[must_use]
    pub fn metrics(&self) -> &[MetricMovement] {
        &self.0
    }
}

fn sum(series: &[Series]) -> f64 {
    series.iter().fold(0.0, |sum, series| sum + series.value())
}

/// True if one of `these` series has another value in `those`; a series that is missing there counts as 0.
fn differ(these: &[Series], those: &[Series]) -> bool {
    these.iter().any(|this| {
        let other = those.iter().find(|other| other.labels() == this.labels());
        this.value() != other.map_or(0.0, Series::value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<'a>(movement: &'a Movement, name: &str) -> &'a MetricMovement {
        let mut metrics = movement.metrics().iter();
        metrics.find(|it| it.metric.name == name).unwrap()
    }

    fn watch(texts: &[&str]) -> Movement {
        let mut movement = Movement::begin(&Snapshot::parse(texts[0]));
        for text in &texts[1..] {
            movement.note(&Snapshot::parse(text));
        }
        movement
    }

    #[test]
    fn every_metric_of_the_table_is_followed_and_none_moves_by_itself() {
        let movement = watch(&["waxseal_ready 1\n", "waxseal_ready 1\n"]);
        let names = movement.metrics().iter().map(|it| it.metric.name);
        assert!(names.eq(TABLE.iter().map(|it| it.name)));
        assert!(movement.metrics().iter().all(|it| !it.moved));
    }

    #[test]
    fn counters_are_summed_and_histograms_tell_their_samples() {
        let movement = watch(&[
            "waxseal_seals_total{result=\"ok\"} 2\n",
            "waxseal_seals_total{result=\"ok\"} 2\nwaxseal_seals_total{result=\"left\"} 3\n\
             waxseal_seal_duration_seconds_sum 0.5\nwaxseal_seal_duration_seconds_count 7\n",
        ]);
        let seals = of(&movement, "waxseal_seals_total");
        assert_eq!((seals.before, seals.after, seals.moved), (2.0, 5.0, true));
        let took = of(&movement, "waxseal_seal_duration_seconds");
        assert_eq!((took.before, took.after, took.moved), (0.0, 7.0, true));
    }

    #[test]
    fn a_gauge_that_came_back_has_moved_and_tells_how_far() {
        let name = "waxseal_client_connections";
        let readings = ["4", "9", "1", "4"].map(|it| format!("{name} {it}\n"));
        let movement = watch(&readings.each_ref().map(String::as_str));
        let gauge = of(&movement, name);
        assert_eq!((gauge.before, gauge.after), (4.0, 4.0));
        assert_eq!((gauge.lowest, gauge.highest, gauge.moved), (1.0, 9.0, true));
    }

    #[test]
    fn a_gauge_moves_where_only_its_series_do_or_where_one_goes() {
        let name = "waxseal_keyring_keys";
        let one = format!("{name}{{state=\"pending\"}} 1\n{name}{{state=\"sealing\"}} 0\n");
        let other = format!("{name}{{state=\"pending\"}} 0\n{name}{{state=\"sealing\"}} 1\n");
        let keys = watch(&[&one, &other]);
        let keys = of(&keys, name);
        assert_eq!((keys.lowest, keys.highest, keys.moved), (1.0, 1.0, true));
        assert!(of(&watch(&[&one, ""]), name).moved);
    }

    #[test]
    fn infinity_that_stays_does_not_move_and_a_new_series_at_0_does_not() {
        let name = "waxseal_keyring_next_step_seconds";
        let never = format!("{name} +Inf\n");
        assert!(!of(&watch(&[&never, &never]), name).moved);
        assert!(of(&watch(&[&never, &format!("{name} 12\n")]), name).moved);
        assert!(!of(&watch(&["", &format!("{name} 0\n")]), name).moved);
    }
}
