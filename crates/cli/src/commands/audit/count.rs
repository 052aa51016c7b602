//! The passes of an audit: one for each protected pattern, and nothing is written.

use std::sync::Arc;

use waxseal_core::Mode;
use waxseal_stores::RecordStore;
use waxseal_sweep::{Audit, Position, Sweep, SweepOptions, Tally};

use crate::args::AuditArgs;
use crate::commands::sweep::latency;
use crate::commands::unmatched::Survey;
use crate::error::Failure;
use crate::progress::Progress;
use crate::setup::{Protected, Setup};
use crate::signals::stop_on_signal;

/// Reading alone goes faster in larger batches than a sweep that writes.
const BATCH: usize = 1_000;

/// The counts of the passes.
pub(super) struct Counted {
    /// The counts of each protected pattern, in their order.
    pub(super) tallies: Vec<Tally>,
    /// The findings about patterns that nothing matches.
    pub(super) survey: Survey,
}

pub(super) async fn count(setup: &Setup, args: &AuditArgs) -> Result<Counted, Failure> {
    let store = setup.open_store().await?;
    setup.check_key(&store).await?;
    setup.warn_of_left_out();
    let stop = stop_on_signal()?;
    let mut tallies = Vec::new();
    for protected in &setup.protected {
        let options = SweepOptions {
            batch: BATCH,
            max_latency: latency(args.max_latency),
            ..SweepOptions::default()
        };
        let sweep = audit_of(setup, &store, protected, args.deep, options);
        let mut progress = Progress::start(setup.json, 0);
        let outcome = sweep
            .run(Position::default(), &stop, &mut |event| {
                progress.show(&event);
            })
            .await;
        progress.end();
        let report = outcome.map_err(|interrupted| Failure::from(interrupted.error))?;
        if !report.complete {
            return Err(Failure::failed("stopped by a signal before the end"));
        }
        tallies.push(report.position.counts());
    }
    let survey = Survey::of(&store, &unmatched(setup, &tallies)).await;
    Ok(Counted { tallies, survey })
}

/// The patterns under which nothing was seen, not even a record of another type.
fn unmatched<'a>(setup: &'a Setup, tallies: &[Tally]) -> Vec<&'a Protected> {
    let each = setup.protected.iter().zip(tallies);
    let nothing = each.filter(|(_, tally)| !tally.has_found_any());
    nothing.map(|(protected, _)| protected).collect()
}

/// The pass over the records of one pattern. It writes nothing, whatever the options say.
pub(crate) fn audit_of(
    setup: &Setup,
    store: &Arc<dyn RecordStore>,
    protected: &Protected,
    deep: bool,
    options: SweepOptions,
) -> Sweep {
    Sweep {
        store: store.clone(),
        pattern: protected.pattern.clone(),
        task: Arc::new(Audit::new(setup.sealer(protected, Mode::On), deep)),
        keys: setup.keys(protected),
        mask: setup.mask(),
        options: SweepOptions {
            dry_run: true,
            ..options
        },
    }
}
