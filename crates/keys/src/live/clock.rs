//! Comparing this process's clock with the server's, and telling what is wrong with times.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};

use super::{Inner, LiveRing, lock};
use crate::clock::ClockOffset;
use crate::error::{ChangeError, DocumentStoreError, RingError};

/// How old a comparison may be until the clocks are compared again.
const COMPARE_INTERVAL: Duration = Duration::from_secs(60);
/// How often what stays wrong is told again.
const REMINDER_INTERVAL: Duration = Duration::from_secs(3600);

/// What is known about this process's clock, and what was told of it.
#[derive(Default)]
pub(super) struct Comparison {
    offset: Option<ClockOffset>,
    compared: Option<Instant>,
    told: Option<Instant>,
    told_times: Option<Instant>,
}

impl LiveRing {
    /// How far this process's clock is ahead of the server's, as it was compared last; `None` where there is no
    /// server, or it does not tell its time.
    #[must_use]
    pub fn clock_offset(&self) -> Option<ClockOffset> {
        lock(&self.0.clock).offset
    }

    /// Compares the clocks now. [`ChangeError::Clock`] where they are so far apart that this process must not
    /// change keys.
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
    /// Compares the clocks, if that was not done lately. A server that does not tell its time is no error.
    pub(super) async fn keep_clock_compared(&self) {
        let compared = lock(&self.clock).compared;
        if compared.is_none_or(|at| at.elapsed() >= COMPARE_INTERVAL) {
            let _ = self.compare_clocks().await;
            self.tell_of_times();
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
        self.tell_of_clock(offset);
        Ok(())
    }

    /// The time for what is written into the document: by the server's clock where this one cannot be trusted.
    pub(super) fn document_ms(&self) -> u64 {
        let now = self.now_ms();
        match lock(&self.clock).offset {
            Some(offset) if !offset.is_usable() => offset.server_ms(now),
            _ => now,
        }
    }

    fn tell_of_clock(&self, offset: Option<ClockOffset>) {
        let mut clock = lock(&self.clock);
        let Some(offset) = offset.filter(|offset| offset.is_notable()) else {
            if clock.told.take().is_some() {
                info!("the clock of this machine agrees with that of the keyring's server again");
            }
            return;
        };
        if !is_due(&mut clock.told) {
            return;
        }
        let location = self.store.location();
        match offset.is_usable() {
            true => warn!(
                "the clock of this machine is {offset} that of the server at {location}: set both by NTP"
            ),
            false => error!(
                "the clock of this machine is {offset} that of the server at {location}: this process makes, \
                 promotes and destroys no keys until both are set right"
            ),
        }
    }

    /// Tells of times in the document that no right clock wrote, unless this one is wrong.
    fn tell_of_times(&self) {
        let wrong = self.known().ring.wrong_times(self.document_ms());
        let mut clock = lock(&self.clock);
        if wrong.is_empty() {
            clock.told_times = None;
        } else if is_due(&mut clock.told_times) {
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

/// Whether it is time to tell; then it is noted as told.
fn is_due(told: &mut Option<Instant>) -> bool {
    let is_due = told.is_none_or(|at| at.elapsed() >= REMINDER_INTERVAL);
    if is_due {
        *told = Some(Instant::now());
    }
    is_due
}
