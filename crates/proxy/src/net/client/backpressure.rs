//! A client from which no requests are taken at the moment: because the server has to act first, because a refusal is
//! delayed, or because its connection ends. Its departure is noticed all the same.

use std::future::Future;
use std::task::{Context, Poll};

use tokio::time::sleep;

use super::Client;
use crate::connection::Next;
use crate::net::socket;

/// Bytes that are read from a blocked client before they can be taken.
const MAX_READ_AHEAD: usize = 16 * 1024;

impl Client {
    /// Reads a little from a client whose request is blocked on the server, so that its departure is noticed:
    /// otherwise the request could be served to a client that cannot receive the reply.
    pub(super) fn read_ahead(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.may_be_blocked() || self.client_closed || self.input.len() >= MAX_READ_AHEAD {
            return false;
        }
        let mut scratch = self.worker.scratch.borrow_mut();
        let Some(scratch) = scratch.get_mut(..MAX_READ_AHEAD) else {
            return false;
        };
        match socket::read(&mut self.socket, scratch, cx) {
            Poll::Pending => false,
            Poll::Ready(0) => {
                self.client_closed = true;
                true
            }
            Poll::Ready(len) => {
                let received = scratch.get(..len).unwrap_or_default();
                self.input.with(received, |_| (0, ()));
                true
            }
        }
    }

    /// Drops what the client still sends, so that its departure is noticed while it waits for its last replies. A
    /// request that the server has in part stays incomplete.
    pub(super) fn discard(&mut self, cx: &mut Context<'_>) -> bool {
        if self.client_closed {
            return false;
        }
        let mut scratch = self.worker.scratch.borrow_mut();
        match socket::read(&mut self.socket, &mut scratch, cx) {
            Poll::Pending => false,
            Poll::Ready(len) => {
                self.client_closed = len == 0;
                true
            }
        }
    }

    /// True if the client may be waiting for an event at the server, as far as it knows.
    fn may_be_blocked(&self) -> bool {
        let connection = &self.shared.state.borrow().connection;
        connection.may_be_blocked() || connection.delay().is_some()
    }

    /// Sends a delayed refusal when its time has come. Returns true if it was sent.
    pub(super) fn poll_delay(&mut self, cx: &mut Context<'_>) -> bool {
        if self.next != Next::Delay {
            return false;
        }
        let by = self.shared.state.borrow().connection.delay();
        let delay = self
            .delay
            .get_or_insert_with(|| Box::pin(sleep(by.unwrap_or_default())));
        if delay.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.delay = None;
        let state = &mut *self.shared.state.borrow_mut();
        state.connection.end_delay(state.output.end());
        state.output.release();
        self.next = Next::Replies;
        true
    }
}
