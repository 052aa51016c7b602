//! What a running proxy writes to its log about values: those that do not open, and decoys that did; and at its start
//! about scripts.
//! Bounded, so that a flood of either neither fills the disk nor hides the other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use waxseal_proxy::{Alarm, BrokenValue, OpenedDecoy, Report};

use crate::setup::Setup;

/// Lines of one kind: at most so many in a period.
const LINES: u64 = 20;
const PERIOD: Duration = Duration::from_secs(10);

/// Counts the lines of one kind.
struct Bounded {
    window: Mutex<(Instant, u64)>,
    left_out: AtomicU64,
}

impl Bounded {
    fn new() -> Self {
        Self {
            window: Mutex::new((Instant::now(), 0)),
            left_out: AtomicU64::new(0),
        }
    }

    /// Whether one more line is written. `missing` tells how many were not in the period before.
    fn may_say(&self, missing: impl FnOnce(u64)) -> bool {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if window.0.elapsed() > PERIOD {
            *window = (Instant::now(), 0);
            let left_out = self.left_out.swap(0, Ordering::Relaxed);
            if left_out > 0 {
                missing(left_out);
            }
        }
        window.1 += 1;
        let may = window.1 <= LINES;
        if !may {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        may
    }
}

/// Writes what does not open.
pub(super) fn reporter() -> Report {
    let bounded = Bounded::new();
    Arc::new(move |broken: &BrokenValue<'_>| {
        let missing =
            |missing| tracing::error!("{missing} more values were not opened in the last period");
        if bounded.may_say(missing) {
            tracing::error!(
                record = broken.shown,
                command = broken.command,
                "{}",
                broken.cause
            );
        }
    })
}

/// Writes for which records scripts are forwarded that are not known.
pub(super) fn tell_of_scripts(setup: &Setup) {
    let forwarding = setup.protected.iter().filter(|it| it.forwards_scripts);
    let shown: Vec<_> = forwarding.map(|it| it.pattern.shown()).collect();
    if !shown.is_empty() {
        tracing::warn!(
            "scripts that are not known are forwarded for {}: they see sealed values, and what they write is plain",
            shown.join(", ")
        );
    }
}

/// Writes which decoys were opened.
pub(super) fn alarm() -> Alarm {
    let bounded = Bounded::new();
    Arc::new(move |decoy: &OpenedDecoy| {
        let missing =
            |missing| tracing::error!("{missing} more decoys were opened in the last period");
        if bounded.may_say(missing) {
            tracing::error!(
                record = decoy.shown,
                command = decoy.command,
                "a decoy was opened"
            );
        }
    })
}
