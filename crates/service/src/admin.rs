//! The admin address, for whoever looks after the process: `/healthz` says that it lives, `/readyz`
//! whether a client that came now would be served, `/metrics` what was counted, where anything is; `/` is
//! the status page for people.

mod guard;
mod listener;
mod origin;
mod page;
mod store_check;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;

use crate::meters::Meters;
use crate::net::listener::ListenError;
use crate::net::upstream::Upstream;

use guard::Guard;
pub use guard::{Token, TokenTooShort};
use listener::BoundedListener;
use page::Page;
pub use page::{CheckResponse, Source};
use store_check::StoreCheck;

/// Connections to the admin address at one time.
const MAX_CONNECTIONS: usize = 64;

/// How far a proxy is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// The key is not yet checked against the store.
    Starting = 0,
    /// It serves clients.
    Serving = 1,
    /// It lets what is under way come to its end.
    Draining = 2,
}

/// The admin address.
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    /// The host as the operator named it.
    host: String,
    max_connections: usize,
    shown: Arc<Shown>,
    page: Option<Arc<Page>>,
}

/// Whether a client that came now would be served. The admin address tells it; so can others.
#[derive(Clone)]
pub struct Readiness(Arc<Shown>);

/// Tells the admin address how far the proxy is.
#[derive(Clone)]
pub struct StageSetter(Arc<Shown>);

struct Shown {
    stage: AtomicU8,
    /// `None` for a process that serves no clients: it is never ready for them.
    store: Option<StoreCheck>,
    meters: Option<Arc<Meters>>,
}

impl Readiness {
    /// Of a process that begins. Without an upstream it serves no clients.
    #[must_use]
    pub fn new(upstream: Option<Arc<Upstream>>, meters: Option<Arc<Meters>>) -> Self {
        Self(Arc::new(Shown {
            stage: AtomicU8::new(Stage::Starting as u8),
            store: upstream.map(StoreCheck::new),
            meters,
        }))
    }

    /// What tells it how far the proxy is.
    #[must_use]
    pub fn stage(&self) -> StageSetter {
        StageSetter(self.0.clone())
    }

    /// Finds it out, for the metric.
    pub async fn refresh(&self) {
        if let Some(meters) = &self.0.meters {
            let (status, _) = ready(State(self.0.clone())).await;
            meters.traffic.set_ready(status == StatusCode::OK);
        }
    }
}

impl StageSetter {
    /// The proxy is at this stage.
    pub fn set(&self, stage: Stage) {
        self.0.stage.store(stage as u8, Ordering::Relaxed);
    }
}

impl Admin {
    /// Connections at one time, where nothing else is said.
    pub const MAX_CONNECTIONS: usize = MAX_CONNECTIONS;

    /// Opens the address of a process: tells that it lives, what it counts, and whether it is ready where
    /// it serves clients.
    pub async fn open(at: &str, readiness: &Readiness) -> Result<Self, ListenError> {
        let failed = |error| ListenError::Address {
            at: at.to_owned(),
            error,
        };
        let listener = TcpListener::bind(at).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let shown = readiness.0.clone();
        Ok(Self {
            listener,
            address,
            host: at.rsplit_once(':').map_or("", |(host, _)| host).to_owned(),
            max_connections: MAX_CONNECTIONS,
            shown,
            page: None,
        })
    }

    /// Has so many connections at one time.
    #[must_use]
    pub fn max_connections(mut self, max: usize) -> Self {
        self.max_connections = max;
        self
    }

    /// Shows a status page as well: to this machine, and to others only with the token. Where one is set,
    /// this machine needs it too.
    #[must_use]
    pub fn page(mut self, source: Arc<dyn Source>, token: Option<Token>) -> Self {
        let guard = Guard::new(self.address, &self.host, token);
        self.page = Some(Page::new(source, guard));
        self
    }

    /// Where it listens, with the port that it got.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until it is dropped.
    pub async fn run(self) -> std::io::Result<()> {
        let mut router = Router::new().route("/healthz", get(async || "ok\n"));
        let has_clients = self.shown.store.is_some();
        if has_clients {
            router = router.route("/readyz", get(ready));
        }
        if !has_clients || self.shown.meters.is_some() {
            router = router.route("/metrics", get(metrics));
        }
        let mut router = router.with_state(self.shown);
        if let Some(page) = self.page {
            let pages = Router::new()
                .route("/", get(page::show))
                .route("/events", get(page::events))
                .route("/check", post(page::check));
            router = router.merge(pages.with_state(page));
        }
        let router = router.layer(from_fn(listener::close));
        let listener = BoundedListener::new(self.listener, self.max_connections);
        axum::serve(listener, router).await
    }
}

/// How Prometheus calls its text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

async fn metrics(State(shown): State<Arc<Shown>>) -> Response {
    Readiness(shown).refresh().await;
    match waxseal_metrics::render() {
        Some(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn ready(State(shown): State<Arc<Shown>>) -> (StatusCode, String) {
    let no = |why: &str| (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n"));
    match shown.stage.load(Ordering::Relaxed) {
        0 => no("starting: the key is not yet checked against the store"),
        1 => match check(shown.store.as_ref()).await {
            Ok(())
                if shown
                    .store
                    .as_ref()
                    .is_some_and(StoreCheck::has_late_replies) =>
            {
                no(
                    "the store answers, but a reply on a connection that clients share is late by --max-stall",
                )
            }
            Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
            Err(why) => no(&format!("the store cannot be used: {why}")),
        },
        _ => no("draining"),
    }
}

async fn check(store: Option<&StoreCheck>) -> Result<(), &'static str> {
    match store {
        Some(store) => store.result().await,
        None => Err("this process has none"),
    }
}
