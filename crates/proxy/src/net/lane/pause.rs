//! A lane that carries nothing but one large reply is not read while its client still has much of it to read, so that
//! the rest stays with the server and not in the proxy's memory. A client that takes nothing for a while may be
//! waiting for the proxy in its turn, writing before it reads: then the lane is read, and the reply buffered.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::{Lane, Traffic};
use crate::net::client::Shared;

/// How long a client may take nothing before its reply is buffered.
const READER_TIMEOUT: Duration = Duration::from_secs(2);

/// A client that has much to read.
pub(super) struct Pause {
    client: Rc<Shared>,
    unread: usize,
    until: Pin<Box<Sleep>>,
    /// The client takes nothing: it is not waited for until it has read what there is.
    is_over: bool,
}

impl Lane {
    /// The client has taken some of its replies: the lane goes on if it waits for that.
    pub(crate) fn on_drained(&self) {
        let mut state = self.state.borrow_mut();
        if state.is_paused {
            state.wake();
        }
    }

    /// The client that the only reply that is due is for.
    fn only_reader(&self) -> Option<Rc<Shared>> {
        let state = self.state.borrow();
        match state.turns.front() {
            Some((client, 1)) if state.turns.len() == 1 => Some(client.clone()),
            _ => None,
        }
    }
}

impl Traffic {
    /// Whether the lane is not read because its only reader has much to read.
    pub(super) fn waits_for_reader(&mut self, cx: &mut Context<'_>) -> bool {
        let is_paused = self.is_paused(cx);
        self.lane.state.borrow_mut().is_paused = is_paused;
        is_paused
    }

    fn is_paused(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(client) = self.lane.only_reader() else {
            self.pause = None;
            return false;
        };
        let unread = client.unread();
        let is_same = |pause: &Pause| Rc::ptr_eq(&pause.client, &client);
        if unread <= self.worker.settings.limits.unread || !self.pause.as_ref().is_none_or(is_same)
        {
            self.pause = None;
            return false;
        }
        let pause = self.pause.get_or_insert_with(|| Pause {
            client,
            unread,
            until: Box::pin(sleep(READER_TIMEOUT)),
            is_over: false,
        });
        if pause.is_over {
            return false;
        }
        if unread < pause.unread {
            pause.unread = unread;
            pause.until.as_mut().reset(Instant::now() + READER_TIMEOUT);
        }
        pause.is_over = pause.until.as_mut().poll(cx).is_ready();
        !pause.is_over
    }
}
