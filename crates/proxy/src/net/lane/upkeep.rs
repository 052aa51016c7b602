//! What a lane does for itself: it watches over its path, asks the server now and then whether it is there, and
//! ends when its clients have gone to newer connections.

use std::task::Context;

use super::end::LaneEnd;
use super::{Action, Dedicated, Lane, MAX_LOGIN_ERROR, Ping, Signs, Traffic};
use crate::connection::OWN_PING;
use crate::login::LoginError;
use crate::net::worker::Worker;
use crate::pending::Protocol;

impl Lane {
    /// Whether its connection was opened before the last switch: its clients go to a newer one.
    pub(crate) fn is_outdated(&self, worker: &Worker) -> bool {
        worker.settings.is_outdated(self.epoch)
    }

    /// Whether a reply is late on it, so that new clients should go elsewhere.
    pub(crate) fn is_suspect(&self) -> bool {
        self.state.borrow().suspect
    }
}

impl Traffic {
    /// Looks after the lane, when its bytes have been moved.
    pub(super) fn watch(&mut self, cx: &mut Context<'_>) -> Result<(), LaneEnd> {
        let own_due = self.greeting > 0 || self.ping == Ping::Due;
        let signs = {
            let state = self.lane.state.borrow();
            Signs {
                due: own_due || !state.turns.is_empty(),
                paused: state.blocked_by.is_some() || state.is_paused,
                received: std::mem::take(&mut self.received),
            }
        };
        if !signs.due {
            self.socket.all_answered();
        }
        let action = self.liveness.poll(signs, cx);
        let is_late = self.liveness.is_suspect() && !self.liveness.is_ended_by_system();
        self.socket.limit_acknowledgement(is_late);
        let is_outdated = self.lane.is_outdated(&self.worker);
        let mut state = self.lane.state.borrow_mut();
        state.suspect = self.liveness.is_suspect();
        if is_outdated && !signs.due && state.attached.is_empty() {
            return Err(LaneEnd::Retired);
        }
        match action {
            Action::Wait => {}
            Action::Close(silence) => return Err(LaneEnd::Stalled(silence)),
            Action::Ping => {
                if is_outdated {
                    // They did not notice, being idle.
                    state.attached.values().for_each(|client| client.wake());
                }
                // While anything is due, its reply would be taken for that of another.
                if self.ping == Ping::Possible && !signs.due {
                    state.outgoing.end().extend_from_slice(OWN_PING);
                    self.ping = Ping::Due;
                    cx.waker().wake_by_ref();
                }
            }
        }
        Ok(())
    }
}

impl Dedicated<'_> {
    /// Whether the next reply, or what is left of one, is the lane's own.
    pub(super) fn is_next(&self) -> bool {
        *self.greeting > 0 || *self.ping == Ping::Due || !self.scanner.is_at_start()
    }

    /// Takes what is there of a reply of the lane's own, or of a push message; how many bytes. Ends the lane where the
    /// server does not let it in.
    pub(super) fn take(&mut self, rest: &[u8], protocol: Protocol) -> Result<usize, LaneEnd> {
        let is_start = self.scanner.is_at_start();
        if is_start {
            *self.push = rest.first() == Some(&b'>');
        }
        let is_error = is_start && matches!(rest.first(), Some(b'-' | b'!'));
        if is_error {
            if !rest.contains(&b'\n') && rest.len() < MAX_LOGIN_ERROR {
                return Ok(0);
            }
            if *self.greeting > 0 {
                let says_hello = protocol == Protocol::Resp3 && *self.greeting == 1;
                return Err(LaneEnd::Refused(match LoginError::of(rest) {
                    // Of any other request it says nothing about the protocol.
                    LoginError::Protocol if !says_hello => LoginError::Other,
                    error => error,
                }));
            }
            if LoginError::of(rest) == LoginError::Permission {
                *self.ping = Ping::Refused;
            }
        }
        let scanned = self.scanner.scan(rest).map_err(|_| LaneEnd::Unexplained)?;
        if scanned.done && !*self.push {
            if *self.greeting > 0 {
                *self.greeting = self.greeting.saturating_sub(1);
            } else if *self.ping == Ping::Due {
                *self.ping = Ping::Possible;
            }
        }
        Ok(scanned.used)
    }
}
