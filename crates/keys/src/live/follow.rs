//! Following a document: polls at intervals in the background.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep};
use waxseal_core::KeyId;

use super::WeakInner;

/// Polls the document at intervals until the last clone of the ring is dropped.
pub(super) fn spawn(ring: WeakInner) {
    tokio::spawn(async move {
        loop {
            let Some(interval) = ring
                .upgrade()
                .map(|inner| inner.known().ring.settings().refresh())
            else {
                return;
            };
            sleep(with_jitter(interval)).await;
            let Some(inner) = ring.upgrade() else {
                return;
            };
            // Errors are reported, and the last good ring stays. A panic ends this poll, not the next.
            let poll = AssertUnwindSafe(inner.refresh(Instant::now()));
            let _ = poll.catch_unwind().await;
        }
    });
}

/// Shortens an interval by up to a tenth, at random: processes that started together drift apart.
fn with_jitter(interval: Duration) -> Duration {
    let random = KeyId::random().to_u32();
    interval - interval.mul_f64(f64::from(random) / f64::from(u32::MAX) * 0.1)
}
