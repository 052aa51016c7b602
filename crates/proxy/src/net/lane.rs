//! A lane: one upstream connection that many clients share. Their requests go out together, many to a system call, and
//! the replies come back in the same order; so the lane only has to remember whose turn it is.
//!
//! ```text
//! clients ── send ──▶ output ──▶ server
//!    ▲        └─ turns: (A, 2) (B, 1) (A, 3) …
//!    └── answer ◀── front of turns ◀── input ◀── server
//! ```
//!
//! A lane that breaks takes its clients with it, as a server that goes away would.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};

use self::end::LaneEnd;
use super::buffer::OutputBuffer;
use super::client::Shared;
use super::worker::Worker;
use crate::clients::Connection;
use crate::connection::{HELLO_3, Handshake, Identity, UnexpectedReply};
use crate::pending::Protocol;

pub(crate) mod end;
mod housekeeping;
mod liveness;
mod pause;
mod proxy_replies;
mod traffic;

/// Bytes on their way to the server above which the lane takes no more from its clients.
const MAX_OUTPUT: usize = 1024 * 1024;

/// One upstream connection that many clients share.
pub(crate) struct Lane {
    pub(crate) identity: Identity,
    /// The switch of connections that it was opened after.
    epoch: u64,
    /// The local address of its connection, once it is connected.
    local: Arc<OnceLock<SocketAddr>>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    output: OutputBuffer,
    /// The clients that the next replies belong to, each with the number of its replies.
    turns: VecDeque<(Rc<Shared>, usize)>,
    attached: HashMap<u64, Rc<Shared>>,
    /// Clients that wait for room in `output`.
    waiting_for_room: HashMap<u64, Rc<Shared>>,
    /// The client whose reply waits for keys. Nothing is read meanwhile.
    blocked_by: Option<Rc<Shared>>,
    end: Option<LaneEnd>,
    /// A client found that the replies it was given are not its own.
    is_desynchronised: bool,
    /// A reply is late: new clients use other lanes.
    is_suspect: bool,
    /// Nothing is read while the only reader has much to read.
    is_paused: bool,
    waker: Option<Waker>,
}

impl Lane {
    /// Opens a lane for these clients; it connects in the background.
    pub(crate) fn open(worker: &Rc<Worker>, identity: Identity) -> Rc<Self> {
        let lane = Rc::new(Self {
            identity,
            epoch: worker.settings.upstream.health.epoch(),
            local: Arc::default(),
            state: RefCell::new(State::default()),
        });
        tokio::task::spawn_local(traffic::drive(lane.clone(), worker.clone()));
        lane
    }

    pub(crate) fn attach(&self, client: &Rc<Shared>) {
        let mut state = self.state.borrow_mut();
        state.attached.insert(client.id, client.clone());
        client.set_connection(Connection::Lane(self.local.clone()));
    }

    /// Removes a client that moves to another connection. It does not block the lane any more.
    pub(crate) fn detach(&self, client: &Rc<Shared>) {
        let mut state = self.state.borrow_mut();
        state.attached.remove(&client.id);
        if state.attached.is_empty() || state.is_paused {
            // The lane may have been waiting for that: to retire, or to go on reading.
            state.wake();
        }
        let blocked_by = state.blocked_by.as_ref();
        if blocked_by.is_some_and(|blocked_by| Rc::ptr_eq(blocked_by, client)) {
            state.blocked_by = None;
            state.wake();
        }
    }

    /// The number of its clients.
    pub(crate) fn load(&self) -> usize {
        self.state.borrow().attached.len()
    }

    /// The reason why it has ended, if it has.
    pub(crate) fn end(&self) -> Option<LaneEnd> {
        self.state.borrow().end
    }

    /// True if its connection was opened before the last switch: its clients move to a newer one.
    pub(crate) fn is_outdated(&self, worker: &Worker) -> bool {
        worker.settings.is_outdated(self.epoch)
    }

    /// True if a reply is late on it, so that new clients should use another lane.
    pub(crate) fn is_suspect(&self) -> bool {
        self.state.borrow().is_suspect
    }

    /// Ready if the lane takes more requests. Otherwise the client is woken when it does.
    pub(crate) fn poll_room(&self, client: &Rc<Shared>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        if state.output.len() < MAX_OUTPUT {
            return Poll::Ready(());
        }
        state.waiting_for_room.insert(client.id, client.clone());
        Poll::Pending
    }

    /// Lets a client write requests. `write` returns the number of replies that they will have. If it panics, what it
    /// has written is removed: the lane goes on for the other clients, and knows whom each reply belongs to.
    pub(crate) fn send<T>(
        &self,
        client: &Rc<Shared>,
        write: impl FnOnce(&mut Vec<u8>) -> (usize, T),
    ) -> T {
        let mut state = self.state.borrow_mut();
        let output = state.output.end();
        let before = output.len();
        let written = catch_unwind(AssertUnwindSafe(|| write(&mut *output)));
        let (replies, result) = written.unwrap_or_else(|panic| {
            output.truncate(before);
            resume_unwind(panic)
        });
        if replies > 0 {
            match state.turns.back_mut() {
                Some((last, count)) if Rc::ptr_eq(last, client) => *count += replies,
                _ => state.turns.push_back((client.clone(), replies)),
            }
            state.wake();
        }
        result
    }

    /// Resumes reading after a client got the keys that its reply waited for. `replied` is the number of its requests
    /// that have their reply now.
    pub(crate) fn resume(&self, client: &Rc<Shared>, replied: Result<usize, UnexpectedReply>) {
        let state = &mut *self.state.borrow_mut();
        match (replied, state.turns.front_mut()) {
            (Ok(replies), Some((first, left))) if Rc::ptr_eq(first, client) => {
                *left = left.saturating_sub(replies);
                if *left == 0 {
                    state.turns.pop_front();
                }
            }
            // The lane has ended.
            (Ok(_), None) => {}
            (Ok(_), Some(_)) | (Err(_), _) => state.is_desynchronised = true,
        }
        state.blocked_by = None;
        state.wake();
    }

    /// Puts the lane's own first requests before those that clients have written meanwhile. Returns their number.
    fn send_preamble(&self, handshake: &Handshake) -> usize {
        let mut preamble = handshake.requests.clone();
        let mut count = handshake.count;
        if self.identity.protocol == Protocol::Resp3 {
            preamble.extend_from_slice(HELLO_3);
            count += 1;
        }
        self.state.borrow_mut().output.prepend(preamble);
        count
    }

    fn fail(&self, end: LaneEnd) {
        let mut state = self.state.borrow_mut();
        state.end = Some(end);
        state.turns.clear();
        state.output.clear();
        for client in state.attached.values() {
            client.wake();
        }
    }
}

impl State {
    fn wake(&mut self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Wakes the clients that wait for room, if there is room.
    fn wake_waiting(&mut self) {
        if self.output.len() < MAX_OUTPUT {
            for (_, client) in self.waiting_for_room.drain() {
                client.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use waxseal_core::{NameMask, SecretKey};

    use super::*;
    use crate::limits::Limits;
    use crate::protection::Protection;

    #[test]
    fn a_client_that_leaves_does_not_block_the_lane() {
        let key = SecretKey::from_bytes(&std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap();
        let protection = Arc::new(Protection::new(Vec::new(), NameMask::derived_from(&key)));
        let client = Shared::new(1, protection, Limits::default(), Arc::new(|_| {}));
        let lane = Lane {
            identity: Identity::default(),
            epoch: 0,
            local: Arc::default(),
            state: RefCell::new(State::default()),
        };
        lane.attach(&client);
        lane.state.borrow_mut().blocked_by = Some(client.clone());
        lane.detach(&client);
        assert!(lane.state.borrow().blocked_by.is_none());
        assert_eq!(lane.load(), 0);
    }
}
