//! Counts the stored values by form, as `waxseal audit --deep` does, but throttled so that clients of the store do not notice.
//! Each value is opened, so that values which do not open are found before an application needs them. The count is
//! repeated at intervals, when keys or the store have changed, and for a reader of the page.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use waxseal_core::KeyId;
use waxseal_keys::KeyState;
use waxseal_metrics::{CoverageCounts, CoverageMetrics};
use waxseal_page::counts::Counts;
use waxseal_page::status::{Activity, Count, Coverage, KeyValues, PatternCoverage};
use waxseal_sweep::{Class, Event, Position, Stop, SweepOptions, Tally};
use waxseal_units::thousands;

use super::Shared;
use crate::audit::counts;
use crate::configuration::protected::Protected;
use crate::members::MemberPasses;
use crate::resources::Resources;
use crate::{Failure, audit, now_ms};

/// The maximal number of records per second, about a hundredth of a server's capacity.
const MAX_RATE: u32 = 5_000;
const MAX_LATENCY: Duration = Duration::from_millis(10);
/// The delay after the start, when all applications reconnect.
const START_DELAY: Duration = Duration::from_secs(2);
/// The interval after a count that found no record: applications may start any minute.
const EMPTY_INTERVAL: Duration = Duration::from_secs(600);
/// The delay after a failure.
const RETRY_DELAY: Duration = Duration::from_secs(60);

/// The last count, and the current activity.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    count: Option<Count>,
    pub(super) activity: Activity,
    patterns: Vec<PatternCoverage>,
    /// Values by the key that their envelopes name.
    by_key: BTreeMap<KeyId, u64>,
    /// Values under keys of users.
    of_users: u64,
    /// Values that do not open and name no key.
    unopenable: u64,
    /// The keys of the ring and their states when the count began.
    states: BTreeMap<KeyId, KeyState>,
}

impl Counted {
    pub(super) fn is_running(&self) -> bool {
        matches!(self.activity, Activity::Counting(_))
    }

    pub(super) fn has_failed(&self) -> bool {
        matches!(self.activity, Activity::Failed(..))
    }

    /// The start time of the last count; `None` before the first.
    pub(super) fn began_ms(&self) -> Option<u64> {
        Some(self.count?.began_ms)
    }

    /// Plain values by pattern name.
    pub(super) fn plain(&self) -> impl Iterator<Item = (&str, u64)> {
        self.by_name(|counts| counts.plain)
    }

    /// Values that do not open, by pattern name.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = (&str, u64)> {
        self.by_name(|counts| counts.unopenable)
    }

    /// One of the counts of each pattern, where it is not 0.
    fn by_name(&self, count: fn(&Counts) -> u64) -> impl Iterator<Item = (&str, u64)> {
        let patterns = self.patterns.iter();
        let counts = patterns.map(move |it| (it.name.as_str(), count(&it.counts)));
        counts.filter(|(_, count)| *count > 0)
    }

    /// True if no record matches any pattern.
    pub(super) fn is_empty(&self) -> bool {
        let is_empty = |it: &PatternCoverage| it.counts == Counts::default();
        self.count.is_some() && self.patterns.iter().all(is_empty)
    }

    /// The values under a key in this state. A count that started while the key was in another state is outdated: values of a
    /// key that was destroyed since were counted before.
    pub(super) fn values(&self, id: KeyId, state: Option<KeyState>) -> KeyValues {
        match self.count {
            None => KeyValues::NotCounted,
            Some(_) if self.states.get(&id).copied() != state => KeyValues::Outdated,
            Some(_) => KeyValues::Counted(
                self.by_key.get(&id).copied().unwrap_or_default(),
                self.envelopes(),
            ),
        }
    }

    /// The values under keys of users, and the number of all sealed values.
    pub(super) fn of_users(&self) -> Option<(u64, u64)> {
        self.count.map(|_| (self.of_users, self.envelopes()))
    }

    /// The values under keys for which `includes` returns true.
    pub(super) fn under(&self, includes: impl Fn(KeyId) -> bool) -> u64 {
        let keys = self.by_key.iter().filter(|(id, _)| includes(**id));
        keys.map(|(_, values)| values).sum()
    }

    /// Values that do not open and name no key.
    pub(super) fn unopenable(&self) -> u64 {
        self.unopenable
    }

    /// All sealed values, those that do not open included.
    pub(super) fn envelopes(&self) -> u64 {
        let under_keys = self.under(|_| true).saturating_add(self.of_users);
        under_keys.saturating_add(self.unopenable)
    }

    pub(super) fn coverage(&self) -> Coverage {
        Coverage {
            counted: self.count,
            activity: self.activity.clone(),
            patterns: self.patterns.clone(),
        }
    }

    fn add(&mut self, protected: &Protected, tally: &Tally) {
        for (&(class, _), group) in &tally.groups {
            match class {
                Class::Classic(id) | Class::Sealed(id) | Class::UnknownKey(id) => {
                    *self.by_key.entry(id).or_default() += group.values;
                }
                Class::OfUser => self.of_users += group.values,
                Class::Unopenable => self.unopenable += group.values,
                Class::Plain | Class::Empty | Class::Erased => {}
            }
        }
        self.patterns.push(PatternCoverage {
            name: protected.name.clone(),
            records: protected.pattern.shown().to_owned(),
            counts: counts(tally),
        });
    }
}

/// The counts as the metrics show them.
fn forms(counts: &Counts) -> CoverageCounts {
    CoverageCounts {
        sealed: counts.sealed.saturating_sub(counts.classic),
        classic: counts.classic,
        plain: counts.plain,
        unreadable: counts.unopenable,
        empty: counts.empty,
        erased: counts.erased,
        other_type: counts.other_type_records(),
        excepted: counts.excepted.unsealed(),
    }
}

/// Counts at once and then at every interval; without an interval, when woken.
pub(super) async fn run(
    shared: Arc<Shared>,
    resources: Arc<Resources>,
    interval: Option<Duration>,
) {
    let metrics = CoverageMetrics::new();
    match interval {
        Some(_) => sleep(START_DELAY).await,
        None => wait(&shared, None, Activity::OnDemand).await,
    }
    loop {
        match count(&shared, &resources).await {
            Ok(counted) => {
                let forms = counted
                    .patterns
                    .iter()
                    .map(|it| (it.name.as_str(), forms(&it.counts)));
                metrics.set(counted.began_ms().unwrap_or_default(), forms);
                let pause = match counted.is_empty() {
                    true => interval.map(|it| it.min(EMPTY_INTERVAL)),
                    false => interval,
                };
                shared.known().counted = counted;
                let next =
                    pause.map_or(Activity::OnDemand, |pause| Activity::Waiting(after(pause)));
                wait(&shared, pause, next).await;
            }
            Err(failure) => {
                let pause = interval.map_or(RETRY_DELAY, |it| RETRY_DELAY.min(it));
                let failed = Activity::Failed(failure.text().to_owned(), after(pause));
                wait(&shared, Some(pause), failed).await;
            }
        }
    }
}

/// Waits for the next count: for this time, or until woken.
async fn wait(shared: &Shared, pause: Option<Duration>, activity: Activity) {
    shared.known().counted.activity = activity;
    match pause {
        Some(pause) => tokio::select! {
            () = sleep(pause) => {}
            () = shared.count.notified() => {}
        },
        None => shared.count.notified().await,
    }
}

/// The time after a pause, in milliseconds since the Unix epoch.
fn after(pause: Duration) -> u64 {
    let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    now_ms().saturating_add(pause)
}

fn set_progress(shared: &Shared, progress: String) {
    shared.known().counted.activity = Activity::Counting(progress);
}

async fn count(shared: &Shared, resources: &Resources) -> Result<Counted, Failure> {
    set_progress(shared, "it begins".to_owned());
    let (began_ms, began) = (now_ms(), Instant::now());
    let mut counted = Counted {
        states: states(resources),
        ..Counted::default()
    };
    let store = resources.open_store().await?;
    let passes = MemberPasses::begin(resources);
    let mut tallies = Vec::new();
    for protected in resources.configuration.all_protected() {
        let options = SweepOptions {
            max_rate: Some(MAX_RATE),
            max_latency: Some(MAX_LATENCY),
            ..SweepOptions::default()
        };
        let sweep = audit::sweep(resources, &store, &protected, true, options);
        let mut watch = |event: Event<'_>| {
            if let Event::Progress { position, .. } = event {
                let examined = thousands(position.examined);
                set_progress(
                    shared,
                    format!("{examined} records of {} so far", protected.name),
                );
            }
        };
        let report = sweep
            .run(Position::default(), &Stop::default(), &mut watch)
            .await
            .map_err(|interrupted| Failure::from(interrupted.error))?;
        let tally = report.position.counts();
        counted.add(&protected, &tally);
        tallies.push((protected, tally));
    }
    let tallies = tallies.iter().map(|(protected, tally)| (protected, tally));
    passes.record(resources, tallies).await;
    counted.count = Some(Count {
        began_ms,
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    Ok(counted)
}

/// The keys of the ring with their states; empty without a ring.
fn states(resources: &Resources) -> BTreeMap<KeyId, KeyState> {
    let Ok(opened) = resources.opened_ring() else {
        return BTreeMap::new();
    };
    let ring = opened.ring.ring();
    ring.keys()
        .iter()
        .map(|entry| (entry.id, entry.state))
        .collect()
}
