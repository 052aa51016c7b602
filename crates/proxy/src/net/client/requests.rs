//! The requests of a client, from its socket into its conversation.

use std::task::{Context, Poll};

use super::Client;
use super::route::Route;
use crate::connection::{Link, Next};
use crate::net::socket;

impl Client {
    /// Reads and takes requests while they have somewhere to go. Returns true on progress.
    ///
    /// The checks come in the order of what they exclude: a closed upstream takes nothing; a connection that ends
    /// discards; then the client may have to change its connection; then a request may have to wait (for room, for a
    /// delay, for replies); only then are new bytes read.
    pub(super) fn read_requests(&mut self, cx: &mut Context<'_>) -> bool {
        if self.upstream_closed {
            return false;
        }
        if self.next == Next::End {
            return self.discard(cx);
        }
        if self.must_leave_lane() {
            self.next = Next::Dedicated;
        }
        if self.change_route() {
            return true;
        }
        if self.waits_to_switch() {
            return false;
        }
        if matches!(self.route, Route::Connecting(_)) || self.poll_room().is_pending() {
            return false;
        }
        if self.next == Next::Delay {
            return self.read_ahead(cx);
        }
        if self.next == Next::Replies {
            // Replies may have been received since; if not, nothing happens.
            let before = self.next;
            let moved = self.take(&[]);
            if self.next == before {
                return moved || self.read_ahead(cx);
            }
            return true;
        }
        if self.next != Next::More || self.client_closed {
            return false;
        }
        let worker = self.worker.clone();
        let mut scratch = worker.scratch.borrow_mut();
        let received = match socket::read(&mut self.socket, &mut scratch, cx) {
            Poll::Pending => return false,
            Poll::Ready(0) => {
                self.client_closed = true;
                return true;
            }
            Poll::Ready(len) => scratch.get(..len).unwrap_or_default(),
        };
        if let Some(partial) = &mut self.partial_request {
            partial.received += received.len();
        }
        if matches!(self.route, Route::None) {
            self.choose_first_route();
        }
        self.take(received);
        true
    }

    /// Ready if the upstream connection takes more requests. Unread replies do not count: as with Redis, a client may
    /// write all its requests before it reads the first reply.
    fn poll_room(&self) -> Poll<()> {
        let has_room = match &self.route {
            Route::None | Route::Connecting(_) => true,
            Route::Lane(lane) => return lane.poll_room(&self.shared),
            Route::Dedicated(dedicated) => {
                dedicated.output.len() <= self.worker.settings.limits.unread
            }
        };
        match has_room {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// Passes bytes to the conversation. Returns true if any were taken, or if something was sent: a command that waited for
    /// others goes on without taking any.
    fn take(&mut self, received: &[u8]) -> bool {
        let state = &mut *self.shared.state.borrow_mut();
        let (connection, client) = (&mut state.connection, state.output.end());
        let shared = &self.shared;
        let route = &mut self.route;
        let (used, sent, next) = self.input.with(received, |bytes| {
            let taken = match route {
                Route::Lane(lane) => lane.send(shared, |upstream| {
                    let link = Link::Lane(lane.identity);
                    let taken = connection.requests(bytes, link, upstream, client);
                    (taken.sent, taken)
                }),
                Route::Dedicated(dedicated) => {
                    let upstream = dedicated.output.end();
                    connection.requests(bytes, Link::Dedicated, upstream, client)
                }
                Route::None | Route::Connecting(_) => return (0, (0, 0, Next::Dedicated)),
            };
            (taken.used, (taken.used, taken.sent, taken.next))
        });
        self.next = next;
        if sent > 0 {
            self.partial_request = None;
        }
        used > 0 || sent > 0
    }
}
