//! A client whose connection to the server has died, or was opened before the last switch goes to a newer one, as soon as no
//! reply is due. Which connections are older is `net::health`'s to say.

use std::task::Context;

use waxseal_metrics::UpstreamError;

use super::Client;
use super::way::Way;
use crate::answers;
use crate::clients::Connection;
use crate::connection::Next;
use crate::net::lane::end::LaneEnd;
use crate::net::upstream::cause;
use crate::proxy::Sharing;

impl Client {
    /// Whether the client's connection is outdated and the client can leave it: always a lane, one of its own where
    /// another would do as well.
    pub(super) fn is_outdated(&self) -> bool {
        if !matches!(self.next, Next::More | Next::Replies) {
            return false;
        }
        let settings = &self.worker.settings;
        match &self.way {
            Way::Lane(lane) => lane.is_outdated(&self.worker),
            Way::Dedicated(own) => {
                settings.sharing != Sharing::Dedicated
                    && settings.is_outdated(own.socket.epoch)
                    && own.outgoing.is_empty()
                    && own.waiting.is_empty()
                    && self.shared.state.borrow().connection.is_movable()
            }
            Way::None | Way::Connecting(_) => false,
        }
    }

    /// Goes to a newer connection. No reply is due.
    pub(super) fn switch(&mut self) {
        match &self.way {
            Way::Lane(lane) => self.go_to_lane(lane.identity),
            _ => self.connect(),
        }
    }

    /// Whether the client waits for its last replies before it goes to a newer connection.
    pub(super) fn waits_to_switch(&self) -> bool {
        matches!(self.way, Way::Lane(_)) && self.is_outdated()
    }

    /// Whether the end of its lane does not concern the client: it waits for nothing there, and a direct client would
    /// not have noticed. It goes to another lane; where a lane could not be opened, not before its next request.
    pub(super) fn survives(&self, end: LaneEnd) -> bool {
        match end {
            LaneEnd::Connect(_) | LaneEnd::Refused(_) => self.can_wait_without_connection(),
            end => {
                (end.is_dead_path() || end == LaneEnd::Retired)
                    && self.shared.state.borrow().connection.has_all_replies()
            }
        }
    }

    /// Whether the client has asked for nothing that is not answered: it needs no connection before its next request.
    fn can_wait_without_connection(&self) -> bool {
        matches!(self.next, Next::More | Next::Replies | Next::Dedicated)
            && self.waiting.is_empty()
            && self.shared.state.borrow().connection.has_all_replies()
    }

    /// A connection of the client's own could not be opened. Only a client that has asked for something is told.
    pub(super) fn miss_connection(&mut self, error: &std::io::Error) {
        if self.can_wait_without_connection() {
            self.rest_without_connection();
        } else {
            self.lose(&answers::unreachable(cause(error)), true);
        }
    }

    /// A new connection of the client's own has ended before it was one. Whether that does not concern the client.
    pub(super) fn survives_failed_login(&mut self) -> bool {
        let survives = matches!(self.next, Next::More | Next::Replies | Next::Dedicated)
            && self.waiting.is_empty()
            && self
                .shared
                .state
                .borrow_mut()
                .connection
                .abandon_handshake();
        if survives {
            self.rest_without_connection();
        }
        survives
    }

    /// The client's own connection has ended.
    pub(super) fn end_own(&mut self) {
        self.count_end();
        let is_new = matches!(&self.way, Way::Dedicated(own) if own.is_new);
        self.upstream_closed = !(is_new && self.survives_failed_login());
    }

    /// The client's next request opens a connection, and gets the error where that still fails.
    fn rest_without_connection(&mut self) {
        self.shared.set_connection(Connection::None);
        self.way = Way::None;
        self.next = Next::More;
    }

    /// Leaves a lane that has ended. A client that has sent nothing gets another one with its next request: so it also
    /// survives a server that is away for a while.
    pub(super) fn leave_ended_lane(&mut self) {
        let Way::Lane(lane) = &self.way else {
            return;
        };
        if !self.can_wait_without_connection() {
            return self.go_to_lane(lane.identity);
        }
        lane.detach(&self.shared);
        self.rest_without_connection();
    }

    /// Watches over the client's own connection, when its bytes have been moved.
    pub(super) fn watch_own(&mut self, cx: &mut Context<'_>) {
        let Way::Dedicated(own) = &mut self.way else {
            return;
        };
        if self.upstream_closed {
            return;
        }
        let due = !self.shared.state.borrow().connection.has_all_replies();
        let limit = self.worker.settings.limits.stalled;
        let received = std::mem::take(&mut own.received);
        let is_late = own.silence.poll((due, received), limit, cx);
        own.socket.limit_acknowledgement(is_late);
    }

    /// The client's own connection has ended, other than by the client.
    fn count_end(&self) {
        let is_dead_path = matches!(&self.way, Way::Dedicated(own) if own.socket.is_timed_out());
        self.worker.settings.failed(match is_dead_path {
            true => UpstreamError::Stalled,
            false => UpstreamError::Closed,
        });
    }

    /// Looks whether the server has said, on the client's own connection, that its role is another now.
    pub(super) fn observe_role(&mut self) {
        if let Way::Dedicated(own) = &self.way
            && let Some(word) = self.shared.take_role_error()
        {
            self.worker.settings.switch(own.socket.epoch, word);
        }
    }
}
