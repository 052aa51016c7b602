//! One client's socket: reads its requests, writes its replies, and moves it between lanes and an
//! upstream connection of its own as its conversation demands.

use std::cell::RefCell;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use tokio::time::Sleep;
use waxseal_metrics::UpstreamError;

use self::end::HalfRequest;
use self::keys::Fetches;
use self::way::Way;
use super::buffer::{Outgoing, Waiting};
use super::farewell::say_farewell;
use super::listener::{Incoming, NoStream};
use super::reply_buffers::{CountedSteps, ReplyBuffers};
use super::socket::{self, Closed, Socket};
use super::worker::Worker;
use crate::answers;
use crate::clients::{self, Registration};
use crate::connection::{Connection, Link, Next, ReplyProgress, Report, UnexpectedReply};
use crate::limits::Limits;
use crate::login::{LoginError, is_turned_away};
use crate::pending::Protocol;
use crate::protection::Protection;

mod end;
mod keys;
mod silence;
mod switching;
mod waiting;
mod way;

/// Steps of one client before others have their turn.
const ROUNDS: usize = 8;
/// Replies that wait for one client at once, in bytes, beyond which a lane is no place for it: they hold
/// up others there, and a server writes large replies better to several connections than to one.
const HEAVY: usize = 128 * 1024;

/// The part of a client that lanes reach.
pub(crate) struct Shared {
    pub(crate) id: u64,
    state: RefCell<State>,
}

struct State {
    connection: Connection,
    outgoing: Outgoing,
    waker: Option<Waker>,
    /// Nobody reads any more: what still comes is dropped.
    gone: bool,
    /// Its replies are large.
    heavy: bool,
    /// How much of what waits for it is counted among the buffers of the proxy.
    counted: CountedSteps,
}

impl State {
    /// Counts what waits for the client. Beyond the bounds it is disconnected.
    #[inline]
    fn count_waiting(&mut self, buffers: &ReplyBuffers) {
        let retained = self.connection.retained_bytes();
        let bytes = self.outgoing.len().saturating_add(retained);
        if self.counted.differ(bytes) {
            self.recount(buffers, bytes);
        }
    }

    #[cold]
    fn recount(&mut self, buffers: &ReplyBuffers, bytes: usize) {
        let Some(Registration { client, .. }) = self.connection.registered() else {
            return;
        };
        buffers.count(client, &mut self.counted, bytes);
        if client.is_killed() {
            self.gone = true;
            self.outgoing.clear();
        }
    }
}

impl Shared {
    /// A client that begins.
    pub(crate) fn new(
        id: u64,
        protection: Arc<Protection>,
        limits: Limits,
        report: Report,
    ) -> Rc<Self> {
        Rc::new(Self {
            id,
            state: RefCell::new(State {
                connection: Connection::new(protection, limits, report),
                outgoing: Outgoing::default(),
                waker: None,
                gone: false,
                heavy: false,
                counted: CountedSteps::default(),
            }),
        })
    }

    /// The client is this one among those of the proxy.
    fn register(&self, registration: Registration) {
        self.state.borrow_mut().connection.register(registration);
    }

    /// The client's requests go over another connection from here on.
    pub(crate) fn set_connection(&self, connection: clients::Connection) {
        if let Some(Registration { client, .. }) = self.state.borrow().connection.registered() {
            client.set_connection(connection);
        }
    }

    /// Bytes that the client has not read.
    pub(crate) fn unread(&self) -> usize {
        self.state.borrow().outgoing.len()
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = &self.state.borrow().waker {
            waker.wake_by_ref();
        }
    }

    /// Takes replies from a lane. They are buffered where the client does not read: a lane never waits for that.
    pub(crate) fn answer(
        &self,
        bytes: &[u8],
        at_most: usize,
        buffers: &ReplyBuffers,
    ) -> Result<ReplyProgress, UnexpectedReply> {
        let state = &mut *self.state.borrow_mut();
        let mut answered = state
            .connection
            .replies(bytes, at_most, state.outgoing.end())?;
        if state.gone {
            state.outgoing.clear();
            if std::mem::take(&mut answered.stalled) {
                // Nobody gets keys for it any more.
                answered.replies += state.connection.abandon_stalled_reply()?;
            }
        }
        state.heavy |= state.outgoing.len() > HEAVY;
        state.count_waiting(buffers);
        Ok(answered)
    }

    /// Whether a reply waits for keys, and everything behind it.
    pub(crate) fn is_stalled(&self) -> bool {
        self.state.borrow().connection.is_stalled()
    }

    /// The word by which the server has said since the last call that its role is another now.
    pub(crate) fn take_role_error(&self) -> Option<&'static str> {
        self.state.borrow_mut().connection.take_role_error()
    }
}

struct Client {
    worker: Rc<Worker>,
    shared: Rc<Shared>,
    socket: Socket,
    waiting: Waiting,
    way: Way,
    next: Next,
    /// The client sends nothing more.
    finished: bool,
    /// The server sends nothing more.
    upstream_closed: bool,
    half_request: Option<HalfRequest>,
    fetches: Fetches,
    /// Until a refusal that is held back is given.
    delay: Option<Pin<Box<Sleep>>>,
}

/// The connection is over.
struct Over;

impl From<Closed> for Over {
    fn from(_: Closed) -> Self {
        Self
    }
}

/// Serves one client to its end.
pub(crate) async fn serve(worker: &Rc<Worker>, incoming: Incoming) {
    let limits = worker.settings.limits;
    let counted = worker.settings.protection.metered();
    let registration = worker.settings.clients.register(incoming.address.clone());
    let stream = match incoming.into_stream(limits.half_request).await {
        Ok(stream) => stream,
        Err(why) => {
            if let (NoStream::Tls, Some(meters)) = (why, counted) {
                meters.traffic.tls_failed();
            }
            return;
        }
    };
    let socket = Socket::new(stream, counted.map(|it| it.traffic.clients.clone()));
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
        waiting: Waiting::default(),
        way: Way::None,
        next: Next::More,
        finished: false,
        upstream_closed: false,
        half_request: None,
        fetches: Vec::new(),
        delay: None,
    };
    let serving = poll_fn(|cx| client.poll(cx));
    let has_panicked = AssertUnwindSafe(serving).catch_unwind().await.is_err();
    // After a panic its lane must know as well that nobody reads its replies.
    let farewell = client.leave();
    if let Some(socket) = farewell.filter(|_| !has_panicked) {
        say_farewell(socket, worker).await;
    }
}

/// A client that is served, until it is dropped: also where its worker ends by a bug, and the client's task with it.
struct Presence<'a> {
    worker: &'a Worker,
    shared: Rc<Shared>,
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        self.worker.take_off(&self.shared);
    }
}

impl Worker {
    /// The client is none of the proxy's any more, and nothing waits for it.
    fn take_off(&self, client: &Shared) {
        self.leave(client);
        // Dropped while it is in use, by a panic: another one would end the process.
        let Ok(mut state) = client.state.try_borrow_mut() else {
            return;
        };
        let state = &mut *state;
        state.gone = true;
        state.outgoing.clear();
        state.waker = None;
        if let Some(Registration { client, .. }) = state.connection.registered() {
            self.settings.buffers.count(client, &mut state.counted, 0);
        }
        state.connection.unregister();
    }
}

impl Client {
    /// Takes the client off everything; gives its socket back where it can still be read from.
    fn leave(self) -> Option<Socket> {
        if let Way::Lane(lane) = &self.way {
            lane.detach(&self.shared);
        }
        let cut_off = self.shared.state.borrow().gone;
        self.worker.take_off(&self.shared);
        (!self.finished && !cut_off).then_some(self.socket)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        {
            let mut state = self.shared.state.borrow_mut();
            let known = state.waker.as_ref();
            if known.is_none_or(|waker| !waker.will_wake(cx.waker())) {
                state.waker = Some(cx.waker().clone());
                if let Some(Registration { client, .. }) = state.connection.registered() {
                    client.set_waker(cx.waker().clone());
                }
            }
            let registered = state.connection.registered();
            state.gone |= registered.is_some_and(|it| it.client.is_killed());
        }
        for _ in 0..ROUNDS {
            match self.step(cx) {
                Ok(true) => {}
                Ok(false) => return self.rest(cx),
                Err(Over) => return Poll::Ready(()),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Does what can be done now; whether anything was.
    fn step(&mut self, cx: &mut Context<'_>) -> Result<bool, Over> {
        let mut progress = self.write(cx)?;
        progress |= self.upstream(cx);
        progress |= self.read(cx);
        progress |= self.keys(cx);
        progress |= self.end_delay(cx);
        let buffers = &self.worker.settings.buffers;
        self.shared.state.borrow_mut().count_waiting(buffers);
        Ok(progress)
    }

    /// Writes what is there for the client.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<bool, Over> {
        let mut state = self.shared.state.borrow_mut();
        if state.gone {
            return Err(Over);
        }
        if state.outgoing.is_empty() {
            return Ok(false);
        }
        let wrote = socket::write(&mut self.socket, &mut state.outgoing, cx)?;
        if wrote && let Way::Lane(lane) = &self.way {
            drop(state);
            lane.on_drained();
        }
        Ok(wrote)
    }

    /// Moves bytes to and from the server, where the client has a connection of its own.
    fn upstream(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.way {
            Way::None => false,
            Way::Lane(lane) => {
                let Some(why) = lane.failed() else {
                    return false;
                };
                // What came before the end is given first.
                if self.shared.is_stalled() {
                    return false;
                }
                match self.survives(why) {
                    true => self.leave_ended_lane(),
                    false => self.lose(&why.answer(), false),
                }
                true
            }
            Way::Connecting(connecting) => match connecting.as_mut().poll(cx) {
                Poll::Pending => false,
                Poll::Ready(Ok(upstream)) => {
                    self.begin_own(upstream);
                    true
                }
                Poll::Ready(Err(error)) => {
                    self.miss_connection(&error);
                    true
                }
            },
            Way::Dedicated(_) => self.own(cx),
        }
    }

    /// The same, and watches over the connection.
    fn own(&mut self, cx: &mut Context<'_>) -> bool {
        let progress = self.move_own(cx);
        self.watch_own(cx);
        progress
    }

    fn move_own(&mut self, cx: &mut Context<'_>) -> bool {
        let Way::Dedicated(own) = &mut self.way else {
            return false;
        };
        if self.upstream_closed {
            return false;
        }
        let Ok(wrote) = socket::write(&mut own.socket, &mut own.outgoing, cx) else {
            self.end_own();
            return true;
        };
        // A client that does not read leaves its replies with the server, which has a bound for that or none, as
        // the operator wants. Where its next request waits for replies, or the server for its own to be read,
        // waiting for the client could be for nothing: it may write everything before it reads anything.
        let most = self.worker.settings.limits.unread;
        let waits_for_replies = self.next == Next::Replies || own.outgoing.len() > most;
        {
            let state = self.shared.state.borrow();
            let is_full = state.outgoing.len() > most && !waits_for_replies;
            if is_full || state.connection.is_stalled() {
                return wrote;
            }
        }
        let worker = self.worker.clone();
        let mut scratch = worker.scratch.borrow_mut();
        let came = match socket::read(&mut own.socket, &mut scratch, cx) {
            Poll::Pending => return wrote,
            Poll::Ready(0) => {
                drop(scratch);
                self.end_own();
                return true;
            }
            Poll::Ready(len) => scratch.get(..len).unwrap_or_default(),
        };
        own.received = true;
        self.on_upstream_data(came);
        true
    }

    /// Takes what came from the server, behind what waits, where the client has a connection of its
    /// own.
    fn on_upstream_data(&mut self, came: &[u8]) {
        let Way::Dedicated(own) = &mut self.way else {
            return;
        };
        if std::mem::take(&mut own.is_new) && is_turned_away(came) {
            return self.unexplained(UnexpectedReply::Handshake(LoginError::TooManyClients));
        }
        let answered = {
            let state = &mut *self.shared.state.borrow_mut();
            let (connection, outgoing) = (&mut state.connection, &mut state.outgoing);
            let answered = own.waiting.with(came, |bytes| {
                match connection.replies(bytes, usize::MAX, outgoing.end()) {
                    Ok(answered) => (answered.used, Ok(())),
                    Err(error) => (bytes.len(), Err(error)),
                }
            });
            if answered.is_ok() && connection.take_login_reset() {
                let handshake = &self.worker.settings.upstream.handshake;
                connection.handshake(handshake, Protocol::Resp2, own.outgoing.end());
            }
            if connection.has_all_replies() {
                own.socket.all_answered();
            }
            answered
        };
        self.observe_role();
        if let Err(error) = answered {
            self.unexplained(error);
        }
    }

    /// The server sent what nothing explains: the connection ends.
    fn unexplained(&mut self, error: UnexpectedReply) {
        tracing::warn!("closing a connection: {error}");
        self.worker.settings.failed(match error {
            UnexpectedReply::Handshake(_) => UpstreamError::Login,
            UnexpectedReply::NotResp(_) | UnexpectedReply::Pairing => UpstreamError::Unexplained,
        });
        if matches!(error, UnexpectedReply::Handshake(_)) && self.survives_failed_login() {
            return;
        }
        let outgoing = &mut self.shared.state.borrow_mut().outgoing;
        if let UnexpectedReply::Handshake(error) = error
            && outgoing.is_empty()
        {
            let answer = answers::refused_login(error);
            outgoing.end().extend_from_slice(&answer);
        }
        self.upstream_closed = true;
    }

    /// Takes requests, as far as they can go somewhere.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        if self.upstream_closed {
            return false;
        }
        if self.next == Next::End {
            return self.discard(cx);
        }
        if self.is_too_heavy_for_a_lane() {
            self.next = Next::Dedicated;
        }
        if self.wants_other_way() {
            return true;
        }
        if self.waits_to_switch() {
            return false;
        }
        if matches!(self.way, Way::Connecting(_)) || !self.has_room() {
            return false;
        }
        if self.next == Next::Delay {
            return self.look_ahead(cx);
        }
        if self.next == Next::Replies {
            // Replies may have come since; if not, nothing happens.
            let before = self.next;
            let moved = self.take(&[]);
            if self.next == before {
                return moved || self.look_ahead(cx);
            }
            return true;
        }
        if self.next != Next::More || self.finished {
            return false;
        }
        let worker = self.worker.clone();
        let mut scratch = worker.scratch.borrow_mut();
        let came = match socket::read(&mut self.socket, &mut scratch, cx) {
            Poll::Pending => return false,
            Poll::Ready(0) => {
                self.finished = true;
                return true;
            }
            Poll::Ready(len) => scratch.get(..len).unwrap_or_default(),
        };
        if let Some(half) = &mut self.half_request {
            half.came += came.len();
        }
        if matches!(self.way, Way::None) {
            self.set_out();
        }
        self.take(came);
        true
    }

    /// Whether the server takes what more requests would bring. That their replies are not read does not matter
    /// here: as with Redis, a client may write all its requests before it reads the first reply.
    fn has_room(&self) -> bool {
        match &self.way {
            Way::None | Way::Connecting(_) => true,
            Way::Lane(lane) => lane.has_room(&self.shared),
            Way::Dedicated(own) => own.outgoing.len() <= self.worker.settings.limits.unread,
        }
    }

    /// Gives bytes to the conversation; whether any were taken.
    fn take(&mut self, came: &[u8]) -> bool {
        let state = &mut *self.shared.state.borrow_mut();
        let (connection, client) = (&mut state.connection, state.outgoing.end());
        let shared = &self.shared;
        let way = &mut self.way;
        let (used, sent, next) = self.waiting.with(came, |bytes| {
            let taken = match way {
                Way::Lane(lane) => lane.send(shared, |upstream| {
                    let link = Link::Lane(lane.identity);
                    let taken = connection.requests(bytes, link, upstream, client);
                    (taken.sent, taken)
                }),
                Way::Dedicated(own) => {
                    connection.requests(bytes, Link::Dedicated, own.outgoing.end(), client)
                }
                Way::None | Way::Connecting(_) => return (0, (0, 0, Next::Dedicated)),
            };
            (taken.used, (taken.used, taken.sent, taken.next))
        });
        self.next = next;
        if sent > 0 {
            self.half_request = None;
        }
        used > 0
    }

    /// The server cannot be reached, or was lost. Where nothing is under way the client is told.
    fn lose(&mut self, answer: &[u8], never_had: bool) {
        let state = &mut *self.shared.state.borrow_mut();
        let untold = state.connection.has_all_replies();
        if never_had || !untold || !self.waiting.is_empty() {
            // Not in the middle of a reply.
            if !state.connection.is_in_a_reply() {
                state.outgoing.end().extend_from_slice(answer);
            }
        }
        self.way = Way::None;
        self.upstream_closed = true;
    }
}
