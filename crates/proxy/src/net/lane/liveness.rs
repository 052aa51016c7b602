//! The liveness of a lane's path to the server. A lane on which replies are due and nothing was received for
//! `--max-stall` is *suspect*: new clients do not join it. A probe over a new connection decides then. If the server
//! answers there and the lane stays silent, the path is dead and the lane is closed. If it does not answer there either,
//! it stalls as a whole (a slow script), a direct client would wait as well, and the lane stays.
//!
//! ```text
//! request sent ──── max_stall ────▶ suspect ──▶ probe answered twice ── GRACE ──▶ closed
//!       ▲                              │  ▲              │
//!       └──────── byte received ◀──────┘  └─ no answer ──┘
//! ```
//!
//! An idle lane sends a `PING` now and then, so that load balancers in between do not close it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::net::health::{Health, Outcome, Verdict};
use crate::proxy::Shares;

/// Time for replies that are on their way when the probe is answered.
const GRACE: Duration = Duration::from_millis(300);
/// Interval at which a suspect lane checks for the probe's answer.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// The state of a lane's connection.
#[derive(Clone, Copy)]
pub(super) struct Signs {
    /// Replies are due.
    pub(super) due: bool,
    /// They are not read, because a client does not read its own.
    pub(super) paused: bool,
    /// Bytes were received since the last poll.
    pub(super) received: bool,
}

/// The action to take on a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing.
    Wait,
    /// Send a `PING`.
    Ping,
    /// Close the lane: its path is dead, and nothing was received for this long.
    Close(Duration),
}

/// The liveness of one lane.
pub(super) struct Liveness {
    shares: Arc<Shares>,
    /// The time since which replies are due and nothing was received.
    silent_since: Option<Instant>,
    last_activity: Instant,
    suspicion: Option<Suspicion>,
    timer: Pin<Box<Sleep>>,
}

/// A lane that is suspect, counted for the whole process.
struct Suspicion {
    shares: Arc<Shares>,
    since: Instant,
}

impl Liveness {
    /// Creates the liveness of a lane that has just been connected.
    pub(super) fn new(shares: Arc<Shares>) -> Self {
        let first = shares.limits.stalled.min(shares.upstream.keepalive);
        let timer = Box::pin(sleep(first));
        Self {
            shares,
            silent_since: None,
            last_activity: Instant::now(),
            suspicion: None,
            timer,
        }
    }

    /// True if a reply is late.
    pub(super) fn is_suspect(&self) -> bool {
        self.suspicion.is_some()
    }

    /// True if the system would have ended the connection by now, had its path been dead and its acknowledgements limited.
    pub(super) fn is_ended_by_system(&self) -> bool {
        let limit = self.shares.limits.stalled.saturating_mul(2);
        let is_long = |suspicion: &Suspicion| suspicion.since.elapsed() >= limit;
        self.suspicion.as_ref().is_some_and(is_long)
    }

    /// Records the state of the connection, and returns the action to take.
    pub(super) fn poll(&mut self, signs: Signs, cx: &mut Context<'_>) -> Action {
        self.observe(signs);
        while self.timer.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let (action, next) = match self.silent_since {
                Some(since) => self.judge(since, now),
                None => self.idle(now),
            };
            self.timer.as_mut().reset(next);
            if action != Action::Wait {
                return action;
            }
        }
        Action::Wait
    }

    fn observe(&mut self, signs: Signs) {
        let waits = signs.due && !signs.paused;
        if signs.received || signs.paused {
            self.last_activity = Instant::now();
        }
        match (waits, self.silent_since) {
            (false, _) => {
                self.silent_since = None;
                self.suspicion = None;
            }
            (true, Some(_)) if !signs.received => {}
            (true, _) => {
                let now = match signs.received {
                    true => self.last_activity,
                    false => Instant::now(),
                };
                self.silent_since = Some(now);
                self.suspicion = None;
                // An earlier deadline stays: when it fires, `judge` sets the right one.
                let late = now + self.shares.limits.stalled;
                if self.timer.deadline() > late {
                    self.timer.as_mut().reset(late);
                }
            }
        }
    }

    /// The action for a lane that has been silent since then, and the time of the next check.
    fn judge(&mut self, since: Instant, now: Instant) -> (Action, Instant) {
        let late = since + self.shares.limits.stalled;
        if now < late {
            // It may be idle before that.
            return (Action::Wait, late.min(now + self.shares.upstream.keepalive));
        }
        let shares = &self.shares;
        let suspicion = self.suspicion.get_or_insert_with(|| {
            shares.add_suspect();
            Suspicion {
                shares: shares.clone(),
                since: now,
            }
        });
        let answer = Health::probe(&shares.upstream, suspicion.since);
        let is_dead =
            |outcome: Outcome| outcome.verdict == Verdict::Answers && now >= outcome.end + GRACE;
        if answer.is_some_and(is_dead) {
            return (Action::Close(now - since), now + CHECK_INTERVAL);
        }
        (Action::Wait, now + CHECK_INTERVAL)
    }

    /// The action for a lane without due replies, and the time of the next check.
    fn idle(&mut self, now: Instant) -> (Action, Instant) {
        let keepalive = self.shares.upstream.keepalive;
        let due = self.last_activity + keepalive;
        if now < due {
            return (Action::Wait, due);
        }
        self.last_activity = now;
        (Action::Ping, now + keepalive)
    }
}

impl Drop for Suspicion {
    fn drop(&mut self) {
        self.shares.remove_suspect();
    }
}
