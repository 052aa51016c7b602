//! One client's socket: reads its requests, writes its replies, and moves it between lanes and an
//! upstream connection of its own as its conversation demands.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::time::{Instant, Sleep, sleep};

use self::way::Way;
use super::buffer::{Outgoing, Waiting};
use super::farewell::say_farewell;
use super::listener::Incoming;
use super::socket::{self, Closed, Socket};
use super::upstream::cause;
use super::worker::Worker;
use crate::answers;
use crate::connection::{Answered, Connection, Next, Route, Unexplained};

mod way;

/// Steps of one client before others have their turn.
const ROUNDS: usize = 8;
/// Bytes that are read from a blocked client before they can be looked at.
const AHEAD: usize = 16 * 1024;
/// Replies that wait for one client at once, in bytes, beyond which a lane is no place for it: they hold
/// up others there, and a server writes large replies better to several connections than to one.
const HEAVY: usize = 128 * 1024;
/// Bytes of half a request that must come in each period for it to be waited for any longer.
const HALF_REQUEST_BYTES: usize = 16 * 1024;

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
}

impl Shared {
    pub(crate) fn wake(&self) {
        if let Some(waker) = &self.state.borrow().waker {
            waker.wake_by_ref();
        }
    }

    /// Takes replies from a lane.
    pub(crate) fn answer(&self, bytes: &[u8], at_most: usize) -> Result<Answered, Unexplained> {
        let state = &mut *self.state.borrow_mut();
        let answered = state
            .connection
            .replies(bytes, at_most, state.outgoing.end());
        if state.gone {
            state.outgoing.clear();
        }
        state.heavy |= state.outgoing.len() > HEAVY;
        answered
    }

    /// Bytes that the client has not read.
    pub(crate) fn unread(&self) -> usize {
        self.state.borrow().outgoing.len()
    }

    /// Gives the client up.
    pub(crate) fn cut_off(&self) {
        {
            let mut state = self.state.borrow_mut();
            state.gone = true;
            state.outgoing.clear();
        }
        self.wake();
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
    bereft: bool,
    half_request: Option<HalfRequest>,
}

/// A request that is half sent.
struct HalfRequest {
    /// When enough more must have come.
    until: Pin<Box<Sleep>>,
    /// Bytes that came since this was set.
    came: usize,
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
    let Some(socket) = incoming.into_socket(limits.half_request).await else {
        return;
    };
    let shared = Rc::new(Shared {
        id: worker.next_id(),
        state: RefCell::new(State {
            connection: Connection::new(
                worker.settings.protection.clone(),
                limits,
                worker.settings.report.clone(),
            ),
            outgoing: Outgoing::default(),
            waker: None,
            gone: false,
            heavy: false,
        }),
    });
    worker.enter(&shared);
    let mut client = Client {
        worker: worker.clone(),
        shared,
        socket,
        waiting: Waiting::default(),
        way: Way::None,
        next: Next::More,
        finished: false,
        bereft: false,
        half_request: None,
    };
    poll_fn(|cx| client.poll(cx)).await;
    let farewell = client.leave();
    if let Some(socket) = farewell {
        say_farewell(socket, worker).await;
    }
}

impl Client {
    /// Takes the client off everything; gives its socket back where it can still be read from.
    fn leave(self) -> Option<Socket> {
        if let Way::Lane(lane) = &self.way {
            lane.detach(&self.shared);
            lane.has_read(&self.shared);
        }
        self.worker.leave(&self.shared);
        let mut state = self.shared.state.borrow_mut();
        let cut_off = std::mem::replace(&mut state.gone, true);
        state.waker = None;
        state.outgoing.clear();
        (!self.finished && !cut_off).then_some(self.socket)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        {
            let mut state = self.shared.state.borrow_mut();
            let known = state.waker.as_ref();
            if known.is_none_or(|waker| !waker.will_wake(cx.waker())) {
                state.waker = Some(cx.waker().clone());
            }
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
        if wrote
            && state.outgoing.len() <= self.worker.settings.limits.unread / 2
            && let Way::Lane(lane) = &self.way
        {
            drop(state);
            lane.has_read(&self.shared);
        }
        Ok(wrote)
    }

    /// Moves bytes to and from the server, where the client has a connection of its own.
    fn upstream(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.way {
            Way::None => false,
            Way::Lane(lane) => {
                if let Some(why) = lane.failed() {
                    self.lose(why, false);
                    return true;
                }
                false
            }
            Way::Connecting(connecting) => match connecting.as_mut().poll(cx) {
                Poll::Pending => false,
                Poll::Ready(Ok((socket, new))) => {
                    self.begin_own(socket, new);
                    true
                }
                Poll::Ready(Err(error)) => {
                    self.lose(cause(&error), true);
                    true
                }
            },
            Way::Own(_) => self.own(cx),
        }
    }

    fn own(&mut self, cx: &mut Context<'_>) -> bool {
        let Way::Own(own) = &mut self.way else {
            return false;
        };
        if self.bereft {
            return false;
        }
        let limits = self.worker.settings.limits;
        let Ok(wrote) = socket::write(&mut own.socket, &mut own.outgoing, cx) else {
            self.bereft = true;
            return true;
        };
        let state = &mut *self.shared.state.borrow_mut();
        if state.outgoing.len() > limits.unread {
            return wrote;
        }
        let mut scratch = self.worker.scratch.borrow_mut();
        let came = match socket::read(&mut own.socket, &mut scratch, cx) {
            Poll::Pending => return wrote,
            Poll::Ready(0) => {
                self.bereft = true;
                return true;
            }
            Poll::Ready(len) => scratch.get(..len).unwrap_or_default(),
        };
        let (connection, outgoing) = (&mut state.connection, &mut state.outgoing);
        let answered = own.waiting.with(came, |bytes| {
            match connection.replies(bytes, usize::MAX, outgoing.end()) {
                Ok(answered) => (answered.used, Ok(())),
                Err(error) => (bytes.len(), Err(error)),
            }
        });
        if let Err(error) = answered {
            tracing::warn!("closing a connection: {error}");
            if error == Unexplained::Entrance && outgoing.is_empty() {
                outgoing
                    .end()
                    .extend_from_slice(&answers::unreachable(&error.to_string()));
            }
            self.bereft = true;
            return true;
        }
        if connection.take_entrance_lost() {
            connection.handshake(&self.worker.settings.upstream.entrance, own.outgoing.end());
        }
        true
    }

    /// Takes requests, as far as they can go somewhere.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        if self.bereft || self.next == Next::End {
            return false;
        }
        if self.is_too_heavy_for_a_lane() {
            self.next = Next::Own;
        }
        if self.wants_other_way() {
            return true;
        }
        if matches!(self.way, Way::Connecting(_)) || !self.has_room() {
            return false;
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

    /// A client that leaves while a request of its own waits on the server must be noticed also where
    /// nothing more is taken from it: else it would be given what nobody receives.
    fn look_ahead(&mut self, cx: &mut Context<'_>) -> bool {
        let blocked = self.shared.state.borrow().connection.may_be_blocked();
        if !blocked || self.finished || self.waiting.len() >= AHEAD {
            return false;
        }
        let mut scratch = self.worker.scratch.borrow_mut();
        let Some(scratch) = scratch.get_mut(..AHEAD) else {
            return false;
        };
        match socket::read(&mut self.socket, scratch, cx) {
            Poll::Pending => false,
            Poll::Ready(0) => {
                self.finished = true;
                true
            }
            Poll::Ready(len) => {
                let came = scratch.get(..len).unwrap_or_default();
                self.waiting.with(came, |_| (0, ()));
                true
            }
        }
    }

    /// Whether there is room for what more requests would bring.
    fn has_room(&self) -> bool {
        let limits = self.worker.settings.limits;
        if self.shared.unread() > limits.unread {
            return false;
        }
        match &self.way {
            Way::None | Way::Connecting(_) => true,
            Way::Lane(lane) => lane.has_room(&self.shared),
            Way::Own(own) => own.outgoing.len() <= limits.unread,
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
                    let route = Route::Lane(lane.identity);
                    let taken = connection.requests(bytes, route, upstream, client);
                    (taken.sent, taken)
                }),
                Way::Own(own) => connection.requests(bytes, Route::Own, own.outgoing.end(), client),
                Way::None | Way::Connecting(_) => return (0, (0, 0, Next::Own)),
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
    fn lose(&mut self, why: &str, never_had: bool) {
        let state = &mut *self.shared.state.borrow_mut();
        let untold = state.connection.has_all_replies();
        if never_had || !untold || !self.waiting.is_empty() {
            let answer = answers::unreachable(why);
            // Not in the middle of a reply.
            if !state.connection.is_in_a_reply() {
                state.outgoing.end().extend_from_slice(&answer);
            }
        }
        self.way = Way::None;
        self.bereft = true;
    }

    /// Nothing can be done now: is it over?
    fn rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (idle, in_a_request, answered, unread, blocked) = {
            let mut state = self.shared.state.borrow_mut();
            state.outgoing.rest();
            let connection = &state.connection;
            (
                connection.is_idle(),
                // A few bytes may be too few to know that it is one.
                connection.is_in_a_request() || !self.waiting.is_empty(),
                connection.has_all_replies(),
                !state.outgoing.is_empty(),
                connection.may_be_blocked(),
            )
        };
        if let Way::Own(own) = &mut self.way {
            own.outgoing.rest();
        }
        let over = if self.bereft {
            !unread
        } else if self.finished {
            // Whoever waits for something to happen must not be given it any more.
            let nothing_waits = self.waiting.is_empty() || self.next == Next::More;
            blocked || (answered && !unread && nothing_waits)
        } else if self.next == Next::End {
            answered && !unread
        } else {
            self.worker.is_draining() && idle && !unread && self.waiting.is_empty()
        };
        if over {
            return Poll::Ready(());
        }
        if !in_a_request {
            self.half_request = None;
        }
        let half_sent = in_a_request && self.next == Next::More;
        if half_sent && !self.finished && !self.bereft && self.is_too_slow(cx) {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Whether half a request has been waited for long enough.
    fn is_too_slow(&mut self, cx: &mut Context<'_>) -> bool {
        let limit = self.worker.settings.limits.half_request;
        let half = self.half_request.get_or_insert_with(|| HalfRequest {
            until: Box::pin(sleep(limit)),
            came: 0,
        });
        while half.until.as_mut().poll(cx).is_ready() {
            if half.came < HALF_REQUEST_BYTES {
                return true;
            }
            half.came = 0;
            half.until.as_mut().reset(Instant::now() + limit);
        }
        false
    }
}
