//! The readiness of a process: true if a client that connected now would be served. The admin address reports it, and
//! so does every snapshot of the metrics.

mod store_check;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use waxseal_proxy::{Meters, Upstream};

use store_check::StoreCheck;

/// The stage of a proxy's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// The key is not yet checked against the store.
    Starting = 0,
    /// It serves clients.
    Serving = 1,
    /// It finishes the requests in progress.
    Draining = 2,
}

/// The readiness of one process; all clones share it.
#[derive(Clone)]
pub struct Readiness(Arc<State>);

/// Sets the stage of a [`Readiness`].
#[derive(Clone)]
pub struct StageSetter(Arc<State>);

struct State {
    stage: AtomicU8,
    /// `None` for a process without clients: it is never ready for them.
    store: Option<StoreCheck>,
    meters: Option<Arc<Meters>>,
}

impl Readiness {
    /// The readiness of a process that is starting. A process without an upstream serves no clients.
    #[must_use]
    pub fn new(upstream: Option<Arc<Upstream>>, meters: Option<Arc<Meters>>) -> Self {
        Self(Arc::new(State {
            stage: AtomicU8::new(Stage::Starting as u8),
            store: upstream.map(StoreCheck::new),
            meters,
        }))
    }

    /// The setter of its stage.
    #[must_use]
    pub fn stage(&self) -> StageSetter {
        StageSetter(self.0.clone())
    }

    /// True for a process with clients.
    #[must_use]
    pub fn has_clients(&self) -> bool {
        self.0.store.is_some()
    }

    /// True for a process that counts its traffic.
    #[must_use]
    pub fn has_meters(&self) -> bool {
        self.0.meters.is_some()
    }

    /// The reason why a client that connected now would not be served, if there is one.
    pub async fn check(&self) -> Result<(), String> {
        match self.0.stage.load(Ordering::Relaxed) {
            0 => Err("starting: the key is not yet checked against the store".to_owned()),
            1 => self.check_store().await,
            _ => Err("draining".to_owned()),
        }
    }

    async fn check_store(&self) -> Result<(), String> {
        let Some(store) = &self.0.store else {
            return Err("the store cannot be used: this process has none".to_owned());
        };
        store
            .result()
            .await
            .map_err(|reason| format!("the store cannot be used: {reason}"))?;
        match store.has_late_replies() {
            true => Err(
                "the store answers, but a reply on a connection that clients share is late by --max-stall"
                    .to_owned(),
            ),
            false => Ok(()),
        }
    }

    /// Checks it and sets the metric, where traffic is counted.
    pub async fn update_metric(&self) {
        if let Some(meters) = &self.0.meters {
            meters.set_ready(self.check().await.is_ok());
        }
    }
}

impl StageSetter {
    /// Sets the stage.
    pub fn set(&self, stage: Stage) {
        self.0.stage.store(stage as u8, Ordering::Relaxed);
    }
}
