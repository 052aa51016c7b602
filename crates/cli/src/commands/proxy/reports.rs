//! The log lines of a running proxy about values: those that do not open, and decoys that did; and at its start
//! about scripts. Lines about values are bounded, so that a flood of one kind neither fills the disk nor hides the other.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use waxseal_proxy::{Alarm, BrokenValue, ClientLabel, LineLimit, OpenedDecoy, Report};

use waxseal_service::resources::Resources;

/// Lines of one kind: at most so many in a period.
const LINES: u64 = 20;
const PERIOD: Duration = Duration::from_secs(10);

/// The lines of one kind.
struct RateLimitedLog(Mutex<LineLimit>);

impl RateLimitedLog {
    fn new() -> Self {
        Self(Mutex::new(LineLimit::new(LINES, PERIOD)))
    }

    /// True if one more line is written. `missing` tells how many were not in the period before.
    fn may_say(&self, missing: impl FnOnce(u64)) -> bool {
        let mut limit = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let admitted = limit.admit(Instant::now());
        if let Some(left_out @ 1..) = admitted {
            missing(left_out);
        }
        admitted.is_some()
    }
}

/// Writes what does not open.
pub(super) fn reporter() -> Report {
    let bounded = RateLimitedLog::new();
    Arc::new(move |broken: &BrokenValue<'_>| {
        let missing =
            |missing| tracing::error!("{missing} more values were not opened in the last period");
        if bounded.may_say(missing) {
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
pub(super) fn tell_of_scripts(resources: &Resources) {
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

/// Writes which decoys were opened.
pub(super) fn alarm() -> Alarm {
    let bounded = RateLimitedLog::new();
    Arc::new(move |decoy: &OpenedDecoy| {
        let missing =
            |missing| tracing::error!("{missing} more decoys were opened in the last period");
        if bounded.may_say(missing) {
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

/// The address of a client that is still known.
fn address(client: &ClientLabel) -> Option<&str> {
    (!client.address.is_empty()).then_some(client.address.as_str())
}
