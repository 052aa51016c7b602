//! One client's socket: reads its requests, writes its replies, and moves it between lanes and an
//! upstream connection of its own as its conversation demands.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::time::{Sleep, sleep};

use super::buffer::{Outgoing, Waiting};
use super::lane::Lane;
use super::listener::Incoming;
use super::socket::{self, Closed, Socket};
use super::upstream::cause;
use super::worker::Worker;
use crate::answers;
use crate::connection::{Answered, Connection, Entrance, Identity, Next, Route, Unexplained};
use crate::pending::Protocol;
use crate::proxy::Sharing;

/// Steps of one client before others have their turn.
const ROUNDS: usize = 8;
/// Bytes that are read from a blocked client before they can be looked at.
const AHEAD: usize = 16 * 1024;
/// How long a client may take to read the last words before the socket is closed.
const FAREWELL: Duration = Duration::from_secs(1);

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

/// Where a client's requests go.
enum Way {
    /// Nowhere yet.
    None,
    Lane(Rc<Lane>),
    Connecting(Pin<Box<Connecting>>),
    Own(Own),
}

/// Comes to a socket, and whether it is new.
type Connecting = dyn Future<Output = io::Result<(Socket, bool)>>;

/// An upstream connection of the client's own.
struct Own {
    socket: Socket,
    outgoing: Outgoing,
    waiting: Waiting,
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
    half_request: Option<Pin<Box<Sleep>>>,
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

/// Closes a socket so that the client can still read what was written last: bytes of its own that
/// nobody reads would make the system tear the connection down at once.
async fn say_farewell(mut socket: Socket, worker: &Rc<Worker>) {
    let mut shut = false;
    let reading = poll_fn(|cx| {
        if !shut {
            match Pin::new(&mut socket).poll_shutdown(cx) {
                Poll::Ready(Ok(())) => shut = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        let mut scratch = worker.scratch.borrow_mut();
        loop {
            match socket::read(&mut socket, &mut scratch, cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(0) => return Poll::Ready(()),
                Poll::Ready(_) => {}
            }
        }
    });
    // A client that keeps the socket open longer is not waited for.
    let _ = tokio::time::timeout(FAREWELL, reading).await;
}

/// Whether a socket that nothing is expected from is still open: an end would be there to read.
async fn is_open(socket: &mut Socket) -> bool {
    poll_fn(|cx| Poll::Ready(socket::read(socket, &mut [0], cx).is_pending())).await
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
        progress |= self.upstream(cx)?;
        progress |= self.read(cx)?;
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
    fn upstream(&mut self, cx: &mut Context<'_>) -> Result<bool, Over> {
        match &mut self.way {
            Way::None => Ok(false),
            Way::Lane(lane) => {
                if let Some(why) = lane.failed() {
                    self.lose(why, false)?;
                    return Ok(true);
                }
                Ok(false)
            }
            Way::Connecting(connecting) => match connecting.as_mut().poll(cx) {
                Poll::Pending => Ok(false),
                Poll::Ready(Ok((socket, new))) => {
                    self.begin_own(socket, new);
                    Ok(true)
                }
                Poll::Ready(Err(error)) => {
                    self.lose(cause(&error), true)?;
                    Ok(true)
                }
            },
            Way::Own(_) => self.own(cx),
        }
    }

    fn own(&mut self, cx: &mut Context<'_>) -> Result<bool, Over> {
        let Way::Own(own) = &mut self.way else {
            return Ok(false);
        };
        if self.bereft {
            return Ok(false);
        }
        let limits = self.worker.settings.limits;
        let Ok(wrote) = socket::write(&mut own.socket, &mut own.outgoing, cx) else {
            self.bereft = true;
            return Ok(true);
        };
        let state = &mut *self.shared.state.borrow_mut();
        if state.outgoing.len() > limits.unread {
            return Ok(wrote);
        }
        let mut scratch = self.worker.scratch.borrow_mut();
        let came = match socket::read(&mut own.socket, &mut scratch, cx) {
            Poll::Pending => return Ok(wrote),
            Poll::Ready(0) => {
                self.bereft = true;
                return Ok(true);
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
            return Ok(true);
        }
        if connection.take_entrance_lost() {
            connection.handshake(&self.worker.settings.upstream.entrance, own.outgoing.end());
        }
        Ok(true)
    }

    /// Takes requests, as far as they can go somewhere.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<bool, Over> {
        if self.bereft || self.next == Next::End {
            return Ok(false);
        }
        if self.wants_other_way()? {
            return Ok(true);
        }
        if matches!(self.way, Way::Connecting(_)) || !self.has_room() {
            return Ok(false);
        }
        if self.next == Next::Replies {
            // Replies may have come since; if not, nothing happens.
            let before = self.next;
            let moved = self.take(&[])?;
            if self.next == before {
                return Ok(moved || self.look_ahead(cx));
            }
            return Ok(true);
        }
        if self.next != Next::More || self.finished {
            return Ok(false);
        }
        let worker = self.worker.clone();
        let mut scratch = worker.scratch.borrow_mut();
        let came = match socket::read(&mut self.socket, &mut scratch, cx) {
            Poll::Pending => return Ok(false),
            Poll::Ready(0) => {
                self.finished = true;
                return Ok(true);
            }
            Poll::Ready(len) => scratch.get(..len).unwrap_or_default(),
        };
        self.half_request = None;
        if matches!(self.way, Way::None) {
            self.set_out();
        }
        self.take(came)?;
        Ok(true)
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

    /// The first way: a lane, unless the operator wants none.
    fn set_out(&mut self) {
        let identity = Identity {
            protocol: Protocol::Resp2,
            database: self.worker.settings.upstream.database,
        };
        match self.worker.settings.sharing {
            Sharing::Own => self.connect(),
            Sharing::Shared | Sharing::Auto => self.go_to_lane(identity),
        }
    }

    fn go_to_lane(&mut self, identity: Identity) {
        if let Way::Lane(lane) = &self.way {
            lane.detach(&self.shared);
        }
        match self.worker.lane(identity) {
            Some(lane) => {
                lane.attach(&self.shared);
                self.way = Way::Lane(lane);
            }
            None => self.connect(),
        }
    }

    /// Gets an upstream connection of the client's own.
    fn connect(&mut self) {
        if let Way::Lane(lane) = &self.way {
            lane.detach(&self.shared);
        }
        let settings = self.worker.settings.clone();
        let limit = settings.limits.connect;
        let spare = self
            .worker
            .spare(self.shared.state.borrow().connection.protocol());
        self.way = Way::Connecting(Box::pin(async move {
            if let Some(mut socket) = spare
                && is_open(&mut socket).await
            {
                return Ok((socket, false));
            }
            Ok((settings.upstream.connect(limit).await?, true))
        }));
    }

    fn begin_own(&mut self, socket: Socket, new: bool) {
        let mut outgoing = Outgoing::default();
        {
            let connection = &mut self.shared.state.borrow_mut().connection;
            if new {
                let entrance = &self.worker.settings.upstream.entrance;
                connection.handshake(entrance, outgoing.end());
            } else if connection.has_labels() {
                connection.handshake(&Entrance::default(), outgoing.end());
            }
        }
        self.way = Way::Own(Own {
            socket,
            outgoing,
            waiting: Waiting::default(),
        });
        self.next = Next::Replies;
    }

    /// Changes the way where the next request demands it, once all replies have come.
    fn wants_other_way(&mut self) -> Result<bool, Over> {
        let ready = self.shared.state.borrow().connection.has_all_replies();
        if !ready {
            return Ok(false);
        }
        match (self.next, &mut self.way) {
            (Next::Own, Way::Lane(_)) => {
                self.connect();
                Ok(true)
            }
            (Next::Lane(protocol), Way::Lane(lane)) => {
                let identity = Identity {
                    protocol,
                    ..lane.identity
                };
                self.go_to_lane(identity);
                self.next = Next::Replies;
                Ok(true)
            }
            (Next::More | Next::Replies, Way::Own(own))
                if self.worker.settings.sharing == Sharing::Shared
                    && own.outgoing.is_empty()
                    && own.waiting.is_empty()
                    && self.waiting.is_empty()
                    && self.shared.state.borrow().connection.is_movable() =>
            {
                self.back_to_lane();
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// The state that needed an upstream connection of its own is over.
    fn back_to_lane(&mut self) {
        let protocol = self.shared.state.borrow().connection.protocol();
        let identity = Identity {
            protocol,
            database: self.worker.settings.upstream.database,
        };
        let Some(lane) = self.worker.lane(identity) else {
            return;
        };
        lane.attach(&self.shared);
        // Nobody else goes by this client's name.
        let has_labels = self.shared.state.borrow().connection.has_labels();
        if let Way::Own(own) = std::mem::replace(&mut self.way, Way::Lane(lane))
            && !has_labels
        {
            self.worker.give_back(protocol, own.socket);
        }
    }

    /// Gives bytes to the conversation; whether any were taken.
    fn take(&mut self, came: &[u8]) -> Result<bool, Over> {
        let state = &mut *self.shared.state.borrow_mut();
        let (connection, client) = (&mut state.connection, state.outgoing.end());
        let shared = &self.shared;
        let way = &mut self.way;
        let (used, next) = self.waiting.with(came, |bytes| {
            let taken = match way {
                Way::Lane(lane) => lane.send(shared, |upstream| {
                    let route = Route::Lane(lane.identity);
                    let taken = connection.requests(bytes, route, upstream, client);
                    (taken.sent, taken)
                }),
                Way::Own(own) => connection.requests(bytes, Route::Own, own.outgoing.end(), client),
                Way::None | Way::Connecting(_) => return (0, (0, Next::Own)),
            };
            (taken.used, (taken.used, taken.next))
        });
        self.next = next;
        Ok(used > 0)
    }

    /// The server cannot be reached, or was lost. Where nothing is under way the client is told.
    fn lose(&mut self, why: &str, never_had: bool) -> Result<(), Over> {
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
        Ok(())
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
        if in_a_request && self.next == Next::More && !self.finished && !self.bereft {
            let limit = self.worker.settings.limits.half_request;
            let patience = self
                .half_request
                .get_or_insert_with(|| Box::pin(sleep(limit)));
            if patience.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}
