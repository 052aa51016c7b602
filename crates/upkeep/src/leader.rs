//! Leading: the lease on a rotation, read and written in the place of the ring.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use waxseal_keys::{Candidate, Document, DocumentStoreError, LeaseAction, LiveRing};

/// Looks at the lease go by at most this time.
const SLOWEST_LOOK: Duration = Duration::from_secs(5);
/// A lease that stays unchanged for so many looks may be taken over.
const LOOKS: u32 = 6;

/// A process that leads or would lead.
pub struct Leader {
    ring: LiveRing,
    candidate: Candidate,
    began: Instant,
    /// Between two looks.
    interval: Duration,
    /// When the lease was renewed last.
    renewed: Instant,
}

impl Leader {
    /// A candidate of this process.
    #[must_use]
    pub fn new(ring: LiveRing, process: &str) -> Self {
        let interval = (ring.ring().settings().refresh() / 2).min(SLOWEST_LOOK);
        let interval = interval.max(Duration::from_millis(50));
        Self {
            candidate: Candidate::new(process, interval * LOOKS),
            ring,
            began: Instant::now(),
            interval,
            renewed: Instant::now(),
        }
    }

    /// Between two looks.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Takes the lease, renews it, or sees who has it. `Ok(Ok(token))`: this process leads;
    /// `Ok(Err(process))`: that one does.
    pub async fn poll(&mut self) -> Result<Result<u64, String>, DocumentStoreError> {
        let place = self.ring.document_store().clone();
        for _ in 0..3 {
            let paper = place.read(&Document::Leader).await?;
            self.candidate.observe_fence(self.ring.ring().fence());
            let now = self.began.elapsed();
            let write = match self.candidate.poll(paper.as_deref(), now) {
                LeaseAction::Wait { leader } => return Ok(Err(leader)),
                LeaseAction::Write(write) => write,
            };
            let expected = paper.as_deref();
            if place.replace(&Document::Leader, expected, &write).await? {
                self.candidate.wrote(&write);
                self.renewed = Instant::now();
                return Ok(Ok(self.candidate.token().unwrap_or_default()));
            }
            self.candidate.lost();
        }
        Ok(Err("several at once".to_owned()))
    }

    /// Keeps the lease until it is lost; for as long as somebody works under it.
    pub async fn keep(&mut self) -> String {
        loop {
            sleep(self.interval).await;
            match self.poll().await {
                Ok(Ok(_)) => {}
                Ok(Err(leader)) => return leader,
                // Others may have taken over by then.
                Err(_) if self.renewed.elapsed() >= self.interval * (LOOKS - 1) => {
                    self.candidate.lost();
                    return "unknown: the place of the keyring cannot be reached".to_owned();
                }
                Err(_) => {}
            }
        }
    }

    /// Lets go, so that another process can follow at once.
    pub async fn release(&mut self) {
        // Its last sign of life may have been cut short after it was written: a poll finds that out.
        if self.candidate.token().is_none() || !matches!(self.poll().await, Ok(Ok(_))) {
            return;
        }
        if let Some((held, released)) = self.candidate.release() {
            // Whoever waits takes over anyway, a little later.
            let place = self.ring.document_store();
            let _ = place
                .replace(&Document::Leader, Some(&held), &released)
                .await;
        }
    }
}
