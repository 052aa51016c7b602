//! The upkeep of a lane after each exchange: it checks whether its path is alive, sends a `PING` now and then, and ends
//! when its clients have moved to newer connections.

use std::task::Context;

use super::end::LaneEnd;
use super::liveness::{Action, Signs};
use super::traffic::Traffic;
use crate::connection::OWN_PING;

impl Traffic {
    /// Checks the lane, when its bytes have been moved.
    pub(super) fn watch(&mut self, cx: &mut Context<'_>) -> Result<(), LaneEnd> {
        let is_due = self.proxy_replies.is_due();
        let signs = {
            let state = self.lane.state.borrow();
            Signs {
                due: is_due || !state.turns.is_empty(),
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
        state.is_suspect = self.liveness.is_suspect();
        if is_outdated && !signs.due && state.attached.is_empty() {
            return Err(LaneEnd::Retired);
        }
        match action {
            Action::Wait => {}
            Action::Close(silence) => return Err(LaneEnd::Stalled(silence)),
            Action::Ping => {
                if is_outdated {
                    // Idle clients have not noticed the switch.
                    state.attached.values().for_each(|client| client.wake());
                }
                // While any reply is due, that of the ping would be taken for it.
                if !signs.due && self.proxy_replies.begin_ping() {
                    state.output.end().extend_from_slice(OWN_PING);
                    cx.waker().wake_by_ref();
                }
            }
        }
        Ok(())
    }
}
