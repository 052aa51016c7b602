//! Comparing this process's clock with the server's, and reporting wrong clocks and wrong times.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};
use waxseal_log_limit::Reminder;

use super::{Inner, LiveRing};
use crate::clock::ClockOffset;
use crate::document_store::DocumentStoreError;
use crate::error::{ChangeError, RingError};
use crate::sync::lock;

/// The age at which a comparison of the clocks is repeated.
const COMPARE_INTERVAL: Duration = Duration::from_secs(60);
/// Between two log lines about what stays wrong.
const REMINDER_INTERVAL: Duration = Duration::from_secs(3600);

/// The last comparison of this process's clock with the server's, and what was logged about it.
pub(super) struct Comparison {
    offset: Option<ClockOffset>,
    compared: Option<Instant>,
    wrong_offset: Reminder<()>,
    wrong_times: Reminder<()>,
}

impl Default for Comparison {
    fn default() -> Self {
        Self {
            offset: None,
            compared: None,
            wrong_offset: Reminder::new(REMINDER_INTERVAL),
            wrong_times: Reminder::new(REMINDER_INTERVAL),
        }
    }
}

impl LiveRing {
    /// The lead of this process's clock over the server's, by the last comparison; `None` if there is no
    /// server, or it does not report its time.
    #[must_use]
    pub fn clock_offset(&self) -> Option<ClockOffset> {
        lock(&self.0.clock).offset
    }

    /// Compares the clocks now. The error is [`ChangeError::Clock`] if they are so far apart that this
    /// process must not change keys.
    pub async fn check_clock(&self) -> Result<(), RingError> {
        self.0.compare_clocks().await?;
        match self.clock_offset() {
            Some(offset) if !offset.is_usable() => Err(ChangeError::Clock {
                location: self.location(),
                offset,
            }
            .into()),
            _ => Ok(()),
        }
    }
}

impl Inner {
    /// Compares the clocks, unless that was done recently. A server that does not report its time is not
    /// an error.
    pub(super) async fn keep_clock_compared(&self) {
        let compared = lock(&self.clock).compared;
        if compared.is_none_or(|at| at.elapsed() >= COMPARE_INTERVAL) {
            let _ = self.compare_clocks().await;
            self.report_wrong_times();
        }
    }

    async fn compare_clocks(&self) -> Result<(), DocumentStoreError> {
        let asked = self.now_ms();
        let server = self.store.time_ms().await?;
        let offset =
            server.map(|server| ClockOffset::from_round_trip(asked, server, self.now_ms()));
        {
            let mut clock = lock(&self.clock);
            clock.offset = offset;
            clock.compared = Some(Instant::now());
        }
        self.report_offset(offset);
        Ok(())
    }

    /// The time to write into the document: by the server's clock if this one cannot be trusted.
    pub(super) fn document_ms(&self) -> u64 {
        let now = self.now_ms();
        match lock(&self.clock).offset {
            Some(offset) if !offset.is_usable() => offset.server_ms(now),
            _ => now,
        }
    }

    fn report_offset(&self, offset: Option<ClockOffset>) {
        let mut clock = lock(&self.clock);
        let Some(offset) = offset.filter(|offset| offset.is_notable()) else {
            if clock.wrong_offset.clear() {
                info!("the clock of this machine agrees with that of the keyring's server again");
            }
            return;
        };
        if !clock.wrong_offset.record((), Instant::now().into_std()) {
            return;
        }
        let location = self.store.location();
        match offset.is_usable() {
            true => warn!(
                "the clock of this machine is {offset} that of the server at {location}: set both by NTP"
            ),
            false => error!(
                "the clock of this machine is {offset} that of the server at {location}: this process creates, \
                 promotes and destroys no keys until both are set right"
            ),
        }
    }

    /// Reports times in the document that no correct clock can have written, unless this clock is wrong.
    fn report_wrong_times(&self) {
        let wrong = self.known().ring.wrong_times(self.document_ms());
        let mut clock = lock(&self.clock);
        if wrong.is_empty() {
            clock.wrong_times.clear();
        } else if clock.wrong_times.record((), Instant::now().into_std()) {
            error!(
                "the keyring holds {} too far in the future: a clock was wrong when the keyring was written, \
                 and rotation waits; waxseal keyring repair-times sets it right",
                match wrong.len() {
                    1 => "a time that is".to_owned(),
                    count => format!("{count} times that are"),
                }
            );
        }
    }
}
