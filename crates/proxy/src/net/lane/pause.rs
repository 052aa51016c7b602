//! The pause of a lane that carries nothing but one large reply: it is not read while its client still has much of the
//! reply to read, so that the remainder stays with the server and not in the proxy's memory. A client that reads nothing
//! for a while may be waiting for the proxy in its turn, writing before it reads: then the lane is read, and the reply
//! buffered.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use super::Lane;
use super::traffic::Traffic;
use crate::net::client::Shared;

/// Time for which a client may read nothing before its reply is buffered.
const READER_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause for a client that has much to read.
pub(super) struct Pause {
    client: Rc<Shared>,
    unread: usize,
    deadline: Pin<Box<Sleep>>,
    /// The client reads nothing: the lane does not wait for it again until it has read everything.
    is_over: bool,
}

impl Lane {
    /// Wakes the lane if it waits for its reader: a client has read some of its replies.
    pub(crate) fn on_drained(&self) {
        let mut state = self.state.borrow_mut();
        if state.is_paused {
            state.wake();
        }
    }

    /// The client whose reply is the only one due.
    fn only_reader(&self) -> Option<Rc<Shared>> {
        let state = self.state.borrow();
        match state.turns.front() {
            Some((client, 1)) if state.turns.len() == 1 => Some(client.clone()),
            _ => None,
        }
    }
}

impl Traffic {
    /// Begins, continues or ends a pause. Returns true if the lane is not read because its only reader has much to read.
    pub(super) fn update_pause(&mut self, cx: &mut Context<'_>) -> bool {
        let is_paused = self.poll_pause(cx).is_pending();
        self.lane.state.borrow_mut().is_paused = is_paused;
        is_paused
    }

    /// Ready if the lane is to be read.
    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(client) = self.lane.only_reader() else {
            self.pause = None;
            return Poll::Ready(());
        };
        let unread = client.unread();
        let is_same = |pause: &Pause| Rc::ptr_eq(&pause.client, &client);
        if unread <= self.worker.settings.limits.unread || !self.pause.as_ref().is_none_or(is_same)
        {
            self.pause = None;
            return Poll::Ready(());
        }
        let pause = self.pause.get_or_insert_with(|| Pause {
            client,
            unread,
            deadline: Box::pin(sleep(READER_TIMEOUT)),
            is_over: false,
        });
        if pause.is_over {
            return Poll::Ready(());
        }
        if unread < pause.unread {
            pause.unread = unread;
            let deadline = Instant::now() + READER_TIMEOUT;
            pause.deadline.as_mut().reset(deadline);
        }
        let over = pause.deadline.as_mut().poll(cx);
        pause.is_over = over.is_ready();
        over
    }
}
