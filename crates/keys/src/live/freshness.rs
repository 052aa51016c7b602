//! The age of the last confirmation of the document. Sealing depends on it: a process that has not seen the ring
//! for too long may seal under a key that others have destroyed since.
//!
//! ```text
//! last confirmation ──── propagation delay ──── retention ────► time
//!        seal without asking    │    ask first,      │  sealing stops
//!                               │    seal either way │  (`Lapsed`)
//! ```

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::{Inner, LiveRing};
use crate::clock::millis;
use crate::error::RingError;
use crate::rotation;
use crate::sync::lock;

/// A moment, by both clocks.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    /// Milliseconds since the ring was opened.
    pub(super) since: u64,
    /// Milliseconds since the Unix epoch.
    pub(super) at: u64,
}

impl LiveRing {
    /// The time for which every poll of this process has found the pending key in the document, without a longer
    /// gap and without having restored it. Promotion of the key depends on it.
    #[must_use]
    pub fn pending_watched(&self) -> Option<Duration> {
        let (id, since) = (*lock(&self.0.watched))?;
        let ring = self.ring();
        let pending = rotation::next_to_seal(&ring)?;
        let watched = self.0.moment().since.saturating_sub(since);
        (pending.id == id).then(|| Duration::from_millis(watched))
    }

    /// True if the document was confirmed so recently that values can be sealed without asking.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        let known = self.0.known.load();
        known.ring.settings().is_confirmed(self.0.silent_ms())
    }

    /// Polls the document before sealing if the ring is not confirmed, as after the process was
    /// suspended.
    ///
    /// A document that cannot be reached does not stop sealing until it was out of reach for so long
    /// that others may have destroyed the key: then the error is [`RingError::Lapsed`].
    pub async fn confirm(&self) -> Result<(), RingError> {
        // Known to be out of reach, and polled in the background: callers do not wait for it each time.
        let is_known_failure = !self.is_lapsed() && lock(&self.0.last_error).state().is_some();
        if self.is_confirmed()
            || is_known_failure
            || self.0.refresh_spaced(Instant::now()).await.is_ok()
        {
            return Ok(());
        }
        self.check_lapse()
    }

    /// Confirms like [`confirm`](Self::confirm), waiting no longer than `limit`; a document that does
    /// not answer in time counts as out of reach. A custodian that hangs must not hold up sealing under
    /// a known key.
    pub async fn confirm_within(&self, limit: Duration) -> Result<(), RingError> {
        match tokio::time::timeout(limit, self.confirm()).await {
            Ok(confirmed) => confirmed,
            Err(_) => self.check_lapse(),
        }
    }

    fn is_lapsed(&self) -> bool {
        self.ring().settings().is_lapsed(self.0.silent_ms())
    }

    fn check_lapse(&self) -> Result<(), RingError> {
        let silent = self.0.silent_ms();
        if !self.is_lapsed() {
            return Ok(());
        }
        Err(RingError::Lapsed {
            silent_s: silent.map_or(u64::MAX, |silent| silent / 1000),
        })
    }
}

impl Inner {
    /// The present moment.
    pub(super) fn moment(&self) -> Moment {
        Moment {
            since: millis(self.started.elapsed()),
            at: self.now_ms(),
        }
    }

    /// Notes that the document was read or written after `asked`. Not the present moment: between the
    /// question and the answer a process can be suspended for days.
    pub(super) fn note_confirmed(&self, asked: Moment) {
        self.watch_pending(asked);
        self.confirmed_at.store(asked.at, Ordering::Relaxed);
        self.confirmed
            .store(asked.since.saturating_add(1), Ordering::Release);
    }

    /// Watches the pending key, starting over if the document was out of reach for too long.
    fn watch_pending(&self, asked: Moment) {
        let ring = self.known().ring.clone();
        let max_gap = ring.settings().refresh_ms.saturating_mul(2);
        let is_gap = self.silent_ms().is_none_or(|silent| silent > max_gap);
        let pending = rotation::next_to_seal(&ring).map(|entry| entry.id);
        let mut watched = lock(&self.watched);
        if is_gap || watched.map(|(id, _)| id) != pending {
            *watched = pending.map(|id| (id, asked.since));
        }
    }

    /// The time since the last confirmation, in milliseconds; `None` if there was none. The longer of
    /// the two clocks counts, as either may have stood still.
    pub(super) fn silent_ms(&self) -> Option<u64> {
        let confirmed = self.confirmed.load(Ordering::Acquire).checked_sub(1)?;
        let now = self.moment();
        let at = self.confirmed_at.load(Ordering::Relaxed);
        let by_clock = now.at.saturating_sub(at);
        Some(now.since.saturating_sub(confirmed).max(by_clock))
    }
}
