//! The audit pass: one sweep over the records of each pattern that opens values and writes nothing. The command `audit`,
//! the count of the status page, the end of a rotation and the doctor share it.

use std::sync::Arc;

use waxseal_core::{KeyId, Mode};
use waxseal_stores::RecordStore;
use waxseal_sweep::{Audit, Class, Event, Position, Stop, Sweep, SweepOptions, Tally};

use crate::Failure;
use crate::configuration::protected::Protected;
use crate::resources::{Resources, keys};

/// Returns the audit pass over the records of one pattern. It writes nothing, whatever the options say.
#[must_use]
pub fn sweep(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
    protected: &Protected,
    deep: bool,
    options: SweepOptions,
) -> Sweep {
    let sealer = keys::sealer(resources, protected, Mode::On);
    Sweep {
        store: store.clone(),
        pattern: protected.pattern.clone(),
        task: Arc::new(Audit::new(sealer, deep)),
        keys: keys::sweep_keys(resources, protected),
        mask: keys::name_mask(resources),
        options: SweepOptions {
            dry_run: true,
            ..options
        },
    }
}

/// Runs an audit pass to its end, and returns its counts.
pub async fn count(
    sweep: &Sweep,
    stop: &Stop,
    watch: &mut (dyn FnMut(Event<'_>) + Send),
) -> Result<Tally, Failure> {
    let report = sweep.run(Position::default(), stop, watch).await;
    let report = report.map_err(|interrupted| Failure::from(interrupted.error))?;
    match report.complete {
        true => Ok(report.position.counts()),
        false => Err(Failure::failed("stopped by a signal before the end")),
    }
}

/// Returns the patterns that match no record, not even one of another type. `tallies` are the counts of the patterns
/// in their order.
#[must_use]
pub fn unmatched<'a>(patterns: &'a [Protected], tallies: &[Tally]) -> Vec<&'a Protected> {
    let each = patterns.iter().zip(tallies);
    each.filter(|(_, tally)| !tally.has_found_any())
        .map(|(protected, _)| protected)
        .collect()
}

/// Counts the values under certain keys (`None`: keys of users) among the records that the configuration protects and
/// a command over some patterns has not swept.
pub async fn count_not_swept(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
    includes: impl Fn(Option<KeyId>) -> bool,
) -> Result<u64, Failure> {
    let swept = &resources.configuration.protected;
    let mut values = 0;
    for protected in resources.configuration.protected_by_file()? {
        if swept.iter().any(|it| it.pattern == protected.pattern) {
            continue;
        }
        let sweep = sweep(resources, store, &protected, false, SweepOptions::default());
        let tally = count(&sweep, &Stop::default(), &mut |_| {}).await?;
        values += tally.count(|class| match class {
            Class::Classic(key) | Class::Sealed(key) | Class::UnknownKey(key) => {
                includes(Some(key))
            }
            Class::OfUser => includes(None),
            Class::Empty | Class::Plain | Class::Erased | Class::Unopenable => false,
        });
    }
    Ok(values)
}
