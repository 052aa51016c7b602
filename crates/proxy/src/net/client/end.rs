//! The end of a client's connection: nothing can be done now, and nothing that is waited for will come or is waited
//! for any longer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep};

use waxseal_metrics::DisconnectReason;

use super::Client;
use super::route::Route;
use crate::connection::Next;

/// Bytes of a partial request that must be received in each period for it to be waited for any longer.
const MIN_PARTIAL_REQUEST_BYTES: usize = 16 * 1024;

/// A request that has been received in part.
pub(super) struct PartialRequest {
    /// The end of the current period.
    deadline: Pin<Box<Sleep>>,
    /// Bytes received in the current period.
    pub(super) received: usize,
}

impl Client {
    /// Ready if the connection has ended. Called when no step makes progress.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (idle, in_a_request, answered, unread, blocked, stalled) = {
            let mut state = self.shared.state.borrow_mut();
            state.output.release();
            let connection = &state.connection;
            (
                connection.is_idle(),
                // A few bytes may be too few to know that they begin a request.
                connection.is_in_a_request() || !self.input.is_empty(),
                connection.has_all_replies(),
                !state.output.is_empty(),
                connection.may_be_blocked()
                    || connection.delay().is_some()
                    || connection.is_streaming(),
                connection.is_stalled(),
            )
        };
        if let Route::Dedicated(dedicated) = &mut self.route {
            dedicated.output.release();
        }
        let unsent =
            matches!(&self.route, Route::Dedicated(dedicated) if !dedicated.output.is_empty());
        let has_ended = if self.upstream_closed {
            !unread && !stalled
        } else if self.client_closed {
            // A blocked request must not be served to a client that has left, and a server that has part of a request
            // waits for bytes that will not come.
            let nothing_waits = self.input.is_empty() || self.next == Next::More;
            blocked || (answered && !unread && !unsent && nothing_waits)
        } else if self.next == Next::End {
            answered && !unread && !unsent
        } else {
            self.worker.is_draining() && idle && !unread && !unsent && self.input.is_empty()
        };
        if has_ended {
            return Poll::Ready(());
        }
        if !in_a_request {
            self.partial_request = None;
        }
        let is_partial = in_a_request && self.next == Next::More;
        if is_partial
            && !self.client_closed
            && !self.upstream_closed
            && self.poll_partial_request(cx).is_ready()
        {
            let settings = &self.worker.settings;
            settings.disconnected(DisconnectReason::HalfRequest);
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Ready if a partial request has been waited for long enough.
    fn poll_partial_request(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let limit = self.worker.settings.limits.half_request;
        let partial = self.partial_request.get_or_insert_with(|| PartialRequest {
            deadline: Box::pin(sleep(limit)),
            received: 0,
        });
        while partial.deadline.as_mut().poll(cx).is_ready() {
            if partial.received < MIN_PARTIAL_REQUEST_BYTES {
                return Poll::Ready(());
            }
            partial.received = 0;
            partial.deadline.as_mut().reset(Instant::now() + limit);
        }
        Poll::Pending
    }
}
