//! One client's socket: reads its requests, writes its replies, and moves it between lanes and a dedicated upstream
//! connection as its conversation demands.
//!
//! One poll of a client takes its steps in this order, until none of them makes progress:
//!
//! ```text
//! write replies ─▶ exchange bytes with the server ─▶ read requests ─▶ fetch keys ─▶ release a delayed refusal
//! ```
//!
//! Replies go first: what a client has not read bounds what is read for it elsewhere.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use futures_util::FutureExt;
use tokio::time::Sleep;

use self::end::PartialRequest;
use self::keys::KeyFetches;
use self::route::Route;
pub(crate) use self::shared::Shared;
use super::buffer::InputBuffer;
use super::linger::linger_close;
use super::listener::{Incoming, NoStream};
use super::socket::{self, Closed, Socket};
use super::worker::Worker;
use crate::connection::Next;

mod backpressure;
mod end;
mod keys;
mod reply_timer;
mod requests;
mod route;
mod shared;
mod switching;
mod upstream;

/// Steps of one client before other tasks get their turn.
const MAX_STEPS: usize = 8;

/// A client as its task sees it.
struct Client {
    worker: Rc<Worker>,
    shared: Rc<Shared>,
    socket: Socket,
    input: InputBuffer,
    route: Route,
    next: Next,
    /// The client sends nothing more.
    client_closed: bool,
    /// The server sends nothing more.
    upstream_closed: bool,
    partial_request: Option<PartialRequest>,
    key_fetches: KeyFetches,
    /// Runs until a delayed refusal is sent.
    delay: Option<Pin<Box<Sleep>>>,
}

/// The client's connection has ended.
struct Ended;

impl From<Closed> for Ended {
    fn from(_: Closed) -> Self {
        Self
    }
}

/// Serves one client until its connection ends.
pub(crate) async fn serve(worker: &Rc<Worker>, incoming: Incoming) {
    let limits = worker.settings.limits;
    let meters = worker.settings.protection.metered();
    let registration = worker.settings.clients.register(incoming.address.clone());
    let stream = match incoming.into_stream(limits.half_request).await {
        Ok(stream) => stream,
        Err(reason) => {
            if let (NoStream::Tls, Some(meters)) = (reason, meters) {
                meters.traffic.tls_failed();
            }
            return;
        }
    };
    let socket = Socket::new(stream, meters.map(|it| it.traffic.clients.clone()));
    let shared = Shared::new(
        worker.next_id(),
        worker.settings.protection.clone(),
        limits,
        worker.settings.report.clone(),
    );
    shared.register(registration);
    worker.enter(&shared);
    let _presence = Presence {
        worker,
        shared: shared.clone(),
    };
    let mut client = Client {
        worker: worker.clone(),
        shared,
        socket,
        input: InputBuffer::default(),
        route: Route::None,
        next: Next::More,
        client_closed: false,
        upstream_closed: false,
        partial_request: None,
        key_fetches: Vec::new(),
        delay: None,
    };
    let serving = poll_fn(|cx| client.poll(cx));
    let has_panicked = AssertUnwindSafe(serving).catch_unwind().await.is_err();
    // Also after a panic: the lane must learn that nothing reads this client's replies any more.
    let socket = client.leave();
    if let Some(socket) = socket.filter(|_| !has_panicked) {
        linger_close(socket, worker).await;
    }
}

/// A client that is being served. Dropping it removes the client from its worker, also when the worker's task ends by
/// a bug and takes the client's task with it.
struct Presence<'a> {
    worker: &'a Worker,
    shared: Rc<Shared>,
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        self.worker.remove_client(&self.shared);
    }
}

impl Client {
    /// Removes the client from its lane and its worker. Returns its socket if the client still has data to read.
    fn leave(self) -> Option<Socket> {
        if let Route::Lane(lane) = &self.route {
            lane.detach(&self.shared);
        }
        let is_disconnected = self.shared.state.borrow().disconnected;
        self.worker.remove_client(&self.shared);
        (!self.client_closed && !is_disconnected).then_some(self.socket)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.shared.prepare_poll(cx);
        for _ in 0..MAX_STEPS {
            match self.step(cx) {
                Ok(true) => {}
                Ok(false) => return self.poll_end(cx),
                Err(Ended) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Does what can be done now. Returns true if anything was.
    fn step(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        let mut progress = self.write_replies(cx)?;
        progress |= self.poll_upstream(cx);
        progress |= self.read_requests(cx);
        progress |= self.poll_keys(cx);
        progress |= self.poll_delay(cx);
        let buffers = &self.worker.settings.buffers;
        self.shared.state.borrow_mut().count_buffered(buffers);
        Ok(progress)
    }

    fn write_replies(&mut self, cx: &mut Context<'_>) -> Result<bool, Ended> {
        let mut state = self.shared.state.borrow_mut();
        if state.disconnected {
            return Err(Ended);
        }
        if state.output.is_empty() {
            return Ok(false);
        }
        let written = socket::write(&mut self.socket, &mut state.output, cx);
        if written.is_err()
            && matches!(self.route, Route::Dedicated(_))
            && state.connection.is_writing_computed()
        {
            // It was computed for others as well: they get their answers with the reply to it.
            state.output.clear();
            self.client_closed = true;
            return Ok(true);
        }
        let wrote = written?;
        if wrote && let Route::Lane(lane) = &self.route {
            drop(state);
            lane.on_drained();
        }
        Ok(wrote)
    }
}
