//! A lane: one upstream connection that many clients share. Their requests go out together, many to
//! a system call, and the replies come back in the same order; so the lane only has to remember whose
//! turn it is.
//!
//! A lane that breaks takes its clients with it, as a server that goes away would.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use waxseal_resp::ReplyScanner;

use self::end::LaneEnd;
use self::liveness::{Action, Liveness, Signs};
use self::pause::Pause;

use super::buffer::{Outgoing, Waiting};
use super::client::Shared;
use super::socket::{self, Socket};
use super::worker::Worker;
use crate::clients::Connection;
use crate::connection::{HELLO_3, Handshake, Identity, UnexpectedReply};
use crate::login::{LoginError, is_turned_away};
use crate::pending::Protocol;

pub(crate) mod end;
mod liveness;
mod pause;
mod upkeep;

/// Bytes on their way to the server before nothing more is taken from the lane's clients.
const FULL: usize = 1024 * 1024;
/// The longest error that is read of a server that does not let the lane in.
const MAX_LOGIN_ERROR: usize = 4096;
/// Reads of a lane before others have their turn.
const ROUNDS: usize = 4;

/// One upstream connection that many clients share.
pub(crate) struct Lane {
    pub(crate) identity: Identity,
    /// The switch of connections that it was opened after.
    epoch: u64,
    /// The address of its connection, once there is one.
    local: Arc<OnceLock<SocketAddr>>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    outgoing: Outgoing,
    /// Whose replies come next, and how many.
    turns: VecDeque<(Rc<Shared>, usize)>,
    attached: HashMap<u64, Rc<Shared>>,
    /// Clients that wait for room.
    waiting_for_room: HashMap<u64, Rc<Shared>>,
    /// Nothing is read while a reply to this client waits for keys.
    blocked_by: Option<Rc<Shared>>,
    failed: Option<LaneEnd>,
    /// A client found that its replies are not its own.
    desynchronised: bool,
    /// A reply is late: new clients go elsewhere.
    suspect: bool,
    /// Nothing is read while the only reader has much to read.
    is_paused: bool,
    waker: Option<Waker>,
}

impl Lane {
    /// A new lane for these clients; it connects in the background.
    pub(crate) fn open(worker: &Rc<Worker>, identity: Identity) -> Rc<Self> {
        let lane = Rc::new(Self {
            identity,
            epoch: worker.settings.upstream.health.epoch(),
            local: Arc::default(),
            state: RefCell::new(State::default()),
        });
        tokio::task::spawn_local(drive(lane.clone(), worker.clone()));
        lane
    }

    pub(crate) fn attach(&self, client: &Rc<Shared>) {
        let mut state = self.state.borrow_mut();
        state.attached.insert(client.id, client.clone());
        client.set_connection(Connection::Lane(self.local.clone()));
    }

    /// A client goes elsewhere. It does not hold the lane up any more.
    pub(crate) fn detach(&self, client: &Rc<Shared>) {
        let mut state = self.state.borrow_mut();
        state.attached.remove(&client.id);
        if state.attached.is_empty() || state.is_paused {
            // It may have been waiting for that.
            state.wake();
        }
        let blocked_by = state.blocked_by.as_ref();
        if blocked_by.is_some_and(|blocked_by| Rc::ptr_eq(blocked_by, client)) {
            state.blocked_by = None;
            state.wake();
        }
    }

    /// How many clients are on it.
    pub(crate) fn load(&self) -> usize {
        self.state.borrow().attached.len()
    }

    /// Why it is no more, if so.
    pub(crate) fn failed(&self) -> Option<LaneEnd> {
        self.state.borrow().failed
    }

    /// Whether it takes more requests; if not, the client is woken when it does.
    pub(crate) fn has_room(&self, client: &Rc<Shared>) -> bool {
        let mut state = self.state.borrow_mut();
        let room = state.outgoing.len() < FULL;
        if !room {
            state.waiting_for_room.insert(client.id, client.clone());
        }
        room
    }

    /// Lets a client write requests; it says how many replies they will have. Where it panics, what it has
    /// written is taken back: the lane goes on for the others, and knows of each reply whose it is.
    pub(crate) fn send<T>(
        &self,
        client: &Rc<Shared>,
        write: impl FnOnce(&mut Vec<u8>) -> (usize, T),
    ) -> T {
        let mut state = self.state.borrow_mut();
        let outgoing = state.outgoing.end();
        let before = outgoing.len();
        let written = catch_unwind(AssertUnwindSafe(|| write(&mut *outgoing)));
        let (replies, result) = written.unwrap_or_else(|panic| {
            outgoing.truncate(before);
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

    /// The reply of a client that it waited for keys with is given: what follows can be. Says how many
    /// of the client's requests have their reply now.
    pub(crate) fn resume(&self, client: &Rc<Shared>, replied: Result<usize, UnexpectedReply>) {
        let state = &mut *self.state.borrow_mut();
        match (replied, state.turns.front_mut()) {
            (Ok(replies), Some((first, left))) if Rc::ptr_eq(first, client) => {
                *left = left.saturating_sub(replies);
                if *left == 0 {
                    state.turns.pop_front();
                }
            }
            // The lane has failed.
            (Ok(_), None) => {}
            (Ok(_), Some(_)) | (Err(_), _) => state.desynchronised = true,
        }
        state.blocked_by = None;
        state.wake();
    }

    /// Puts the lane's own first requests before what clients have written meanwhile; how many.
    fn greet(&self, handshake: &Handshake) -> usize {
        let mut first = handshake.requests.clone();
        let mut count = handshake.count;
        if self.identity.protocol == Protocol::Resp3 {
            first.extend_from_slice(HELLO_3);
            count += 1;
        }
        self.state.borrow_mut().outgoing.prepend(first);
        count
    }

    fn fail(&self, end: LaneEnd) {
        let mut state = self.state.borrow_mut();
        state.failed = Some(end);
        state.turns.clear();
        state.outgoing.clear();
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

    fn make_room_known(&mut self) {
        if self.outgoing.len() < FULL {
            for (_, client) in self.waiting_for_room.drain() {
                client.wake();
            }
        }
    }
}

/// Whatever ends a lane's task, a bug of ours included: its clients must not wait for ever.
struct Ending {
    lane: Rc<Lane>,
    worker: Rc<Worker>,
    end: LaneEnd,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.worker.forget_lane(&self.lane, self.end);
        self.lane.fail(self.end);
    }
}

async fn drive(lane: Rc<Lane>, worker: Rc<Worker>) {
    let mut ending = Ending {
        lane: lane.clone(),
        worker: worker.clone(),
        end: LaneEnd::Unforeseen,
    };
    let settings = &worker.settings;
    ending.end = match settings.connect().await {
        Err(error) => LaneEnd::Connect(error.kind()),
        Ok(socket) => {
            let _shared = settings.clients.share(socket.local);
            if let Some(local) = socket.local {
                // It connects once.
                let _ = lane.local.set(local);
            }
            let greeting = lane.greet(&settings.upstream.handshake);
            let traffic = Traffic {
                lane: lane.clone(),
                worker: worker.clone(),
                socket,
                waiting: Waiting::default(),
                greeting,
                ping: Ping::Possible,
                push: false,
                scanner: ReplyScanner::new(),
                behind: false,
                received: false,
                liveness: Liveness::new(settings.clone()),
                is_new: true,
                pause: None,
            };
            let end = traffic.await;
            if let Some(error) = end.counted() {
                settings.failed(error);
            }
            end
        }
    };
}

/// Moves a lane's bytes until it breaks, and says why it did.
struct Traffic {
    lane: Rc<Lane>,
    worker: Rc<Worker>,
    socket: Socket,
    waiting: Waiting,
    /// Replies to the lane's own first requests that are still to come.
    greeting: usize,
    ping: Ping,
    /// What `scanner` is in the middle of is a push message.
    push: bool,
    scanner: ReplyScanner,
    /// Bytes have come that a client held up.
    behind: bool,
    /// Bytes have come since the liveness was looked at.
    received: bool,
    liveness: Liveness,
    /// Nothing has come.
    is_new: bool,
    pause: Option<Pause>,
}

/// The lane's own question whether the server is there, asked when nothing else is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ping {
    Possible,
    /// Its reply is the next.
    Due,
    /// The server does not let the user ask.
    Refused,
}

impl Future for Traffic {
    type Output = LaneEnd;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LaneEnd> {
        let this = self.get_mut();
        match this.turn(cx).and_then(|()| this.watch(cx)) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }
}

impl Traffic {
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), LaneEnd> {
        let lane = self.lane.clone();
        {
            let mut state = lane.state.borrow_mut();
            if state.desynchronised {
                return Err(LaneEnd::Unexplained);
            }
            if state
                .waker
                .as_ref()
                .is_none_or(|it| !it.will_wake(cx.waker()))
            {
                state.waker = Some(cx.waker().clone());
            }
            socket::write(&mut self.socket, &mut state.outgoing, cx)
                .map_err(|_| LaneEnd::of(&self.socket, LaneEnd::Aborted))?;
            state.make_room_known();
        }
        for _ in 0..ROUNDS {
            if lane.state.borrow().blocked_by.is_some() {
                // The client takes its keys, or gives up, within a bound of its own.
                return Ok(());
            }
            if self.waits_for_reader(cx) {
                return Ok(());
            }
            if std::mem::take(&mut self.behind) {
                // What has come already goes first.
                self.take(&[])?;
                continue;
            }
            let worker = self.worker.clone();
            let mut scratch = worker.scratch.borrow_mut();
            let came = match socket::read(&mut self.socket, &mut scratch, cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(0) => return Err(LaneEnd::of(&self.socket, LaneEnd::Closed)),
                Poll::Ready(len) => scratch.get(..len).unwrap_or_default(),
            };
            self.received = true;
            self.take(came)?;
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn take(&mut self, came: &[u8]) -> Result<(), LaneEnd> {
        if std::mem::take(&mut self.is_new) && is_turned_away(came) {
            return Err(LaneEnd::Refused(LoginError::TooManyClients));
        }
        let Self {
            lane,
            worker,
            waiting,
            greeting,
            ping,
            push,
            scanner,
            behind,
            ..
        } = self;
        let mut own = Dedicated {
            greeting,
            ping,
            push,
            scanner,
        };
        waiting.with(came, |bytes| {
            let mut used = 0;
            let result = deal(bytes, &mut used, lane, worker, &mut own);
            *behind = lane.state.borrow().blocked_by.is_some();
            (used, result)
        })
    }
}

/// Replies to the lane's own requests.
struct Dedicated<'t> {
    greeting: &'t mut usize,
    ping: &'t mut Ping,
    push: &'t mut bool,
    scanner: &'t mut ReplyScanner,
}

/// Gives each client its replies.
fn deal(
    bytes: &[u8],
    used: &mut usize,
    lane: &Lane,
    worker: &Worker,
    own: &mut Dedicated<'_>,
) -> Result<(), LaneEnd> {
    let state = &mut *lane.state.borrow_mut();
    loop {
        let rest = bytes.get(*used..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(());
        }
        if own.is_next() || (state.turns.is_empty() && rest.first() == Some(&b'>')) {
            match own.take(rest, lane.identity.protocol)? {
                0 => return Ok(()),
                len => *used += len,
            }
            continue;
        }
        let Some((client, left)) = state.turns.front_mut() else {
            return Err(LaneEnd::Unexplained);
        };
        let answered = client
            .answer(rest, *left, &worker.settings.buffers)
            .map_err(|_| LaneEnd::Unexplained)?;
        let switched = client
            .take_role_error()
            .is_some_and(|word| worker.settings.switch(lane.epoch, word));
        *used += answered.used;
        *left = left.saturating_sub(answered.replies);
        let done = *left == 0;
        client.wake();
        if switched {
            state.attached.values().for_each(|client| client.wake());
        }
        let blocked_by = answered.stalled.then(|| client.clone());
        if done {
            state.turns.pop_front();
        }
        if blocked_by.is_some() {
            state.blocked_by = blocked_by;
            return Ok(());
        }
        if !done && answered.used == 0 && answered.replies == 0 {
            return Ok(());
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
    fn a_client_that_goes_elsewhere_holds_nobody_up() {
        let key = SecretKey::from_bytes(&std::array::from_fn::<u8, 32, _>(|at| at as u8)).unwrap();
        let protection = Arc::new(Protection::new(Vec::new(), NameMask::of_key(&key)));
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
