//! The upkeep of the keyring beside a running proxy.

use std::sync::Arc;

use tokio::task::JoinHandle;
use waxseal_sweep::Stop;

use crate::Failure;
use crate::panics::spawn_restarting;
use crate::resources::{Resources, scopes};

/// The task of the upkeep. Without a keyring there is none.
#[derive(Default)]
pub struct UpkeepTask(Option<(Stop, JoinHandle<()>)>);

impl UpkeepTask {
    /// Begins the upkeep, if a keyring is configured.
    pub async fn begin(resources: &Resources) -> Result<Self, Failure> {
        if !resources.configuration.has_keyring() {
            return Ok(Self::default());
        }
        let upkeep = Arc::new(scopes::upkeep(resources, "proxy").await?);
        let stop = Stop::default();
        let stopped = stop.clone();
        let task = spawn_restarting("the upkeep of the keyring", move || {
            let (upkeep, stopped) = (upkeep.clone(), stopped.clone());
            async move { upkeep.run(&stopped).await }
        });
        Ok(Self(Some((stop, task))))
    }

    /// Ends it, and gives up the lease, so that another process can follow at once.
    pub async fn end(mut self) {
        if let Some((stop, task)) = self.0.take() {
            stop.stop();
            // Nothing else ends it.
            let _ = task.await;
        }
    }
}

impl Drop for UpkeepTask {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.0 {
            task.abort();
        }
    }
}
