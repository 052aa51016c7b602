//! The move of a client to a newer connection, when its connection has died or was opened before the last switch. It
//! moves as soon as no reply is due. [`Health`](crate::net::health::Health) says which connections are outdated.

use std::task::Context;

use waxseal_metrics::UpstreamError;

use super::Client;
use super::route::Route;
use crate::clients::Connection;
use crate::connection::Next;
use crate::net::lane::end::LaneEnd;
use crate::proxy::Sharing;

impl Client {
    /// True if the client's connection is outdated and the client can leave it: always a lane, a dedicated connection if
    /// another one would do as well.
    pub(super) fn is_outdated(&self) -> bool {
        if !matches!(self.next, Next::More | Next::Replies) {
            return false;
        }
        let settings = &self.worker.settings;
        match &self.route {
            Route::Lane(lane) => lane.is_outdated(&self.worker),
            Route::Dedicated(dedicated) => {
                settings.sharing != Sharing::Dedicated
                    && settings.is_outdated(dedicated.socket.epoch)
                    && dedicated.output.is_empty()
                    && dedicated.input.is_empty()
                    && self.shared.state.borrow().connection.is_movable()
            }
            Route::None | Route::Connecting(_) => false,
        }
    }

    /// Moves to a newer connection. No reply is due.
    pub(super) fn switch(&mut self) {
        match &self.route {
            Route::Lane(lane) => self.go_to_lane(lane.identity),
            _ => self.connect(),
        }
    }

    /// True if the client waits for its last replies before it moves to a newer connection.
    pub(super) fn waits_to_switch(&self) -> bool {
        matches!(self.route, Route::Lane(_)) && self.is_outdated()
    }

    /// True if the end of its lane does not concern the client: it waits for nothing there, and a direct client would
    /// not have noticed. It moves to another lane; if the lane could not be opened, with its next request.
    pub(super) fn survives(&self, end: LaneEnd) -> bool {
        match end {
            LaneEnd::NotConnected(_) | LaneEnd::LoginRefused(_) => {
                self.can_wait_without_connection()
            }
            end => {
                (end.is_dead_path() || end == LaneEnd::Retired)
                    && self.shared.state.borrow().connection.has_all_replies()
            }
        }
    }

    /// True if every request of the client is answered: it needs no connection before its next request.
    pub(super) fn can_wait_without_connection(&self) -> bool {
        matches!(self.next, Next::More | Next::Replies | Next::Dedicated)
            && self.input.is_empty()
            && self.shared.state.borrow().connection.has_all_replies()
    }

    /// Handles the end of a new dedicated connection before its handshake was complete. Returns true if that does not
    /// concern the client, which then waits without a connection.
    pub(super) fn recover_from_failed_login(&mut self) -> bool {
        let can_wait = matches!(self.next, Next::More | Next::Replies | Next::Dedicated)
            && self.input.is_empty();
        let recovers = can_wait
            && self
                .shared
                .state
                .borrow_mut()
                .connection
                .abandon_handshake();
        if recovers {
            self.wait_without_connection();
        }
        recovers
    }

    /// Handles the end of the dedicated connection.
    pub(super) fn end_dedicated(&mut self) {
        self.count_end();
        let is_new = matches!(&self.route, Route::Dedicated(dedicated) if dedicated.is_new);
        self.upstream_closed = !(is_new && self.recover_from_failed_login());
    }

    /// Leaves the client without a connection: its next request opens one, and gets the error if that still fails.
    pub(super) fn wait_without_connection(&mut self) {
        self.shared.set_connection(Connection::None);
        self.route = Route::None;
        self.next = Next::More;
    }

    /// Leaves a lane that has ended. An idle client gets another lane only with its next request, so that it also
    /// survives a server that is away for a while.
    pub(super) fn leave_ended_lane(&mut self) {
        let Route::Lane(lane) = &self.route else {
            return;
        };
        if !self.can_wait_without_connection() {
            return self.go_to_lane(lane.identity);
        }
        lane.detach(&self.shared);
        self.wait_without_connection();
    }

    /// Checks the dedicated connection for a late reply, when its bytes have been moved.
    pub(super) fn watch_dedicated(&mut self, cx: &mut Context<'_>) {
        let Route::Dedicated(dedicated) = &mut self.route else {
            return;
        };
        if self.upstream_closed {
            return;
        }
        let due = !self.shared.state.borrow().connection.has_all_replies();
        let limit = self.worker.settings.limits.stalled;
        let received = std::mem::take(&mut dedicated.received);
        let is_late = dedicated.reply_timer.poll((due, received), limit, cx);
        dedicated.socket.limit_acknowledgement(is_late);
    }

    /// Counts a dedicated connection that was not ended by the client.
    fn count_end(&self) {
        let is_dead_path =
            matches!(&self.route, Route::Dedicated(dedicated) if dedicated.socket.is_timed_out());
        self.worker.settings.upstream_failed(match is_dead_path {
            true => UpstreamError::Stalled,
            false => UpstreamError::Closed,
        });
    }

    /// Switches connections if the server has said on the dedicated connection that its role has changed.
    pub(super) fn observe_role(&mut self) {
        if let Route::Dedicated(dedicated) = &self.route
            && let Some(word) = self.shared.take_role_error()
        {
            self.worker.settings.switch(dedicated.socket.epoch, word);
        }
    }
}
