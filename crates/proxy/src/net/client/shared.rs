//! The part of a client that lanes reach: its conversation, and the replies that wait for it.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};

use crate::clients::{self, Registration};
use crate::connection::{Connection, ReplyProgress, Report, UnexpectedReply};
use crate::limits::Limits;
use crate::net::buffer::OutputBuffer;
use crate::net::reply_buffers::{CountedSteps, ReplyBuffers};
use crate::net::worker::Worker;
use crate::protection::Protection;

/// Unread reply bytes above which a client leaves its lane: large replies hold up the others there, and a server
/// writes them better to several connections than to one.
const LARGE_REPLIES: usize = 128 * 1024;

/// The part of a client that lanes reach.
pub(crate) struct Shared {
    pub(crate) id: u64,
    pub(super) state: RefCell<State>,
}

pub(super) struct State {
    pub(super) connection: Connection,
    pub(super) output: OutputBuffer,
    waker: Option<Waker>,
    /// Nothing reads for this client any more: further replies are dropped.
    pub(super) disconnected: bool,
    /// The client's replies are too large for a lane.
    pub(super) has_large_replies: bool,
    /// The part of `output` that is counted in the proxy's total.
    counted: CountedSteps,
}

impl State {
    /// Counts the bytes that wait for the client. Disconnects it if they exceed the bounds.
    #[inline]
    pub(super) fn count_buffered(&mut self, buffers: &ReplyBuffers) {
        let retained = self.connection.retained_bytes();
        let bytes = self.output.len().saturating_add(retained);
        if self.counted.differs_from(bytes) {
            self.recount(buffers, bytes);
        }
    }

    #[cold]
    fn recount(&mut self, buffers: &ReplyBuffers, bytes: usize) {
        let Some(Registration { client, .. }) = self.connection.registered() else {
            return;
        };
        buffers.count(client, &mut self.counted, bytes);
        if client.is_killed() {
            self.disconnected = true;
            self.output.clear();
        }
    }
}

impl Shared {
    /// Creates the state of a new client.
    pub(crate) fn new(
        id: u64,
        protection: Arc<Protection>,
        limits: Limits,
        report: Report,
    ) -> Rc<Self> {
        Rc::new(Self {
            id,
            state: RefCell::new(State {
                connection: Connection::new(protection, limits, report),
                output: OutputBuffer::default(),
                waker: None,
                disconnected: false,
                has_large_replies: false,
                counted: CountedSteps::default(),
            }),
        })
    }

    /// Ties the client to its entry in the proxy's list of clients.
    pub(super) fn register(&self, registration: Registration) {
        self.state.borrow_mut().connection.register(registration);
    }

    /// Records the upstream connection that the client's requests use from now on.
    pub(crate) fn set_connection(&self, connection: clients::Connection) {
        if let Some(Registration { client, .. }) = self.state.borrow().connection.registered() {
            client.set_connection(connection);
        }
    }

    /// Reply bytes that the client has not read.
    pub(crate) fn unread(&self) -> usize {
        self.state.borrow().output.len()
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = &self.state.borrow().waker {
            waker.wake_by_ref();
        }
    }

    /// Stores the task's waker, and notices that the client was killed since the last poll.
    pub(super) fn prepare_poll(&self, cx: &Context<'_>) {
        let mut state = self.state.borrow_mut();
        let known = state.waker.as_ref();
        if known.is_none_or(|waker| !waker.will_wake(cx.waker())) {
            state.waker = Some(cx.waker().clone());
            if let Some(Registration { client, .. }) = state.connection.registered() {
                client.set_waker(cx.waker().clone());
            }
        }
        let registered = state.connection.registered();
        state.disconnected |= registered.is_some_and(|it| it.client.is_killed());
    }

    /// Takes at most `max_replies` replies from a lane. They are buffered if the client does not read: a lane never
    /// waits for that.
    pub(crate) fn answer(
        &self,
        bytes: &[u8],
        max_replies: usize,
        buffers: &ReplyBuffers,
    ) -> Result<ReplyProgress, UnexpectedReply> {
        let state = &mut *self.state.borrow_mut();
        let mut answered = state
            .connection
            .replies(bytes, max_replies, state.output.end())?;
        if state.disconnected {
            state.output.clear();
            if std::mem::take(&mut answered.stalled) {
                // No task fetches keys for this client any more.
                answered.replies += state.connection.abandon_stalled_reply()?;
            }
        }
        state.has_large_replies |= state.output.len() > LARGE_REPLIES;
        state.count_buffered(buffers);
        Ok(answered)
    }

    /// True if a reply waits for keys, and everything behind it.
    pub(crate) fn is_stalled(&self) -> bool {
        self.state.borrow().connection.is_stalled()
    }

    /// Takes the error word by which the server has said since the last call that its role has changed.
    pub(crate) fn take_role_error(&self) -> Option<&'static str> {
        self.state.borrow_mut().connection.take_role_error()
    }
}

impl Worker {
    /// Removes a client from the worker and from the proxy's list, and frees the replies that wait for it.
    pub(super) fn remove_client(&self, client: &Shared) {
        self.leave(client);
        // It is borrowed if it is dropped by a panic: a second panic would end the process.
        let Ok(mut state) = client.state.try_borrow_mut() else {
            return;
        };
        let state = &mut *state;
        state.disconnected = true;
        state.output.clear();
        state.waker = None;
        if let Some(Registration { client, .. }) = state.connection.registered() {
            self.settings.buffers.count(client, &mut state.counted, 0);
        }
        state.connection.unregister();
    }
}
