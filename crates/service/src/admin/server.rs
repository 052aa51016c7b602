//! The HTTP server of the admin address: `/healthz` answers while the process lives, `/readyz` if a client that
//! connected now would be served, `/metrics` with the metrics, and `/` with the status page.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use waxseal_proxy::ListenError;

use super::guard::{Guard, Token};
use super::listener::{self, BoundedListener};
use super::page::{self, Page};
use crate::readiness::Readiness;
use crate::status::Source;

/// The default limit of simultaneous connections.
pub const MAX_CONNECTIONS: usize = 64;

/// The server of one admin address.
pub(super) struct Server {
    listener: TcpListener,
    address: SocketAddr,
    /// The host as the operator named it.
    host: String,
    max_connections: usize,
    readiness: Readiness,
    page: Option<Arc<Page>>,
}

impl Server {
    /// Binds the address.
    pub(super) async fn bind(at: &str, readiness: &Readiness) -> Result<Self, ListenError> {
        let failed = |error| ListenError::Address {
            at: at.to_owned(),
            error,
        };
        let listener = TcpListener::bind(at).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self {
            listener,
            address,
            host: at.rsplit_once(':').map_or("", |(host, _)| host).to_owned(),
            max_connections: MAX_CONNECTIONS,
            readiness: readiness.clone(),
            page: None,
        })
    }

    /// Limits the number of simultaneous connections.
    #[must_use]
    pub(super) fn max_connections(mut self, max: usize) -> Self {
        self.max_connections = max;
        self
    }

    /// Adds the status page: without a token for this machine only, with a token for everyone who has it, this machine
    /// included.
    #[must_use]
    pub(super) fn page(mut self, source: Arc<dyn Source>, token: Option<Token>) -> Self {
        let guard = Guard::new(self.address, &self.host, token);
        self.page = Some(Page::new(source, guard));
        self
    }

    /// The bound address, with the port that the system chose.
    #[must_use]
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until it is dropped.
    pub(super) async fn run(self) -> std::io::Result<()> {
        let mut router = Router::new().route("/healthz", get(async || "ok\n"));
        let has_clients = self.readiness.has_clients();
        if has_clients {
            router = router.route("/readyz", get(ready));
        }
        if !has_clients || self.readiness.has_meters() {
            router = router.route("/metrics", get(metrics));
        }
        let mut router = router.with_state(self.readiness);
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

/// The content type of Prometheus' text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

async fn metrics(State(readiness): State<Readiness>) -> Response {
    readiness.update_metric().await;
    match waxseal_metrics::render() {
        Some(text) => ([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn ready(State(readiness): State<Readiness>) -> (StatusCode, String) {
    match readiness.check().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}
