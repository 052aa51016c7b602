//! The status page: served whole, and kept up to date by server-sent events (HTML standard, 9.2) with
//! those parts that have changed. What it shows is gathered elsewhere.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{Stream, unfold};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Interval, MissedTickBehavior, interval};
use waxseal_page::status::{Status, changing, page};

use super::guard::Guard;

/// How often an open page is told what has changed.
const EVERY: Duration = Duration::from_secs(2);
/// Pages that are kept up to date at one time; more are served and told no changes.
const MOST_OPEN: usize = 32;

/// What is shown at this moment.
pub type Source = Arc<dyn Fn() -> Status + Send + Sync>;

/// The page of one address.
pub(super) struct Page {
    source: Source,
    guard: Guard,
    open: Arc<Semaphore>,
}

impl Page {
    pub(super) fn new(source: Source, guard: Guard) -> Arc<Self> {
        Arc::new(Self {
            source,
            guard,
            open: Arc::new(Semaphore::new(MOST_OPEN)),
        })
    }
}

/// `GET /`.
pub(super) async fn show(State(this): State<Arc<Page>>, headers: HeaderMap) -> Response {
    if let Some(refusal) = this.guard.refuses(&headers) {
        return refusal;
    }
    let nonce = format!("{:032x}", rand::random::<u128>());
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, &policy),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
    ];
    let headers = headers.map(|(name, value)| (name, value.to_owned()));
    (headers, page(&(this.source)(), &nonce)).into_response()
}

/// `GET /events`: each changed part as `{"id":…,"html":…}`, all of them at first.
pub(super) async fn events(State(this): State<Arc<Page>>, headers: HeaderMap) -> Response {
    if let Some(refusal) = this.guard.refuses(&headers) {
        return refusal;
    }
    let Ok(permit) = this.open.clone().try_acquire_owned() else {
        let text = "too many pages are open: load this one again to see changes\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    };
    let stream = Changes::new(this, permit).into_stream();
    let response = Sse::new(stream).keep_alive(KeepAlive::default());
    ([(CACHE_CONTROL, "no-store")], response).into_response()
}

/// What one open page has been told, and what it is told next.
struct Changes {
    page: Arc<Page>,
    tick: Interval,
    told: HashMap<&'static str, String>,
    waiting: Vec<Event>,
    _open: OwnedSemaphorePermit,
}

impl Changes {
    fn new(page: Arc<Page>, permit: OwnedSemaphorePermit) -> Self {
        let mut tick = interval(EVERY);
        // One that was held up is not told the same several times at once.
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            page,
            tick,
            told: HashMap::new(),
            waiting: Vec::new(),
            _open: permit,
        }
    }

    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        unfold(self, async |mut this| {
            while this.waiting.is_empty() {
                this.tick.tick().await;
                this.look();
            }
            let event = this.waiting.pop()?;
            Some((Ok(event), this))
        })
    }

    fn look(&mut self) {
        for (id, html) in changing(&(self.page.source)()) {
            if self.told.get(id) == Some(&html) {
                continue;
            }
            let part = serde_json::json!({ "id": id, "html": html });
            self.waiting.push(Event::default().data(part.to_string()));
            self.told.insert(id, html);
        }
        // They are taken from the end.
        self.waiting.reverse();
    }
}
