//! Attempts after a store failed, with delays between them, until it has failed for too long.

use std::time::Duration;

use tokio::time::Instant;

use crate::options::{Stop, SweepOptions};
use crate::pace::sleep_unless_stopped;

/// Consecutive passes that may end in another generation of the store than they began in. A server that does not show
/// whether it was restarted would be scanned endlessly if each pass loses a connection.
pub(crate) const MAX_PASSES: usize = 8;
/// The delay before the first retry, which doubles with each one.
const MIN_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(2);

/// A store that fails.
#[derive(Default)]
pub(crate) struct Outage(Option<Failing>);

/// Since when it fails, and the delay before the next attempt.
struct Failing {
    since: Instant,
    delay: Duration,
}

/// What comes after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Retry,
    GiveUp,
    Stop,
}

impl Outage {
    /// Waits after a failure, unless the store has failed for too long. `has_advanced`: something was done since the failure
    /// before. `begins` is called if the store did not fail until now.
    pub(crate) async fn wait(
        &mut self,
        has_advanced: bool,
        options: &SweepOptions,
        stop: &Stop,
        begins: impl FnOnce(),
    ) -> Next {
        let before = self.0.take().filter(|_| !has_advanced);
        let failing = before.unwrap_or_else(|| {
            begins();
            Failing {
                since: Instant::now(),
                delay: MIN_DELAY,
            }
        });
        if failing.since.elapsed() >= options.reconnect_timeout {
            return Next::GiveUp;
        }
        sleep_unless_stopped(failing.delay, stop).await;
        if stop.is_stopped() {
            return Next::Stop;
        }
        self.0 = Some(Failing {
            delay: (failing.delay * 2).min(MAX_DELAY),
            ..failing
        });
        Next::Retry
    }
}
