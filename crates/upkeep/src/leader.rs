//! The lease on the rotation of a keyring: taken, renewed and released in the keyring's document store.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use waxseal_keys::{Candidate, Document, DocumentStoreError, LeaseAction, LiveRing};

/// The longest time between two polls of the lease.
const MAX_INTERVAL: Duration = Duration::from_secs(5);
/// The shortest one.
const MIN_INTERVAL: Duration = Duration::from_millis(50);
/// A lease that has not changed for this many intervals may be taken over.
const LEASE_INTERVALS: u32 = 6;
/// Attempts of one poll to write the lease while others write it too.
const MAX_ATTEMPTS: usize = 3;

/// A process that leads the rotation, or waits to.
pub struct Leader {
    ring: LiveRing,
    candidate: Candidate,
    began: Instant,
    interval: Duration,
    renewed: Instant,
}

/// The holder of the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// This process.
    Leader {
        /// The fencing token of its lease.
        token: u64,
    },
    /// Another process.
    Follower {
        /// Its id, as far as it is known.
        leader: String,
    },
}

impl Leader {
    /// A candidate for this process.
    #[must_use]
    pub fn new(ring: LiveRing, process: &str) -> Self {
        let interval = (ring.ring().settings().refresh() / 2).min(MAX_INTERVAL);
        let interval = interval.max(MIN_INTERVAL);
        Self {
            candidate: Candidate::new(process, interval * LEASE_INTERVALS),
            ring,
            began: Instant::now(),
            interval,
            renewed: Instant::now(),
        }
    }

    /// The time between two polls.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Takes or renews the lease, unless another process holds it.
    pub async fn poll(&mut self) -> Result<Leadership, DocumentStoreError> {
        let documents = self.ring.document_store().clone();
        for _ in 0..MAX_ATTEMPTS {
            let lease = documents.read(&Document::Leader).await?;
            self.candidate.observe_fence(self.ring.ring().fence());
            let now = self.began.elapsed();
            let new = match self.candidate.poll(lease.as_deref(), now) {
                LeaseAction::Wait { leader } => return Ok(Leadership::Follower { leader }),
                LeaseAction::Write(new) => new,
            };
            let expected = lease.as_deref();
            if documents.replace(&Document::Leader, expected, &new).await? {
                self.candidate.confirm_written(&new);
                self.renewed = Instant::now();
                let token = self.candidate.token().unwrap_or_default();
                return Ok(Leadership::Leader { token });
            }
            self.candidate.mark_lost();
        }
        let leader = "several at once".to_owned();
        Ok(Leadership::Follower { leader })
    }

    /// Renews the lease until it is lost, and returns the process that holds it then. To be polled beside the work
    /// that is done under the lease.
    pub async fn hold(&mut self) -> String {
        loop {
            sleep(self.interval).await;
            match self.poll().await {
                Ok(Leadership::Leader { .. }) => {}
                Ok(Leadership::Follower { leader }) => return leader,
                // One interval before others may take over: from then on this process must not work.
                Err(_) if self.renewed.elapsed() >= self.interval * (LEASE_INTERVALS - 1) => {
                    self.candidate.mark_lost();
                    return "unknown: the store of the keyring cannot be reached".to_owned();
                }
                Err(_) => {}
            }
        }
    }

    /// Releases the lease, so that another process can take it at once.
    pub async fn release(&mut self) {
        if self.candidate.token().is_none() {
            return;
        }
        // The last renewal may have been cancelled after it was written: polling finds out what is stored.
        if !matches!(self.poll().await, Ok(Leadership::Leader { .. })) {
            return;
        }
        if let Some((held, released)) = self.candidate.release() {
            // On failure the lease expires, and the next leader starts a little later.
            let documents = self.ring.document_store();
            let _ = documents
                .replace(&Document::Leader, Some(&held), &released)
                .await;
        }
    }
}
