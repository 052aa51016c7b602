//! Counts how records lie in the store, now and then, as `waxseal audit --deep` does: slowly, so that nobody
//! who uses the store feels it. Each value is opened, so that what does not open is known before somebody
//! needs it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use waxseal_core::KeyId;
use waxseal_metrics::{CoverageMetrics, Lying};
use waxseal_page::status::{Coverage, PatternCoverage};
use waxseal_page::words::span;
use waxseal_sweep::{Class, Event, Position, Stop, SweepOptions, Tally};

use super::Shared;
use crate::commands::audit_of;
use crate::error::Failure;
use crate::setup::{Protected, Setup, now_ms};

/// Records a second at most: a hundredth of what a server gives away.
const RATE: u32 = 5_000;
const LATENCY: Duration = Duration::from_millis(10);
/// After the start, when applications come back all at once.
const FIRST: Duration = Duration::from_secs(2);
/// After a failure.
const AGAIN: Duration = Duration::from_secs(60);

/// What was counted last.
#[derive(Clone, Debug, Default)]
pub(super) struct Counted {
    began_ms: Option<u64>,
    patterns: Vec<(String, String, Lying)>,
    /// Values under each key of a ring, and under keys of users.
    by_key: BTreeMap<KeyId, u64>,
    of_users: u64,
    note: String,
}

impl Counted {
    /// For a process that does not count.
    pub(super) fn never() -> Self {
        Self {
            note: "This process does not count; waxseal audit does.".to_owned(),
            ..Self::default()
        }
    }

    /// Plain values by pattern name.
    pub(super) fn plain(&self) -> impl Iterator<Item = (&str, u64)> {
        let patterns = self.patterns.iter();
        patterns.filter_map(|(name, _, lying)| (lying.plain > 0).then_some((&**name, lying.plain)))
    }

    /// Values under a key, of all that are under some key; `None` before they were counted.
    pub(super) fn share(&self, id: KeyId) -> Option<(u64, u64)> {
        self.began_ms?;
        let all = self
            .by_key
            .values()
            .sum::<u64>()
            .saturating_add(self.of_users);
        Some((self.by_key.get(&id).copied().unwrap_or_default(), all))
    }

    pub(super) fn coverage(&self) -> Coverage {
        let pattern = |(name, records, lying): &(String, String, Lying)| PatternCoverage {
            name: name.clone(),
            records: records.clone(),
            sealed: lying.sealed,
            classic: lying.classic,
            plain: lying.plain,
            unreadable: lying.unreadable,
            other: lying.empty.saturating_add(lying.erased),
            other_types: lying.other_type,
        };
        Coverage {
            counted_ms: self.began_ms,
            note: self.note.clone(),
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
                Class::Plain | Class::Empty | Class::Erased | Class::Unopenable => {}
            }
        }
        let records = protected.pattern.shown().to_owned();
        self.patterns
            .push((protected.name.clone(), records, lying(tally)));
    }
}

/// How the values of a pass lie.
fn lying(tally: &Tally) -> Lying {
    Lying {
        sealed: tally.count(|class| matches!(class, Class::Sealed(_) | Class::OfUser)),
        classic: tally.count(|class| matches!(class, Class::Classic(_))),
        plain: tally.count(|class| class == Class::Plain),
        unreadable: tally.failed,
        empty: tally.empty,
        erased: tally.erased,
        other_type: tally.skipped(),
    }
}

pub(super) async fn run(shared: Arc<Shared>, setup: Arc<Setup>, every: Duration) {
    let metrics = CoverageMetrics::new();
    sleep(FIRST).await;
    loop {
        let pause = match count(&shared, &setup).await {
            Ok(mut counted) => {
                let ms = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
                counted.note = format!("Counted again every {}.", span(ms));
                let found = counted.patterns.iter();
                let found = found.map(|(name, _, lying)| (&**name, *lying));
                metrics.counted(counted.began_ms.unwrap_or_default(), found);
                shared.known().counted = counted;
                every
            }
            Err(failure) => {
                let text = failure.text();
                tell(
                    &shared,
                    format!("Counting failed, and is tried again: {text}."),
                );
                AGAIN.min(every)
            }
        };
        sleep(pause).await;
    }
}

fn tell(shared: &Shared, note: String) {
    shared.known().counted.note = note;
}

async fn count(shared: &Shared, setup: &Setup) -> Result<Counted, Failure> {
    let mut counted = Counted {
        began_ms: Some(now_ms()),
        ..Counted::default()
    };
    let store = setup.open_store().await?;
    for protected in setup.all_protected()? {
        let options = SweepOptions {
            max_rate: Some(RATE),
            max_latency: Some(LATENCY),
            ..SweepOptions::default()
        };
        let sweep = audit_of(setup, &store, &protected, true, options);
        let mut watch = |event: Event<'_>| {
            if let Event::Progress { position, .. } = event {
                let examined = position.examined;
                tell(
                    shared,
                    format!("Counting: {examined} of {} so far.", protected.name),
                );
            }
        };
        let report = sweep
            .run(Position::default(), &Stop::default(), &mut watch)
            .await
            .map_err(|interrupted| Failure::from(interrupted.error))?;
        counted.add(&protected, &report.position.counts());
    }
    Ok(counted)
}
