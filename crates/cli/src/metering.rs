//! Counting, where somebody can ask for it: installs the recorder and keeps its memory bounded. What is
//! counted is the business of the crates beneath.

use std::time::Duration;

use waxseal_metrics::prometheus;

use crate::error::Failure;

/// Between two times that samples are brought into their buckets.
const UPKEEP: Duration = Duration::from_secs(5);

/// From here on everything is counted whose handles are made afterwards.
pub(crate) fn begin() -> Result<(), Failure> {
    prometheus::install().map_err(|error| Failure::failed(&error))?;
    tokio::spawn(async {
        let mut tick = tokio::time::interval(UPKEEP);
        loop {
            tick.tick().await;
            prometheus::upkeep();
        }
    });
    Ok(())
}
