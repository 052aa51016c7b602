//! Runs the passes of an audit with a progress bar.

use waxseal_service::Failure;
use waxseal_service::resources::{Resources, guard, names_in_clear};
use waxseal_service::unmatched::Survey;
use waxseal_service::{audit, names};
use waxseal_sweep::{Event, SweepOptions, Tally};

use crate::args::AuditArgs;
use crate::commands::sweep::latency;
use crate::output;
use crate::progress::Progress;
use crate::signals::stop_on_signal;

/// Reading is faster in larger batches than those of a sweep that writes.
const BATCH: usize = 1_000;

/// The counts of the passes.
pub(super) struct Counted {
    /// The counts of each protected pattern, in their order.
    pub(super) tallies: Vec<Tally>,
    /// The findings about patterns that match no record.
    pub(super) survey: Survey,
}

pub(super) async fn count(resources: &Resources, args: &AuditArgs) -> Result<Counted, Failure> {
    let store = resources.open_store().await?;
    guard::check_key(resources, &store).await?;
    resources.configuration.warn_of_skipped_records();
    let stop = stop_on_signal()?;
    let mut tallies = Vec::new();
    for protected in &resources.configuration.protected {
        let options = SweepOptions {
            batch: BATCH,
            max_latency: latency(args.max_latency),
            ..SweepOptions::default()
        };
        let sweep = audit::sweep(resources, &store, protected, args.deep, options.clone());
        let mut progress = Progress::start(output::is_json(), 0);
        let counted = audit::count(&sweep, &stop, &mut |event| progress.show(&event)).await;
        progress.end();
        let mut tally = counted?;
        if protected.names.is_some() || args.require_names.is_some() {
            let mut progress = Progress::start(output::is_json(), 0);
            let mut watch = |event: Event<'_>| progress.show(&event);
            let stored = names_in_clear::stored(&store);
            let counted =
                names::count(resources, stored, protected, options, &stop, &mut watch).await;
            progress.end();
            tally.names = counted?;
        }
        tallies.push(tally);
    }
    let unmatched = audit::unmatched(&resources.configuration.protected, &tallies);
    let survey = Survey::of(&store, &unmatched).await;
    Ok(Counted { tallies, survey })
}
