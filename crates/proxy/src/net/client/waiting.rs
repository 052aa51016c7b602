//! A client of which nothing is taken at the moment: because something at the server is waited for, because
//! a refusal is held back, or because its connection ends. That it leaves is noticed all the same.

use std::future::Future;
use std::task::{Context, Poll};

use tokio::time::sleep;

use super::Client;
use crate::connection::Next;
use crate::net::socket;

/// Bytes that are read from a blocked client before they can be looked at.
const AHEAD: usize = 16 * 1024;

impl Client {
    /// A client that leaves while a request of its own waits on the server must be noticed also where
    /// nothing more is taken from it: else it would be given what it does not receive.
    pub(super) fn look_ahead(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.waits_for_something() || self.finished || self.waiting.len() >= AHEAD {
            return false;
        }
        let mut scratch = self.worker.scratch.borrow_mut();
        let Some(scratch) = scratch.get_mut(..AHEAD) else {
            return false;
        };
        match socket::read(&mut self.socket, scratch, cx) {
            Poll::Pending => false,
            Poll::Ready(0) => {
                self.finished = true;
                true
            }
            Poll::Ready(len) => {
                let came = scratch.get(..len).unwrap_or_default();
                self.waiting.with(came, |_| (0, ()));
                true
            }
        }
    }

    /// Nothing more is taken from the client: what still comes is dropped, so that its leaving is noticed
    /// while replies are waited for. A request that is half with the server stays so.
    pub(super) fn discard(&mut self, cx: &mut Context<'_>) -> bool {
        if self.finished {
            return false;
        }
        let mut scratch = self.worker.scratch.borrow_mut();
        match socket::read(&mut self.socket, &mut scratch, cx) {
            Poll::Pending => false,
            Poll::Ready(len) => {
                self.finished = len == 0;
                true
            }
        }
    }

    /// Whether the client may be waiting for something to happen at the server, as far as it knows.
    pub(super) fn waits_for_something(&self) -> bool {
        let connection = &self.shared.state.borrow().connection;
        connection.may_be_blocked() || connection.delay().is_some()
    }

    /// Gives a refusal that was held back, when its time has come; whether it has.
    pub(super) fn end_delay(&mut self, cx: &mut Context<'_>) -> bool {
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
        state.connection.end_delay(state.outgoing.end());
        state.outgoing.rest();
        self.next = Next::Replies;
        true
    }
}
