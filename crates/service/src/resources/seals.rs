//! The seals of commands that end: they count towards the limit of each key, as those of processes that report
//! to the keyring.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use waxseal_keys::{LiveRing, RingError};

use super::Resources;
use crate::notice;

/// The interval at which a command that takes long adds what it has sealed.
const INTERVAL: Duration = Duration::from_secs(60);

/// The seals of one process, and those of them that are already added.
#[derive(Clone)]
struct Account {
    ring: LiveRing,
    added: Arc<Mutex<BTreeMap<String, u64>>>,
}

impl Account {
    async fn settle(&self) -> Result<(), RingError> {
        let mut added = self.added.lock().await;
        let mut new = self.ring.seal_counts();
        let all = new.clone();
        for (id, count) in &mut new {
            *count -= added.get(id).copied().unwrap_or_default().min(*count);
        }
        new.retain(|_, count| *count > 0);
        if !new.is_empty() {
            self.ring.add_seals(&new).await?;
            *added = all;
        }
        Ok(())
    }
}

/// The seals of a command, added while it runs and when it ends.
pub struct SealAccount(Option<(Account, JoinHandle<()>)>);

impl SealAccount {
    /// Counts what this process seals from now on, if it follows a keyring.
    #[must_use]
    pub fn begin(resources: &Resources) -> Self {
        Self(resources.ring().map(|opened| {
            let account = Account {
                ring: opened.ring.clone(),
                added: Arc::default(),
            };
            let periodic = account.clone();
            let task = tokio::spawn(async move {
                loop {
                    sleep(INTERVAL).await;
                    // A failure is reported at the end, if it lasts until then.
                    let _ = periodic.settle().await;
                }
            });
            (account, task)
        }))
    }

    /// Adds what was sealed since the last time.
    pub async fn end(self) {
        let Some((account, _)) = &self.0 else {
            return;
        };
        if let Err(error) = account.settle().await {
            notice::warning_with_hint(
                &format!("what was sealed does not count towards the limit of its key: {error}"),
                "nothing else is wrong; the next rotation by number of values comes later by so many",
            );
        }
    }
}

impl Drop for SealAccount {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.0 {
            task.abort();
        }
    }
}
