//! When a client's connection is over: nothing can be done, and nothing that is waited for will come or
//! is waited for any longer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep};

use waxseal_metrics::DisconnectReason;

use super::Client;
use super::way::Way;
use crate::connection::Next;

/// Bytes of half a request that must come in each period for it to be waited for any longer.
const HALF_REQUEST_BYTES: usize = 16 * 1024;

/// A request that is half sent.
pub(super) struct HalfRequest {
    /// When enough more must have come.
    until: Pin<Box<Sleep>>,
    /// Bytes that came since this was set.
    pub(super) came: usize,
}

impl Client {
    /// Nothing can be done now: is it over?
    pub(super) fn rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (idle, in_a_request, answered, unread, blocked, stalled) = {
            let mut state = self.shared.state.borrow_mut();
            state.outgoing.rest();
            let connection = &state.connection;
            (
                connection.is_idle(),
                // A few bytes may be too few to know that it is one.
                connection.is_in_a_request() || !self.waiting.is_empty(),
                connection.has_all_replies(),
                !state.outgoing.is_empty(),
                connection.may_be_blocked()
                    || connection.delay().is_some()
                    || connection.is_streaming(),
                connection.is_stalled(),
            )
        };
        if let Way::Dedicated(own) = &mut self.way {
            own.outgoing.rest();
        }
        let unsent = matches!(&self.way, Way::Dedicated(own) if !own.outgoing.is_empty());
        let over = if self.upstream_closed {
            !unread && !stalled
        } else if self.finished {
            // Whoever waits for something to happen must not be given it any more, and a server that
            // has part of a request waits for what does not come.
            let nothing_waits = self.waiting.is_empty() || self.next == Next::More;
            blocked || (answered && !unread && !unsent && nothing_waits)
        } else if self.next == Next::End {
            answered && !unread && !unsent
        } else {
            self.worker.is_draining() && idle && !unread && !unsent && self.waiting.is_empty()
        };
        if over {
            return Poll::Ready(());
        }
        if !in_a_request {
            self.half_request = None;
        }
        let half_sent = in_a_request && self.next == Next::More;
        if half_sent && !self.finished && !self.upstream_closed && self.is_too_slow(cx) {
            self.worker.settings.cut(DisconnectReason::HalfRequest);
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
