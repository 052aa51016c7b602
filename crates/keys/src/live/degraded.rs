//! The last error of a ring: reported when it begins, at intervals while it lasts, and when it ends.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info};

use super::{Inner, LiveRing};
use crate::error::RingError;
use crate::sync::lock;

/// Between two log lines about an error that lasts.
pub(super) const REMINDER_INTERVAL: Duration = Duration::from_secs(300);

/// The present problem with the document.
#[derive(Clone, Debug)]
pub struct Degraded {
    /// The error of the last poll.
    pub error: RingError,
    /// The time since it began.
    pub since: Duration,
}

impl LiveRing {
    /// The present problem with the document, if there is one. The last good ring stays in use while it
    /// lasts.
    #[must_use]
    pub fn degraded(&self) -> Option<Degraded> {
        let last_error = lock(&self.0.last_error);
        let (error, since) = last_error.state()?;
        Some(Degraded {
            error: error.clone(),
            since: Instant::from_std(since).elapsed(),
        })
    }
}

impl Inner {
    /// Logs the result of a poll where it is new or was last logged long ago.
    pub(super) fn report(&self, error: Option<&RingError>) {
        let mut last_error = lock(&self.last_error);
        let Some(error) = error else {
            if last_error.clear() {
                info!("keyring recovered");
            }
            return;
        };
        if !last_error.record(error.clone(), Instant::now().into_std()) {
            return;
        }
        error!(
            "{error}; the last good keyring (version {}) stays in use",
            self.known().ring.version()
        );
    }
}
