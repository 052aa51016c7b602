//! The admin address of a long-running process: health, readiness, metrics and the status page. It is opened before
//! anything is counted, and closes when it is dropped.

mod guard;
mod listener;
mod origin;
mod page;
mod server;

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use waxseal_page::status::Process;
use waxseal_proxy::ListenError;

use crate::readiness::Readiness;
use crate::resources::Resources;
use crate::status::{Clients, Watch};
use crate::{Failure, now_ms};
use guard::Token;
use server::Server;

pub use server::MAX_CONNECTIONS;

/// The variable with the token of the status page.
const TOKEN: &str = "WAXSEAL_ADMIN_TOKEN";

/// An open admin address, and the figures of its status page.
pub struct RunningAdmin {
    watch: Watch,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl RunningAdmin {
    /// Opens the admin address of a proxy.
    pub async fn for_proxy(
        at: &str,
        resources: &Resources,
        clients: Clients,
        readiness: &Readiness,
        max_connections: usize,
    ) -> Result<Self, Failure> {
        let mut process = process("proxy", resources);
        if clients.refusals.is_trial() {
            process.mode = "trial".to_owned();
        }
        Self::open(
            at,
            resources,
            process,
            Some(clients),
            readiness,
            max_connections,
        )
        .await
    }

    /// Opens the admin address of a process without clients.
    pub async fn for_keeper(
        at: &str,
        resources: &Resources,
        readiness: &Readiness,
        max_connections: usize,
    ) -> Result<Self, Failure> {
        let process = process("keeper", resources);
        Self::open(at, resources, process, None, readiness, max_connections).await
    }

    async fn open(
        at: &str,
        resources: &Resources,
        process: Process,
        clients: Option<Clients>,
        readiness: &Readiness,
        max_connections: usize,
    ) -> Result<Self, Failure> {
        let token = token(resources)?;
        let server = Server::bind(at, readiness).await.map_err(listen_failure)?;
        let address = server.address();
        let watch = Watch::start(process, clients);
        let server = server
            .max_connections(max_connections)
            .page(watch.source(), token);
        let task = tokio::spawn(async move {
            // When probes are not answered any more, the supervisor restarts the process.
            match AssertUnwindSafe(server.run()).catch_unwind().await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!("the admin address has ended: {error}"),
                Err(_) => tracing::error!("the admin address has ended: a bug of Waxseal's"),
            }
        });
        Ok(Self {
            watch,
            address,
            task,
        })
    }

    /// The bound address, with the port that the system chose.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shows what the process waits for before it serves clients.
    pub fn set_waiting(&self, reason: &str) {
        self.watch.set_waiting(reason);
    }

    /// Shows that the process is finishing the requests in progress.
    pub fn set_stopping(&self) {
        self.watch.set_stopping();
    }

    /// Starts checking and counting, once store and keys are open.
    pub fn follow(&mut self, resources: &Arc<Resources>, count_interval: Option<Duration>) {
        self.watch.follow(resources, count_interval);
    }
}

impl Drop for RunningAdmin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn token(resources: &Resources) -> Result<Option<Token>, Failure> {
    let Some(text) = resources.configuration.environment.secret(TOKEN)? else {
        return Ok(None);
    };
    let token = Token::new(text.trim()).map_err(|error| {
        Failure::usage(format!("{TOKEN}: {error}")).hint("openssl rand -hex 32 makes one")
    })?;
    Ok(Some(token))
}

fn process(what: &str, resources: &Resources) -> Process {
    let configuration = &resources.configuration;
    Process {
        what: what.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        store: configuration.store.location(),
        mode: configuration.mode.to_string(),
        environment: configuration.file.environment.clone(),
        started_ms: now_ms(),
    }
}

fn listen_failure(error: ListenError) -> Failure {
    Failure::failed(&error).hint("stop whoever listens there, or take another address with --admin")
}
