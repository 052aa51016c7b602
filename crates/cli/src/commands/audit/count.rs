//! The passes of an audit: one for each protected pattern, and nothing is written.

use waxseal_service::Failure;
use waxseal_service::configuration::protected::Protected;
use waxseal_service::resources::sweeps::audit_sweep;
use waxseal_service::resources::{Resources, guard};
use waxseal_service::unmatched::Survey;
use waxseal_sweep::{Position, SweepOptions, Tally};

use crate::args::AuditArgs;
use crate::commands::sweep::latency;
use crate::output;
use crate::progress::Progress;
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
        let sweep = audit_sweep(resources, &store, protected, args.deep, options);
        let mut progress = Progress::start(output::is_json(), 0);
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
    let survey = Survey::of(&store, &unmatched(resources, &tallies)).await;
    Ok(Counted { tallies, survey })
}

/// The patterns under which nothing was seen, not even a record of another type.
fn unmatched<'a>(resources: &'a Resources, tallies: &[Tally]) -> Vec<&'a Protected> {
    let each = resources.configuration.protected.iter().zip(tallies);
    let nothing = each.filter(|(_, tally)| !tally.has_found_any());
    nothing.map(|(protected, _)| protected).collect()
}
