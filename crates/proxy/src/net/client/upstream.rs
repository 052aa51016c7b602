//! The server's side of a client: moves bytes on a dedicated connection, notices the end of a lane or of a connection,
//! and answers the client if that concerns it.

use std::io;
use std::task::{Context, Poll};

use waxseal_metrics::UpstreamError;

use super::Client;
use super::route::Route;
use crate::answers;
use crate::connection::{Next, UnexpectedReply};
use crate::login::{LoginError, is_turned_away};
use crate::net::lane::end::LaneEnd;
use crate::net::socket;
use crate::net::upstream::failure::ConnectError;
use crate::pending::Protocol;

/// The reason why a client is cut off from the server.
pub(super) enum Loss {
    /// No connection could be opened for it.
    NotConnected(ConnectError),
    /// Its lane has ended.
    Lane(LaneEnd),
}

impl Client {
    /// Moves bytes to and from the server, and follows what became of the connection. Returns true on progress.
    pub(super) fn poll_upstream(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.route {
            Route::None => false,
            Route::Lane(lane) => {
                let Some(end) = lane.end() else {
                    return false;
                };
                // Replies that came before the end are sent first.
                if self.shared.is_stalled() {
                    return false;
                }
                match self.survives(end) {
                    true => self.leave_ended_lane(),
                    false => self.lose(Loss::Lane(end)),
                }
                true
            }
            Route::Connecting(connecting) => match connecting.as_mut().poll(cx) {
                Poll::Pending => false,
                Poll::Ready(Ok(upstream)) => {
                    self.begin_dedicated(upstream);
                    true
                }
                Poll::Ready(Err(error)) => {
                    self.on_connect_failed(&error);
                    true
                }
            },
            Route::Dedicated(_) => {
                let progress = self.move_dedicated(cx);
                self.watch_dedicated(cx);
                progress
            }
        }
    }

    fn move_dedicated(&mut self, cx: &mut Context<'_>) -> bool {
        let Route::Dedicated(dedicated) = &mut self.route else {
            return false;
        };
        if self.upstream_closed {
            return false;
        }
        let Ok(wrote) = socket::write(&mut dedicated.socket, &mut dedicated.output, cx) else {
            self.end_dedicated();
            return true;
        };
        // A client that does not read leaves its replies with the server, which bounds them or not, as its operator
        // wants. But if its next request waits for replies, or the server waits for its own to be read, this would
        // deadlock: a client may write everything before it reads anything.
        let max_unread = self.worker.settings.limits.unread;
        let waits_for_replies = self.next == Next::Replies || dedicated.output.len() > max_unread;
        {
            let state = self.shared.state.borrow();
            let is_full = state.output.len() > max_unread && !waits_for_replies;
            if is_full || state.connection.is_stalled() {
                return wrote;
            }
        }
        let worker = self.worker.clone();
        let mut scratch = worker.scratch.borrow_mut();
        let received = match socket::read(&mut dedicated.socket, &mut scratch, cx) {
            Poll::Pending => return wrote,
            Poll::Ready(0) => {
                drop(scratch);
                self.end_dedicated();
                return true;
            }
            Poll::Ready(len) => scratch.get(..len).unwrap_or_default(),
        };
        dedicated.received = true;
        self.on_upstream_data(received);
        true
    }

    /// Handles bytes received on the dedicated connection, after those that wait there.
    pub(super) fn on_upstream_data(&mut self, received: &[u8]) {
        let Route::Dedicated(dedicated) = &mut self.route else {
            return;
        };
        if std::mem::take(&mut dedicated.is_new) && is_turned_away(received) {
            return self.on_unexplained(UnexpectedReply::Handshake(LoginError::TooManyClients));
        }
        let answered = {
            let state = &mut *self.shared.state.borrow_mut();
            let (connection, output) = (&mut state.connection, &mut state.output);
            let answered = dedicated.input.with(received, |bytes| {
                match connection.replies(bytes, usize::MAX, output.end()) {
                    Ok(answered) => (answered.used, Ok(())),
                    Err(error) => (bytes.len(), Err(error)),
                }
            });
            if answered.is_ok() && connection.take_login_reset() {
                let handshake = &self.worker.settings.upstream.handshake;
                connection.handshake(handshake, Protocol::Resp2, dedicated.output.end());
            }
            if connection.has_all_replies() {
                dedicated.socket.all_answered();
            }
            answered
        };
        self.observe_role();
        if let Err(error) = answered {
            self.on_unexplained(error);
        }
    }

    /// Ends the connection to a server that sent something no request explains, or refused the login.
    pub(super) fn on_unexplained(&mut self, error: UnexpectedReply) {
        tracing::warn!("closing a connection: {error}");
        self.worker.settings.upstream_failed(match error {
            UnexpectedReply::Handshake(_) => UpstreamError::Login,
            UnexpectedReply::NotResp(_) | UnexpectedReply::Pairing => UpstreamError::Unexplained,
        });
        if matches!(error, UnexpectedReply::Handshake(_)) && self.recover_from_failed_login() {
            return;
        }
        let output = &mut self.shared.state.borrow_mut().output;
        if let UnexpectedReply::Handshake(error) = error
            && output.is_empty()
        {
            output
                .end()
                .extend_from_slice(&answers::refused_login(error));
        }
        self.upstream_closed = true;
    }

    /// Cuts the client off. It gets an error if it waits for anything: a client without requests under way is only
    /// disconnected, as by a server that goes away.
    pub(super) fn lose(&mut self, loss: Loss) {
        let state = &mut *self.shared.state.borrow_mut();
        let (answer, has_request) = match loss {
            Loss::NotConnected(error) => (answers::unreachable(error.description()), true),
            Loss::Lane(end) => {
                let is_waiting = !state.connection.has_all_replies() || !self.input.is_empty();
                (end.answer(), is_waiting)
            }
        };
        // An error in the middle of a reply would be read as part of it.
        if has_request && !state.connection.is_in_a_reply() {
            state.output.end().extend_from_slice(&answer);
        }
        self.route = Route::None;
        self.upstream_closed = true;
    }

    /// Handles a failed connection: a client with a request gets an error, an idle one waits without a connection.
    fn on_connect_failed(&mut self, error: &io::Error) {
        if self.can_wait_without_connection() {
            self.wait_without_connection();
        } else {
            self.lose(Loss::NotConnected(ConnectError::from(error)));
        }
    }
}
