//! Whether the store can be used, found out once for everyone who asks within a second: `/readyz`,
//! `/metrics` and an export of metrics do not each open a connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

use crate::net::upstream::Upstream;

/// How long the store may take to answer before the proxy is not ready.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long an answer counts.
const CACHE_INTERVAL: Duration = Duration::from_secs(1);

type Answer = Result<(), &'static str>;
type Last = Option<(Instant, Answer)>;

/// The shared check.
pub(super) struct StoreCheck {
    upstream: Arc<Upstream>,
    last: Arc<Mutex<Last>>,
}

impl StoreCheck {
    pub(super) fn new(upstream: Arc<Upstream>) -> Self {
        Self {
            upstream,
            last: Arc::default(),
        }
    }

    /// Whether a reply is late on a connection that clients share.
    pub(super) fn has_late_replies(&self) -> bool {
        self.upstream.health.suspects() > 0
    }

    /// What is wrong with the store, if anything is.
    pub(super) async fn result(&self) -> Answer {
        // Whoever asks during a check waits for it, and takes its answer.
        let last = self.last.clone().lock_owned().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < CACHE_INTERVAL
        {
            return *answer;
        }
        // A task of its own: it ends and counts even if the client that asked is gone.
        let checked = tokio::spawn(check(self.upstream.clone(), last)).await;
        checked.unwrap_or(Err("it could not be checked"))
    }
}

async fn check(upstream: Arc<Upstream>, mut last: OwnedMutexGuard<Last>) -> Answer {
    let answer = upstream.check(STORE_TIMEOUT).await;
    let answer = answer.map_err(|error| error.description());
    *last = Some((Instant::now(), answer));
    answer
}
