//! The log lines of a running proxy about values: those that do not open, and decoys that did; and at its start
//! about scripts. Lines about values are bounded, so that a flood of one kind neither fills the disk nor hides the other.

use std::sync::Arc;
use std::time::Duration;

use waxseal_log_limit::SharedLineLimit;
use waxseal_proxy::{Alarm, BrokenValue, ClientLabel, OpenedDecoy, Report};

use crate::resources::Resources;

/// The maximum number of lines of one kind in a period.
const LINES: u64 = 20;
const PERIOD: Duration = Duration::from_secs(10);

/// Counts one event. Returns true if it is logged; `report_suppressed` is called before with the number of events since
/// the last line that were not, if there are any.
fn is_logged(limit: &SharedLineLimit, report_suppressed: impl FnOnce(u64)) -> bool {
    let suppressed = limit.admit();
    if let Some(suppressed @ 1..) = suppressed {
        report_suppressed(suppressed);
    }
    suppressed.is_some()
}

/// Returns the report that logs values which do not open.
#[must_use]
pub fn reporter() -> Report {
    let limit = SharedLineLimit::new(LINES, PERIOD);
    Arc::new(move |broken: &BrokenValue<'_>| {
        let missing =
            |missing| tracing::error!("{missing} more values were not opened in the last period");
        if is_logged(&limit, missing) {
            tracing::error!(
                record = broken.shown,
                command = broken.command,
                client = address(&broken.client),
                client_name = broken.client.name,
                "{}",
                broken.cause
            );
        }
    })
}

/// Logs for which records unknown scripts are forwarded.
pub fn log_forwarded_scripts(resources: &Resources) {
    let forwarding = resources
        .configuration
        .protected
        .iter()
        .filter(|it| it.forwards_scripts);
    let shown: Vec<_> = forwarding.map(|it| it.pattern.shown()).collect();
    if !shown.is_empty() {
        tracing::warn!(
            "unknown scripts are forwarded for {}: they see sealed values, and what they write is plain",
            shown.join(", ")
        );
    }
}

/// Returns the alarm that logs decoys which were opened.
#[must_use]
pub fn alarm() -> Alarm {
    let limit = SharedLineLimit::new(LINES, PERIOD);
    Arc::new(move |decoy: &OpenedDecoy| {
        let missing =
            |missing| tracing::error!("{missing} more decoys were opened in the last period");
        if is_logged(&limit, missing) {
            tracing::error!(
                record = decoy.shown,
                command = decoy.command,
                client = address(&decoy.client),
                client_name = decoy.client.name,
                "a decoy was opened"
            );
        }
    })
}

/// Returns the address of a client that is still connected.
fn address(client: &ClientLabel) -> Option<&str> {
    (!client.address.is_empty()).then_some(client.address.as_str())
}
