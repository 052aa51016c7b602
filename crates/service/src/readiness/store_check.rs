//! The check of the store, shared by all who ask within a second: `/readyz`, `/metrics` and an export of metrics do not
//! each open a connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;
use waxseal_proxy::{Upstream, UpstreamFailure};

/// The time within which the store must answer.
const STORE_TIMEOUT: Duration = Duration::from_secs(1);
/// The time for which an answer is reused.
const CACHE_INTERVAL: Duration = Duration::from_secs(1);

type Answer = Result<(), &'static str>;
type LastAnswer = Option<(Instant, Answer)>;

/// The shared check.
pub(super) struct StoreCheck {
    upstream: Arc<Upstream>,
    last: Arc<Mutex<LastAnswer>>,
}

impl StoreCheck {
    pub(super) fn new(upstream: Arc<Upstream>) -> Self {
        Self {
            upstream,
            last: Arc::default(),
        }
    }

    /// True if a reply is late on a connection that clients share.
    pub(super) fn has_late_replies(&self) -> bool {
        self.upstream.late_connections() > 0
    }

    /// The reason why the store cannot be used, if there is one.
    pub(super) async fn result(&self) -> Answer {
        // A caller that arrives during a check waits for it and takes its answer.
        let last = self.last.clone().lock_owned().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < CACHE_INTERVAL
        {
            return *answer;
        }
        // In a task of its own, so that it is completed and its answer kept even if the caller goes away.
        let checked = tokio::spawn(check(self.upstream.clone(), last)).await;
        checked.unwrap_or(Err("it could not be checked"))
    }
}

async fn check(upstream: Arc<Upstream>, mut last: OwnedMutexGuard<LastAnswer>) -> Answer {
    let answer = upstream.check(STORE_TIMEOUT).await;
    let answer = answer.map_err(UpstreamFailure::description);
    *last = Some((Instant::now(), answer));
    answer
}
