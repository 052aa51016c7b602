//! The task of a lane: connects it, moves its bytes until it ends, and gives each client its replies.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::Lane;
use super::end::LaneEnd;
use super::liveness::Liveness;
use super::pause::Pause;
use super::proxy_replies::ProxyReplies;
use crate::login::{LoginError, is_turned_away};
use crate::net::buffer::InputBuffer;
use crate::net::socket::{self, Socket};
use crate::net::upstream::failure::ConnectError;
use crate::net::worker::Worker;

/// Reads of a lane before other tasks get their turn.
const MAX_READS: usize = 4;

/// Ends the lane when its task ends for any reason, a bug included: its clients must not wait for it forever.
struct EndOnDrop {
    lane: Rc<Lane>,
    worker: Rc<Worker>,
    end: LaneEnd,
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.worker.remove_lane(&self.lane, self.end);
        self.lane.fail(self.end);
    }
}

/// Connects a lane and moves its bytes until it ends.
pub(super) async fn drive(lane: Rc<Lane>, worker: Rc<Worker>) {
    let mut guard = EndOnDrop {
        lane: lane.clone(),
        worker: worker.clone(),
        end: LaneEnd::TaskFailed,
    };
    let settings = &worker.settings;
    guard.end = match settings.connect().await {
        Err(error) => LaneEnd::NotConnected(ConnectError::from(&error)),
        Ok(socket) => {
            let _shared = settings.clients.share(socket.local);
            if let Some(local) = socket.local {
                // A lane connects once, so the cell is empty.
                let _ = lane.local.set(local);
            }
            let preamble = lane.send_preamble(&settings.upstream.handshake);
            let traffic = Traffic {
                proxy_replies: ProxyReplies::new(preamble),
                lane: lane.clone(),
                worker: worker.clone(),
                socket,
                input: InputBuffer::default(),
                has_input: false,
                received: false,
                liveness: Liveness::new(settings.clone()),
                is_new: true,
                pause: None,
            };
            let end = traffic.await;
            if let Some(error) = end.metric() {
                settings.upstream_failed(error);
            }
            end
        }
    };
}

/// A future that moves a lane's bytes until the lane ends, and returns the reason.
pub(super) struct Traffic {
    pub(super) lane: Rc<Lane>,
    pub(super) worker: Rc<Worker>,
    pub(super) socket: Socket,
    input: InputBuffer,
    pub(super) proxy_replies: ProxyReplies,
    /// `input` holds bytes that a client blocked.
    has_input: bool,
    /// Bytes were received since the liveness was polled last.
    pub(super) received: bool,
    pub(super) liveness: Liveness,
    /// The server has sent nothing yet.
    is_new: bool,
    pub(super) pause: Option<Pause>,
}

impl Future for Traffic {
    type Output = LaneEnd;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<LaneEnd> {
        let this = self.get_mut();
        match this.exchange(cx).and_then(|()| this.watch(cx)) {
            Ok(()) => Poll::Pending,
            Err(end) => Poll::Ready(end),
        }
    }
}

impl Traffic {
    /// Writes what waits for the server, then reads replies until there are none, or something blocks the lane.
    fn exchange(&mut self, cx: &mut Context<'_>) -> Result<(), LaneEnd> {
        let lane = self.lane.clone();
        {
            let mut state = lane.state.borrow_mut();
            if state.is_desynchronised {
                return Err(LaneEnd::Unexplained);
            }
            let known = state.waker.as_ref();
            if known.is_none_or(|waker| !waker.will_wake(cx.waker())) {
                state.waker = Some(cx.waker().clone());
            }
            socket::write(&mut self.socket, &mut state.output, cx)
                .map_err(|_| LaneEnd::of(&self.socket, LaneEnd::Aborted))?;
            state.wake_waiting();
        }
        for _ in 0..MAX_READS {
            if lane.state.borrow().blocked_by.is_some() {
                // The client gets its keys, or gives up, within a time limit of its own.
                return Ok(());
            }
            if self.update_pause(cx) {
                return Ok(());
            }
            if std::mem::take(&mut self.has_input) {
                // Bytes received before go first.
                self.take(&[])?;
                continue;
            }
            let worker = self.worker.clone();
            let mut scratch = worker.scratch.borrow_mut();
            let received = match socket::read(&mut self.socket, &mut scratch, cx) {
                Poll::Pending => return Ok(()),
                Poll::Ready(0) => return Err(LaneEnd::of(&self.socket, LaneEnd::Closed)),
                Poll::Ready(len) => scratch.get(..len).unwrap_or_default(),
            };
            self.received = true;
            self.take(received)?;
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    fn take(&mut self, received: &[u8]) -> Result<(), LaneEnd> {
        if std::mem::take(&mut self.is_new) && is_turned_away(received) {
            return Err(LaneEnd::LoginRefused(LoginError::TooManyClients));
        }
        let Self {
            lane,
            worker,
            input,
            proxy_replies,
            has_input,
            ..
        } = self;
        input.with(received, |bytes| {
            let mut used = 0;
            let result = distribute(bytes, &mut used, lane, worker, proxy_replies);
            *has_input = lane.state.borrow().blocked_by.is_some();
            (used, result)
        })
    }
}

/// Gives each client its replies, in the order of the turns, until the bytes or the complete replies run out, or a
/// reply waits for keys.
fn distribute(
    bytes: &[u8],
    used: &mut usize,
    lane: &Lane,
    worker: &Worker,
    proxy_replies: &mut ProxyReplies,
) -> Result<(), LaneEnd> {
    let state = &mut *lane.state.borrow_mut();
    loop {
        let remaining = bytes.get(*used..).unwrap_or_default();
        if remaining.is_empty() {
            return Ok(());
        }
        let is_push = remaining.first() == Some(&b'>');
        if proxy_replies.is_next() || (state.turns.is_empty() && is_push) {
            match proxy_replies.take(remaining, lane.identity.protocol)? {
                0 => return Ok(()),
                len => *used += len,
            }
            continue;
        }
        let Some((client, left)) = state.turns.front_mut() else {
            return Err(LaneEnd::Unexplained);
        };
        let answered = client
            .answer(remaining, *left, &worker.settings.buffers)
            .map_err(|_| LaneEnd::Unexplained)?;
        let has_switched = client
            .take_role_error()
            .is_some_and(|word| worker.settings.switch(lane.epoch, word));
        *used += answered.used;
        *left = left.saturating_sub(answered.replies);
        let is_done = *left == 0;
        client.wake();
        if has_switched {
            state.attached.values().for_each(|client| client.wake());
        }
        let blocked_by = answered.stalled.then(|| client.clone());
        if is_done {
            state.turns.pop_front();
        }
        if blocked_by.is_some() {
            state.blocked_by = blocked_by;
            return Ok(());
        }
        if !is_done && answered.used == 0 && answered.replies == 0 {
            return Ok(());
        }
    }
}
