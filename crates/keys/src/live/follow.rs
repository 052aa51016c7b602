//! Following a document: the look at intervals.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep};
use waxseal_core::KeyId;

use super::Follower;

/// Looks at the document at intervals for as long as somebody has the ring.
pub(super) fn spawn(follower: Follower) {
    tokio::spawn(async move {
        loop {
            let Some(interval) = follower
                .upgrade()
                .map(|inner| inner.known().ring.settings().refresh())
            else {
                return;
            };
            sleep(spread(interval)).await;
            let Some(inner) = follower.upgrade() else {
                return;
            };
            // Errors are told, and the last good ring stays. A bug of ours ends this look, and not the next.
            let look = AssertUnwindSafe(inner.refresh(Instant::now()));
            let _ = look.catch_unwind().await;
        }
    });
}

/// Up to a tenth less, at random: processes that started together do not look together for ever.
fn spread(interval: Duration) -> Duration {
    let random = KeyId::random().to_u32();
    interval - interval.mul_f64(f64::from(random) / f64::from(u32::MAX) * 0.1)
}
