//! The route of a client's requests: a lane or a dedicated upstream connection, and the changes between the two. The
//! conversation says what must be true before a change.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use super::Client;
use super::reply_timer::ReplyTimer;
use crate::clients::{Connection, Registration};
use crate::connection::{Handshake, Identity, Next};
use crate::net::buffer::{InputBuffer, OutputBuffer};
use crate::net::idle_pool::IdleConnection;
use crate::net::lane::Lane;
use crate::net::socket::{self, Socket};
use crate::pending::Protocol;
use crate::proxy::Sharing;

/// The route of a client's requests.
pub(super) enum Route {
    /// The client has no upstream connection; its next request opens one.
    None,
    Lane(Rc<Lane>),
    Connecting(Pin<Box<Connecting>>),
    Dedicated(Box<Dedicated>),
}

/// Opens a connection, or takes one from the pool.
type Connecting = dyn Future<Output = io::Result<UpstreamSocket>>;

/// A socket for a dedicated connection.
pub(super) enum UpstreamSocket {
    /// Nothing has been sent on it.
    New(Socket),
    /// It is logged in.
    Idle(IdleConnection),
}

/// An upstream connection that one client uses alone.
pub(super) struct Dedicated {
    pub(super) socket: Socket,
    pub(super) output: OutputBuffer,
    pub(super) input: InputBuffer,
    /// The server has sent nothing yet.
    pub(super) is_new: bool,
    pub(super) reply_timer: ReplyTimer,
    /// Bytes were received since the reply timer was polled last.
    pub(super) received: bool,
}

impl Client {
    /// Gives a new client its first route: a lane, unless connections are not shared.
    pub(super) fn choose_first_route(&mut self) {
        let identity = Identity {
            protocol: Protocol::Resp2,
            database: self.worker.settings.upstream.database,
        };
        match self.worker.settings.sharing {
            Sharing::Dedicated => self.connect(),
            Sharing::Shared | Sharing::Auto => self.go_to_lane(identity),
        }
    }

    pub(super) fn go_to_lane(&mut self, identity: Identity) {
        if let Route::Lane(lane) = &self.route {
            lane.detach(&self.shared);
        }
        match self.worker.lane(identity) {
            Some(lane) => {
                lane.attach(&self.shared);
                self.shared.state.borrow_mut().connection.begin_on_lane();
                self.worker.idle_pool.refill(&self.worker);
                self.route = Route::Lane(lane);
            }
            None => self.connect(),
        }
    }

    /// Begins to get a dedicated connection.
    pub(super) fn connect(&mut self) {
        if let Route::Lane(lane) = &self.route {
            lane.detach(&self.shared);
        }
        let worker = self.worker.clone();
        let protocol = self.shared.state.borrow().connection.protocol();
        let has_pool = worker.has_lanes();
        self.route = Route::Connecting(Box::pin(async move {
            while has_pool && let Some(mut idle) = worker.idle_pool.take(protocol, &worker) {
                if is_open(&mut idle.socket).await {
                    return Ok(UpstreamSocket::Idle(idle));
                }
            }
            Ok(UpstreamSocket::New(worker.settings.connect().await?))
        }));
    }

    pub(super) fn begin_dedicated(&mut self, upstream: UpstreamSocket) {
        let mut output = OutputBuffer::default();
        let connection = &mut self.shared.state.borrow_mut().connection;
        connection.begin_on_another_connection();
        let no_handshake = Handshake::default();
        let is_new = matches!(upstream, UpstreamSocket::New(_));
        let (socket, handshake, spoken) = match upstream {
            UpstreamSocket::New(socket) => (
                socket,
                &self.worker.settings.upstream.handshake,
                Protocol::Resp2,
            ),
            UpstreamSocket::Idle(idle) => (idle.socket, &no_handshake, idle.protocol),
        };
        connection.handshake(handshake, spoken, output.end());
        if let Some(Registration { client, .. }) = connection.registered() {
            client.set_connection(Connection::Dedicated(socket.local));
        }
        self.route = Route::Dedicated(Box::new(Dedicated {
            socket,
            output,
            input: InputBuffer::default(),
            is_new,
            reply_timer: ReplyTimer::default(),
            received: false,
        }));
        self.next = Next::Replies;
    }

    /// True if the client must not stay on its lane, because its replies are too large or because the server limits
    /// single connections by now.
    pub(super) fn must_leave_lane(&self) -> bool {
        let has_large_replies = self.shared.state.borrow().has_large_replies;
        matches!(self.route, Route::Lane(_))
            && matches!(self.next, Next::More | Next::Replies)
            && (has_large_replies || !self.worker.settings.shares_connections())
    }

    /// Changes the route if the next request demands it and all replies have been received. Returns true if it was
    /// changed.
    pub(super) fn change_route(&mut self) -> bool {
        if !self.shared.state.borrow().connection.has_all_replies() {
            return false;
        }
        if self.is_outdated() {
            self.switch();
            return true;
        }
        match (self.next, &mut self.route) {
            (Next::Dedicated, Route::Lane(_)) => {
                self.connect();
                true
            }
            (Next::Lane(protocol), Route::Lane(lane)) => {
                let identity = Identity {
                    protocol,
                    ..lane.identity
                };
                self.go_to_lane(identity);
                self.next = Next::Replies;
                true
            }
            (Next::More | Next::Replies, Route::Dedicated(dedicated))
                if self.worker.settings.sharing == Sharing::Shared
                    && dedicated.output.is_empty()
                    && dedicated.input.is_empty()
                    && self.input.is_empty() =>
            {
                let state = self.shared.state.borrow();
                let is_movable = state.connection.is_movable() && !state.has_large_replies;
                drop(state);
                is_movable && self.return_to_lane()
            }
            _ => false,
        }
    }

    /// Returns to a lane when the state that needed a dedicated connection is over. Returns false if there is no lane.
    fn return_to_lane(&mut self) -> bool {
        let (protocol, is_traceless) = {
            let connection = &self.shared.state.borrow().connection;
            (connection.protocol(), connection.is_traceless())
        };
        let identity = Identity {
            protocol,
            database: self.worker.settings.upstream.database,
        };
        let Some(lane) = self.worker.lane(identity) else {
            return false;
        };
        lane.attach(&self.shared);
        self.shared.state.borrow_mut().connection.begin_on_lane();
        // Any other connection is closed: its state must not reach another client.
        if let Route::Dedicated(dedicated) = std::mem::replace(&mut self.route, Route::Lane(lane))
            && is_traceless
        {
            let idle = IdleConnection::new(dedicated.socket, protocol, &self.worker);
            self.worker.idle_pool.put(idle);
        }
        true
    }
}

/// True if a socket from which nothing is expected is still open: its end would be readable.
async fn is_open(socket: &mut Socket) -> bool {
    let is_pending = poll_fn(|cx| Poll::Ready(socket::read(socket, &mut [0], cx).is_pending()));
    // Otherwise a read would also be pending because this task has used up its budget.
    tokio::task::unconstrained(is_pending).await
}
