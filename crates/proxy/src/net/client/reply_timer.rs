//! The time for which a reply is overdue on a dedicated connection. A blocking command may take that long, so the
//! server is not at fault: the system is asked to end the connection if what was sent is not even acknowledged. That
//! request is withdrawn after a while: otherwise one lost packet of TCP's keepalive would end the connection.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Multiple of the limit after which the system has ended a dead connection.
const PERIODS: u32 = 3;
/// The deadline of a timer that is not needed.
const IDLE_INTERVAL: Duration = Duration::from_secs(3600);

/// The timer of one connection.
#[derive(Default)]
pub(super) struct ReplyTimer {
    silent_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    is_late: bool,
}

impl ReplyTimer {
    /// Returns true if a reply is late by `limit` now, and not by so much that the connection is known to be alive.
    /// Wakes the task when that changes.
    pub(super) fn poll(
        &mut self,
        (due, received): (bool, bool),
        limit: Duration,
        cx: &mut Context<'_>,
    ) -> bool {
        if !due {
            self.silent_since = None;
            self.is_late = false;
            return false;
        }
        let begins = received || self.silent_since.is_none();
        let since = match self.silent_since {
            Some(since) if !received => since,
            _ => Instant::now(),
        };
        self.silent_since = Some(since);
        let late = since + limit;
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(late)));
        if begins {
            self.is_late = false;
            // An earlier deadline stays: when it fires, the loop below sets the right one. Resetting a timer costs more
            // than a wake-up now and then.
            if timer.deadline() > late {
                timer.as_mut().reset(late);
            }
        }
        while timer.as_mut().poll(cx).is_ready() {
            let silence = since.elapsed();
            self.is_late = silence >= limit && silence < limit.saturating_mul(PERIODS);
            timer.as_mut().reset(match self.is_late {
                true => since + limit.saturating_mul(PERIODS),
                false if silence < limit => late,
                false => Instant::now() + IDLE_INTERVAL,
            });
        }
        self.is_late
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reply_is_late_for_a_while_after_the_limit() {
        const LIMIT: Duration = Duration::from_secs(5);
        let mut reply_timer = ReplyTimer::default();
        let mut after = async |seconds, due, received| {
            advance(Duration::from_secs(seconds)).await;
            reply_timer.poll(
                (due, received),
                LIMIT,
                &mut Context::from_waker(Waker::noop()),
            )
        };
        assert!(!after(0, true, false).await);
        assert!(!after(4, true, false).await);
        assert!(after(2, true, false).await);
        assert!(after(8, true, false).await);
        assert!(!after(2, true, false).await);
        assert!(!after(100, true, false).await);
        // Received bytes restart it, and so does a new request.
        assert!(!after(1, true, true).await);
        assert!(after(6, true, false).await);
        assert!(!after(0, false, true).await);
        assert!(!after(60, true, false).await);
        assert!(!after(4, true, false).await);
        assert!(after(2, true, false).await);
    }
}
