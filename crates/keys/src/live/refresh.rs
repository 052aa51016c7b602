//! Polls on demand: one at a time, shared by all callers that asked before it began, and spaced where
//! values force them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use waxseal_core::KeyId;

use super::{Inner, LiveRing};
use crate::error::RingError;
use crate::ring::Ring;

/// Between two polls that values with unknown keys force.
const FORCED_POLL_INTERVAL: Duration = Duration::from_millis(500);

/// A finished poll. Callers that asked before it began share its result.
pub(super) struct CompletedPoll {
    began: Instant,
    result: Result<(), RingError>,
}

impl LiveRing {
    /// Polls the document now. Of several concurrent callers, one polls for all.
    pub async fn refresh(&self) -> Result<Arc<Ring>, RingError> {
        self.0.refresh(Instant::now()).await?;
        Ok(self.ring())
    }

    /// Polls the document because a value names a key that the ring does not hold: at most every half
    /// second, and not again for a while for an id that was not found. Returns true if the ring holds
    /// the key now.
    pub async fn learn(&self, id: KeyId) -> bool {
        let is_held = || {
            let is_data_key = self.0.keyring.current().role(id).is_some();
            is_data_key || self.0.known().ring.holds_index_key(id)
        };
        if is_held() {
            return true;
        }
        if self.0.unknown_keys.contains(&id) {
            return false;
        }
        // An error is reported by the poll, and the last good ring stays.
        let polled = self.0.refresh_spaced(Instant::now()).await;
        if is_held() {
            return true;
        }
        // After a failed poll the key may still exist: only an answered one counts.
        if polled.is_ok() {
            self.0.unknown_keys.insert(id);
        }
        false
    }
}

impl Inner {
    /// Polls the document, unless a poll began after `asked`.
    pub(super) async fn refresh(&self, asked: Instant) -> Result<(), RingError> {
        let mut last_poll = self.last_poll.lock().await;
        if let Some(completed) = &*last_poll
            && completed.began >= asked
        {
            return completed.result.clone();
        }
        let began = Instant::now();
        let result = self.poll().await;
        self.report(result.as_ref().err());
        if result.is_ok() {
            self.keep_clock_compared().await;
        }
        if let (Ok(()), Some(copy)) = (&result, &self.copy) {
            copy.touch(self.now_ms(), false).await;
        }
        *last_poll = Some(CompletedPoll {
            began,
            result: result.clone(),
        });
        result
    }

    /// Polls like [`refresh`](Self::refresh), and no sooner than a while after the last poll.
    pub(super) async fn refresh_spaced(&self, asked: Instant) -> Result<(), RingError> {
        let last = self.last_poll.lock().await.as_ref().map(|it| it.began);
        if let Some(last) = last {
            sleep(FORCED_POLL_INTERVAL.saturating_sub(last.elapsed())).await;
        }
        self.refresh(asked).await
    }
}
