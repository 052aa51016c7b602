//! Where a client's requests go: to a lane, or to an upstream connection of its own; and when one is
//! changed for the other. What must be so before a change is the conversation's to say.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use super::Client;
use crate::connection::{Entrance, Identity, Next};
use crate::net::buffer::{Outgoing, Waiting};
use crate::net::lane::Lane;
use crate::net::socket::{self, Socket};
use crate::pending::Protocol;
use crate::proxy::Sharing;

/// Where a client's requests go.
pub(super) enum Way {
    /// Nowhere yet.
    None,
    Lane(Rc<Lane>),
    Connecting(Pin<Box<Connecting>>),
    Own(Own),
}

/// Comes to a socket, and whether it is new.
type Connecting = dyn Future<Output = io::Result<(Socket, bool)>>;

/// An upstream connection of the client's own.
pub(super) struct Own {
    pub(super) socket: Socket,
    pub(super) outgoing: Outgoing,
    pub(super) waiting: Waiting,
}

impl Client {
    /// The first way: a lane, unless the operator wants none.
    pub(super) fn set_out(&mut self) {
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
        let spare = self
            .worker
            .spare(self.shared.state.borrow().connection.protocol());
        self.way = Way::Connecting(Box::pin(async move {
            if let Some(mut socket) = spare
                && is_open(&mut socket).await
            {
                return Ok((socket, false));
            }
            Ok((settings.connect().await?, true))
        }));
    }

    pub(super) fn begin_own(&mut self, socket: Socket, new: bool) {
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

    /// Whether the client is better off with a connection of its own, and may have one for good.
    pub(super) fn is_too_heavy_for_a_lane(&self) -> bool {
        matches!(self.way, Way::Lane(_))
            && matches!(self.next, Next::More | Next::Replies)
            && self.worker.settings.sharing == Sharing::Auto
            && self.shared.state.borrow().heavy
    }

    /// Changes the way where the next request demands it, once all replies have come.
    pub(super) fn wants_other_way(&mut self) -> bool {
        let ready = self.shared.state.borrow().connection.has_all_replies();
        if !ready {
            return false;
        }
        match (self.next, &mut self.way) {
            (Next::Own, Way::Lane(_)) => {
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
            (Next::More | Next::Replies, Way::Own(own))
                if self.worker.settings.sharing == Sharing::Shared
                    && own.outgoing.is_empty()
                    && own.waiting.is_empty()
                    && self.waiting.is_empty()
                    && self.shared.state.borrow().connection.is_movable() =>
            {
                self.back_to_lane();
                true
            }
            _ => false,
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
}

/// Whether a socket that nothing is expected from is still open: an end would be there to read.
async fn is_open(socket: &mut Socket) -> bool {
    poll_fn(|cx| Poll::Ready(socket::read(socket, &mut [0], cx).is_pending())).await
}
