//! Whether a lane's path to the server is alive. A lane on which replies are due and nothing has come for
//! `--max-stall` is *suspect*: new clients do not join it. A probe over a new connection decides then. If the server
//! answers there and the lane stays silent, the path is dead and the lane is closed. If it answers nobody, it stalls
//! as a whole (a slow script), a direct client would wait as well, and the lane stays.
//!
//! ```text
//! request sent ──── max_stall ────▶ suspect ──▶ probe answered twice ── GRACE ──▶ closed
//!       ▲                              │  ▲              │
//!       └───────── a byte came ◀───────┘  └─ no answer ──┘
//! ```
//!
//! An idle lane asks the server something now and then: whatever is in between does not take it for abandoned.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::net::health::{Health, Outcome, Verdict};
use crate::proxy::Shares;

/// For replies that are on their way when the probe has been answered.
const GRACE: Duration = Duration::from_millis(300);
/// How often a suspect lane looks for the probe's answer.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// What a lane sees of its connection.
#[derive(Clone, Copy)]
pub(super) struct Signs {
    /// Replies are to come.
    pub(super) due: bool,
    /// They are not read, because a client does not read its own.
    pub(super) paused: bool,
    /// Bytes have come since the last time.
    pub(super) received: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing.
    Wait,
    /// The server is to be asked something.
    Ping,
    /// The path is dead: nothing has come for so long.
    Close(Duration),
}

/// Watches over one lane.
pub(super) struct Liveness {
    shares: Arc<Shares>,
    /// Since when replies are due and nothing has come.
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
    /// Of a lane that has just been connected.
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

    /// Whether a reply is late.
    pub(super) fn is_suspect(&self) -> bool {
        self.suspicion.is_some()
    }

    /// Whether the system would have ended the connection by now if its path were dead and it had been asked to.
    pub(super) fn is_ended_by_system(&self) -> bool {
        let limit = self.shares.limits.stalled.saturating_mul(2);
        let is_long = |suspicion: &Suspicion| suspicion.since.elapsed() >= limit;
        self.suspicion.as_ref().is_some_and(is_long)
    }

    /// Takes note of what the lane sees, and says what is to be done.
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
                // It is only set back where it stood for an idle lane.
                let late = now + self.shares.limits.stalled;
                if self.timer.deadline() > late {
                    self.timer.as_mut().reset(late);
                }
            }
        }
    }

    /// What is to be done with a lane that has been silent since then, and when to look again.
    fn judge(&mut self, since: Instant, now: Instant) -> (Action, Instant) {
        let late = since + self.shares.limits.stalled;
        if now < late {
            // By then it may be idle.
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

    /// What is to be done with a lane that nothing is due on, and when to look again.
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
