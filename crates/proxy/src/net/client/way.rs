//! Where a client's requests go: to a lane, or to an upstream connection of its own; and when one is
//! changed for the other. What must be so before a change is the conversation's to say.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use super::Client;
use super::silence::Silence;
use crate::clients::{Connection, Registration};
use crate::connection::{Handshake, Identity, Next};
use crate::net::buffer::{Outgoing, Waiting};
use crate::net::lane::Lane;
use crate::net::socket::{self, Socket};
use crate::net::spares::Spare;
use crate::pending::Protocol;
use crate::proxy::Sharing;

/// Where a client's requests go.
pub(super) enum Way {
    /// Nowhere yet.
    None,
    Lane(Rc<Lane>),
    Connecting(Pin<Box<Connecting>>),
    Dedicated(Box<Dedicated>),
}

/// Comes to a connection.
type Connecting = dyn Future<Output = io::Result<Upstream>>;

/// A connection for one client.
pub(super) enum Upstream {
    /// Nothing has been sent on it.
    New(Socket),
    /// It is logged in.
    Spare(Spare),
}

/// An upstream connection of the client's own.
pub(super) struct Dedicated {
    pub(super) socket: Socket,
    pub(super) outgoing: Outgoing,
    pub(super) waiting: Waiting,
    /// Nothing has come from the server.
    pub(super) is_new: bool,
    pub(super) silence: Silence,
    /// Bytes have come since the silence was looked at.
    pub(super) received: bool,
}

impl Client {
    /// The first way: a lane, unless the operator wants none.
    pub(super) fn set_out(&mut self) {
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
        if let Way::Lane(lane) = &self.way {
            lane.detach(&self.shared);
        }
        match self.worker.lane(identity) {
            Some(lane) => {
                lane.attach(&self.shared);
                self.shared.state.borrow_mut().connection.begin_on_lane();
                self.worker.spares.keep_ready(&self.worker);
                self.way = Way::Lane(lane);
            }
            None => self.connect(),
        }
    }

    /// Gets an upstream connection of the client's own.
    pub(super) fn connect(&mut self) {
        if let Way::Lane(lane) = &self.way {
            lane.detach(&self.shared);
        }
        let worker = self.worker.clone();
        let protocol = self.shared.state.borrow().connection.protocol();
        let has_spares = worker.has_lanes();
        self.way = Way::Connecting(Box::pin(async move {
            while has_spares && let Some(mut spare) = worker.spares.take(protocol, &worker) {
                if is_open(&mut spare.socket).await {
                    return Ok(Upstream::Spare(spare));
                }
            }
            Ok(Upstream::New(worker.settings.connect().await?))
        }));
    }

    pub(super) fn begin_own(&mut self, upstream: Upstream) {
        let mut outgoing = Outgoing::default();
        let connection = &mut self.shared.state.borrow_mut().connection;
        connection.begin_on_another_connection();
        let none = Handshake::default();
        let is_new = matches!(upstream, Upstream::New(_));
        let (socket, handshake, spoken) = match upstream {
            Upstream::New(socket) => (
                socket,
                &self.worker.settings.upstream.handshake,
                Protocol::Resp2,
            ),
            Upstream::Spare(spare) => (spare.socket, &none, spare.protocol),
        };
        connection.handshake(handshake, spoken, outgoing.end());
        if let Some(Registration { client, .. }) = connection.registered() {
            client.set_connection(Connection::Dedicated(socket.local));
        }
        self.way = Way::Dedicated(Box::new(Dedicated {
            socket,
            outgoing,
            waiting: Waiting::default(),
            is_new,
            silence: Silence::default(),
            received: false,
        }));
        self.next = Next::Replies;
    }

    /// Whether the client must not go on sharing a lane, because its replies are too large or because the server
    /// limits single connections by now: it gets a connection of its own.
    pub(super) fn is_too_heavy_for_a_lane(&self) -> bool {
        matches!(self.way, Way::Lane(_))
            && matches!(self.next, Next::More | Next::Replies)
            && (self.shared.state.borrow().heavy || !self.worker.settings.shares_connections())
    }

    /// Changes the way where the next request demands it, once all replies have come. Whether it has.
    pub(super) fn wants_other_way(&mut self) -> bool {
        let ready = self.shared.state.borrow().connection.has_all_replies();
        if !ready {
            return false;
        }
        if self.is_outdated() {
            self.switch();
            return true;
        }
        match (self.next, &mut self.way) {
            (Next::Dedicated, Way::Lane(_)) => {
                self.connect();
                true
            }
            (Next::Lane(protocol), Way::Lane(lane)) => {
                let identity = Identity {
                    protocol,
                    ..lane.identity
                };
                self.go_to_lane(identity);
                self.next = Next::Replies;
                true
            }
            (Next::More | Next::Replies, Way::Dedicated(own))
                if self.worker.settings.sharing == Sharing::Shared
                    && own.outgoing.is_empty()
                    && own.waiting.is_empty()
                    && self.waiting.is_empty() =>
            {
                let state = self.shared.state.borrow();
                let movable = state.connection.is_movable() && !state.heavy;
                drop(state);
                movable && self.back_to_lane()
            }
            _ => false,
        }
    }

    /// The state that needed an upstream connection of its own is over. Whether there is a lane to go
    /// back to.
    fn back_to_lane(&mut self) -> bool {
        let (protocol, traceless) = {
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
        if let Way::Dedicated(own) = std::mem::replace(&mut self.way, Way::Lane(lane))
            && traceless
        {
            let spare = Spare::new(own.socket, protocol, &self.worker);
            self.worker.spares.give_back(spare);
        }
        true
    }
}

/// Whether a socket that nothing is expected from is still open: an end would be there to read.
async fn is_open(socket: &mut Socket) -> bool {
    let is_pending = poll_fn(|cx| Poll::Ready(socket::read(socket, &mut [0], cx).is_pending()));
    // Else it would also be pending because this task has done enough for now.
    tokio::task::unconstrained(is_pending).await
}
