//! Counts the stored values by form, as `waxseal audit --deep` does: slowly, so that nobody who uses the store
//! feels it. Each value is opened, so that what does not open is known before somebody needs it. Counted
//! again now and then, when keys or the store have changed, and when a reader asks for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use waxseal_core::KeyId;
use waxseal_keys::KeyState;
use waxseal_metrics::{CoverageCounts, CoverageMetrics};
use waxseal_page::format::thousands;
use waxseal_page::status::{Activity, Count, Coverage, KeyValues, PatternCoverage};
use waxseal_service::Failure;
use waxseal_service::configuration::protected::Protected;
use waxseal_service::now_ms;
use waxseal_service::resources::Resources;
use waxseal_sweep::{Class, Event, Position, Stop, SweepOptions, Tally};

use super::Shared;

/// Records a second at most: a hundredth of what a server gives away.
const RATE: u32 = 5_000;
const LATENCY: Duration = Duration::from_millis(10);
/// After the start, when applications come back all at once.
const START_DELAY: Duration = Duration::from_secs(2);
/// After a count that found no record at all: applications may begin any minute.
const EMPTY_INTERVAL: Duration = Duration::from_secs(600);
/// After a failure.
const RETRY_DELAY: Duration = Duration::from_secs(60);

/// A pattern: its name, itself, its values by form, and how many of these are excepted and sealed.
type Found = (String, String, CoverageCounts, u64);

/// The last count, and the counting now.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    count: Option<Count>,
    pub(super) activity: Activity,
    patterns: Vec<Found>,
    /// Values by the key that their envelopes name, and under keys of users.
    by_key: BTreeMap<KeyId, u64>,
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

    /// When it began, `None` before the first count.
    pub(super) fn began_ms(&self) -> Option<u64> {
        Some(self.count?.began_ms)
    }

    /// Plain values by pattern name.
    pub(super) fn plain(&self) -> impl Iterator<Item = (&str, u64)> {
        self.found(|lying| lying.plain)
    }

    /// Values that do not open, by pattern name.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = (&str, u64)> {
        self.found(|lying| lying.unreadable)
    }

    fn found(&self, of: fn(&CoverageCounts) -> u64) -> impl Iterator<Item = (&str, u64)> {
        let patterns = self.patterns.iter();
        patterns
            .filter_map(move |(name, _, lying, _)| (of(lying) > 0).then_some((&**name, of(lying))))
    }

    /// Whether no record was found under any pattern.
    pub(super) fn is_of_nothing(&self) -> bool {
        let is_nothing = |lying: &CoverageCounts| *lying == CoverageCounts::default();
        self.count.is_some()
            && self
                .patterns
                .iter()
                .all(|(_, _, lying, _)| is_nothing(lying))
    }

    /// The values under a key in this state. A count that began while the key was in another state says
    /// nothing: the values of a key that is destroyed now were counted when it was not.
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

    /// The values under keys of users, of all that are sealed.
    pub(super) fn of_users(&self) -> Option<(u64, u64)> {
        self.count.map(|_| (self.of_users, self.envelopes()))
    }

    /// The values under keys for which `of` answers true, of all that are sealed.
    pub(super) fn under(&self, of: impl Fn(KeyId) -> bool) -> u64 {
        let keys = self.by_key.iter().filter(|(id, _)| of(**id));
        keys.map(|(_, values)| values).sum()
    }

    /// Values that do not open and name no key.
    pub(super) fn unopenable(&self) -> u64 {
        self.unopenable
    }

    /// All values that are sealed, whether they open or not.
    pub(super) fn envelopes(&self) -> u64 {
        let under_keys = self.under(|_| true).saturating_add(self.of_users);
        under_keys.saturating_add(self.unopenable)
    }

    pub(super) fn coverage(&self) -> Coverage {
        let pattern = |(name, records, lying, excepted_sealed): &Found| PatternCoverage {
            name: name.clone(),
            records: records.clone(),
            sealed: lying.sealed,
            classic: lying.classic,
            plain: lying.plain,
            unreadable: lying.unreadable,
            other: lying.empty.saturating_add(lying.erased),
            other_types: lying.other_type,
            excepted: lying.excepted,
            excepted_sealed: *excepted_sealed,
        };
        Coverage {
            counted: self.count,
            activity: self.activity.clone(),
            patterns: self.patterns.iter().map(pattern).collect(),
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
        let records = protected.pattern.shown().to_owned();
        self.patterns.push((
            protected.name.clone(),
            records,
            lying(tally),
            tally.excepted.sealed,
        ));
    }
}

/// The values of a pass by form.
fn lying(tally: &Tally) -> CoverageCounts {
    CoverageCounts {
        sealed: tally.count(|class| matches!(class, Class::Sealed(_) | Class::OfUser)),
        classic: tally.count(|class| matches!(class, Class::Classic(_))),
        plain: tally.count(|class| class == Class::Plain),
        unreadable: tally.failed,
        empty: tally.empty,
        erased: tally.erased,
        other_type: tally.skipped(),
        excepted: tally.excepted.unsealed(),
    }
}

/// Counts at once and then every so often, or only when it is woken.
pub(super) async fn run(shared: Arc<Shared>, resources: Arc<Resources>, every: Option<Duration>) {
    let metrics = CoverageMetrics::new();
    match every {
        Some(_) => sleep(START_DELAY).await,
        None => wait(&shared, None, Activity::OnDemand).await,
    }
    loop {
        match count(&shared, &resources).await {
            Ok(counted) => {
                let found = counted.patterns.iter();
                let found = found.map(|(name, _, lying, _)| (&**name, *lying));
                metrics.counted(counted.began_ms().unwrap_or_default(), found);
                let pause = match counted.is_of_nothing() {
                    true => every.map(|every| every.min(EMPTY_INTERVAL)),
                    false => every,
                };
                shared.known().counted = counted;
                let next =
                    pause.map_or(Activity::OnDemand, |pause| Activity::Waiting(after(pause)));
                wait(&shared, pause, next).await;
            }
            Err(failure) => {
                let pause = every.map_or(RETRY_DELAY, |every| RETRY_DELAY.min(every));
                let failed = Activity::Failed(failure.text().to_owned(), after(pause));
                wait(&shared, Some(pause), failed).await;
            }
        }
    }
}

/// Waits for the next count: so long, or until somebody wants it.
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

fn after(pause: Duration) -> u64 {
    let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    now_ms().saturating_add(pause)
}

fn tell(shared: &Shared, progress: String) {
    shared.known().counted.activity = Activity::Counting(progress);
}

async fn count(shared: &Shared, resources: &Resources) -> Result<Counted, Failure> {
    tell(shared, "it begins".to_owned());
    let (began_ms, began) = (now_ms(), Instant::now());
    let mut counted = Counted {
        states: states(resources),
        ..Counted::default()
    };
    let store = resources.open_store().await?;
    for protected in resources.configuration.all_protected() {
        let options = SweepOptions {
            max_rate: Some(RATE),
            max_latency: Some(LATENCY),
            ..SweepOptions::default()
        };
        let sweep = waxseal_service::audit::sweep(resources, &store, &protected, true, options);
        let mut watch = |event: Event<'_>| {
            if let Event::Progress { position, .. } = event {
                let examined = thousands(position.examined);
                tell(
                    shared,
                    format!("{examined} records of {} so far", protected.name),
                );
            }
        };
        let report = sweep
            .run(Position::default(), &Stop::default(), &mut watch)
            .await
            .map_err(|interrupted| Failure::from(interrupted.error))?;
        counted.add(&protected, &report.position.counts());
    }
    counted.count = Some(Count {
        began_ms,
        took_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    Ok(counted)
}

/// The keys of the ring with their states; none without a ring.
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
