//! The status page: served whole, then kept up to date by server-sent events (HTML standard, 9.2) that carry the parts
//! which have changed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{Stream, unfold};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Interval, MissedTickBehavior, interval};
use waxseal_page::status::{changing, page};

use super::guard::Guard;
use super::origin::is_cross_site;
use crate::status::{CheckResponse, Source};

/// The interval of events to an open page.
const EVENT_INTERVAL: Duration = Duration::from_secs(2);
/// The number of pages that are kept up to date at one time; further ones are served without events.
const MAX_STREAMS: usize = 32;

/// The page of one address.
pub(super) struct Page {
    source: Arc<dyn Source>,
    guard: Guard,
    streams: Arc<Semaphore>,
}

impl Page {
    pub(super) fn new(source: Arc<dyn Source>, guard: Guard) -> Arc<Self> {
        Arc::new(Self {
            source,
            guard,
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        })
    }
}

/// `GET /`.
pub(super) async fn show(State(this): State<Arc<Page>>, headers: HeaderMap) -> Response {
    if let Some(refusal) = this.guard.refusal(&headers) {
        return refusal;
    }
    let nonce = format!("{:032x}", rand::random::<u128>());
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'none'"
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, &policy),
        // With `no-referrer` a browser does not send the origin of a form on this page.
        (REFERRER_POLICY, "same-origin"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ];
    let headers = headers.map(|(name, value)| (name, value.to_owned()));
    (headers, page(&this.source.status(), &nonce)).into_response()
}

/// `POST /check`: starts to check and count everything. A browser is redirected to the page.
pub(super) async fn check(State(this): State<Arc<Page>>, headers: HeaderMap) -> Response {
    if let Some(refusal) = this.guard.refusal(&headers) {
        return refusal;
    }
    if is_cross_site(&headers) {
        let text = "another site asked for this: open the status page and ask there\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    match this.source.check() {
        CheckResponse::Accepted => (StatusCode::SEE_OTHER, [(LOCATION, "./")]).into_response(),
        CheckResponse::TooSoon(seconds) => {
            let retry = [(RETRY_AFTER, seconds.to_string())];
            let text = format!("a check is running or began just now: try again in {seconds} s\n");
            (StatusCode::TOO_MANY_REQUESTS, retry, text).into_response()
        }
        CheckResponse::NotReady => {
            let text = "nothing can be checked yet: the store or the keys are not open\n";
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

/// `GET /events`: every 2 seconds the time, then each changed part as `{"id":…,"html":…}`; at first all parts.
pub(super) async fn events(State(this): State<Arc<Page>>, headers: HeaderMap) -> Response {
    if let Some(refusal) = this.guard.refusal(&headers) {
        return refusal;
    }
    let Ok(permit) = this.streams.clone().try_acquire_owned() else {
        let text = "too many pages are open: load this one again to see changes\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let stream = Changes::new(this, permit).into_stream();
    let response = Sse::new(stream).keep_alive(KeepAlive::default());
    ([(CACHE_CONTROL, "no-store")], response).into_response()
}

/// The parts that one open page has received, and the events that it receives next.
struct Changes {
    page: Arc<Page>,
    tick: Interval,
    sent: HashMap<&'static str, String>,
    pending: Vec<Event>,
    _permit: OwnedSemaphorePermit,
}

impl Changes {
    fn new(page: Arc<Page>, permit: OwnedSemaphorePermit) -> Self {
        let mut tick = interval(EVENT_INTERVAL);
        // After a delay, one event is enough.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            page,
            tick,
            sent: HashMap::new(),
            pending: Vec::new(),
            _permit: permit,
        }
    }

    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        unfold(self, async |mut this| {
            while this.pending.is_empty() {
                this.tick.tick().await;
                this.queue_changes();
            }
            let event = this.pending.pop()?;
            Some((Ok(event), this))
        })
    }

    fn queue_changes(&mut self) {
        let status = self.page.source.status();
        let time = serde_json::json!({
            "now_ms": status.now_ms,
            "process": status.process.started_ms,
        });
        self.pending.push(Event::default().data(time.to_string()));
        for (id, html) in changing(&status) {
            if self.sent.get(id) == Some(&html) {
                continue;
            }
            let part = serde_json::json!({ "id": id, "html": html });
            self.pending.push(Event::default().data(part.to_string()));
            self.sent.insert(id, html);
        }
        // Events are taken from the end.
        self.pending.reverse();
    }
}
