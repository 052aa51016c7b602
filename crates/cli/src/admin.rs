//! The admin address of a process that runs on: opened before anything is counted, gone when it is
//! dropped.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use waxseal_page::status::Process;
use waxseal_proxy::{Admin, ListenError, Readiness, Token, Upstream};
use waxseal_service::Failure;
use waxseal_service::now_ms;
use waxseal_service::resources::Resources;

use crate::args::{AdminArgs, check_host_port};
use crate::output;
use crate::status::Watch;
use waxseal_service::refusals::RefusalRecord;

/// The token of the status page.
const TOKEN: &str = "WAXSEAL_ADMIN_TOKEN";

/// The port of examples.
const PORT: u16 = 9180;

/// The address, and what its page shows.
pub(crate) struct RunningAdmin {
    watch: Watch,
    task: JoinHandle<()>,
}

impl RunningAdmin {
    /// Of a proxy, with so many connections at one time.
    pub(crate) async fn of_proxy(
        at: &str,
        resources: &Resources,
        (upstream, recorded): (Arc<Upstream>, RefusalRecord),
        readiness: &Readiness,
        max_connections: usize,
    ) -> Result<Self, Failure> {
        check_host_port("--admin", "HOST:PORT", at, PORT)?;
        let token = token(resources)?;
        let admin = Admin::open(at, readiness).await.map_err(listen_failure)?;
        let admin = admin.max_connections(max_connections);
        let mut process = process("proxy", resources);
        if recorded.is_trial() {
            process.mode = "trial".to_owned();
        }
        let watch = Watch::begin(process, Some((upstream, recorded)));
        Ok(Self::run(admin, watch, token))
    }

    /// Of a process without clients, with so many connections at one time.
    pub(crate) async fn of_keeper(
        at: &str,
        resources: &Resources,
        readiness: &Readiness,
        max_connections: usize,
    ) -> Result<Self, Failure> {
        check_host_port("--admin", "HOST:PORT", at, PORT)?;
        let token = token(resources)?;
        let admin = Admin::open(at, readiness).await.map_err(listen_failure)?;
        let admin = admin.max_connections(max_connections);
        let watch = Watch::begin(process("keeper", resources), None);
        Ok(Self::run(admin, watch, token))
    }

    fn run(admin: Admin, watch: Watch, token: Option<Token>) -> Self {
        output::stderr_line(&format!("waxseal: admin on {}", admin.address()));
        let admin = admin.page(watch.source(), token);
        let task = tokio::spawn(async move {
            // Probes that nobody answers any more have the process started again.
            match AssertUnwindSafe(admin.run()).catch_unwind().await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::error!("the admin address has ended: {error}"),
                Err(_) => tracing::error!("the admin address has ended: a bug of Waxseal's"),
            }
        });
        Self { watch, task }
    }

    /// The process waits for this before it serves anybody.
    pub(crate) fn waiting(&self, why: &str) {
        self.watch.waiting(why);
    }

    /// The process lets what is under way come to its end.
    pub(crate) fn stopping(&self) {
        self.watch.stopping();
    }

    /// Store and keys are open.
    pub(crate) fn follow(&mut self, resources: &Arc<Resources>, args: &AdminArgs) {
        self.watch.follow(resources, args.count_every());
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
    Process {
        what: what.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        store: resources.configuration.store.location(),
        mode: resources.configuration.mode.to_string(),
        environment: resources.configuration.file.environment.clone(),
        started_ms: now_ms(),
    }
}

fn listen_failure(error: ListenError) -> Failure {
    Failure::failed(&error).hint("stop whoever listens there, or take another address with --admin")
}
