//! Triggers of the doctor's checks and of counting: a timer, a store that was unreachable or restarted, a step of a
//! rotation, and a reader of the page.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use waxseal_page::status::{Doctor, Finding};
use waxseal_stores::RecordStore;

use super::{CheckResponse, Shared};
use crate::resources::Resources;
use crate::{doctor, now_ms};

/// The interval of the doctor's checks, which cost the store a few hundred reads.
const DOCTOR_INTERVAL: Duration = Duration::from_secs(600);
/// The interval while there is a problem, so that a repair shows soon.
const PROBLEM_INTERVAL: Duration = Duration::from_secs(60);
/// The delay after the start, until this process has reported to the keyring.
const DOCTOR_DELAY: Duration = Duration::from_secs(3);
/// The limit of one run: checks that take longer wait for a store that does not answer.
pub(super) const DOCTOR_TIMEOUT: Duration = Duration::from_secs(60);
/// The interval at which the store is asked for its generation.
const STORE_INTERVAL: Duration = Duration::from_secs(5);
const STORE_TIMEOUT: Duration = Duration::from_secs(10);
/// The minimal time between two checks that readers start.
const MIN_PAUSE: Duration = Duration::from_secs(10);

impl Shared {
    /// Repeats checks and counting, after keys or store have changed.
    pub(super) fn check_again(&self) {
        let counts_regularly = self.known().counts_regularly;
        if counts_regularly {
            self.count.notify_one();
        }
        self.doctor.notify_one();
    }

    /// Repeats the checks, after the same store can be reached again.
    fn on_store_recovered(&self) {
        if self.known().counted.has_failed() {
            self.count.notify_one();
        }
        self.doctor.notify_one();
    }

    /// Starts checks and counting for a reader, unless they are already running.
    pub(super) fn check_for_reader(&self) -> CheckResponse {
        let (wants_count, wants_doctor) = {
            let mut known = self.known();
            if !known.started {
                return CheckResponse::NotReady;
            }
            let since = known.last_request.map(|last| last.elapsed());
            let pause = since.and_then(|since| MIN_PAUSE.checked_sub(since));
            let wants = (!known.counted.is_running(), !known.is_checking);
            if pause.is_some() || wants == (false, false) {
                let pause = pause.unwrap_or(MIN_PAUSE);
                return CheckResponse::TooSoon(pause.as_secs().saturating_add(1));
            }
            known.last_request = Some(Instant::now());
            wants
        };
        if wants_count {
            self.count.notify_one();
        }
        if wants_doctor {
            self.doctor.notify_one();
        }
        CheckResponse::Accepted
    }
}

/// Runs the doctor's checks at intervals and when woken.
pub(super) async fn run_doctor_periodically(shared: Arc<Shared>, resources: Arc<Resources>) {
    sleep(DOCTOR_DELAY).await;
    loop {
        let pause = match diagnose(&shared, &resources).await {
            true => DOCTOR_INTERVAL,
            false => PROBLEM_INTERVAL,
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = shared.doctor.notified() => {}
        }
    }
}

/// Runs the doctor's checks once. Returns true if they ended in time and found no problem.
async fn diagnose(shared: &Shared, resources: &Resources) -> bool {
    let checked_ms = now_ms();
    shared.known().is_checking = true;
    let outcome = timeout(DOCTOR_TIMEOUT, doctor::diagnose(resources)).await;
    let mut known = shared.known();
    known.is_checking = false;
    known.doctor_hangs = outcome.is_err();
    // After a timeout a warning says so, and the last findings stay with their time.
    let Ok(findings) = outcome else {
        return false;
    };
    let is_problem = |finding: &Finding| finding.grade == "problem";
    let is_fine = !findings.iter().any(is_problem);
    known.doctor = Some(Doctor {
        checked_ms,
        findings,
    });
    is_fine
}

/// Repeats the checks when the store recovers or its server was restarted.
pub(super) async fn watch_store(shared: Arc<Shared>, resources: Arc<Resources>) {
    let mut tick = interval(STORE_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut store = None;
    let (mut last, mut was_away) = (None, false);
    loop {
        tick.tick().await;
        let answer = timeout(STORE_TIMEOUT, generation(&resources, &mut store)).await;
        let Some(now) = answer.ok().flatten() else {
            if !was_away {
                shared.doctor.notify_one();
            }
            was_away = true;
            continue;
        };
        if last.as_ref().is_some_and(|last| *last != now) {
            shared.check_again();
        } else if was_away {
            shared.on_store_recovered();
        }
        (last, was_away) = (Some(now), false);
    }
}

/// The generation of the store's server; `None` if it cannot be reached.
async fn generation(
    resources: &Resources,
    store: &mut Option<Arc<dyn RecordStore>>,
) -> Option<String> {
    let opened = match store {
        Some(opened) => opened.clone(),
        None => resources.stored_store().await.ok()?,
    };
    let status = opened.status().await;
    // A connection that failed is not kept.
    *store = status.is_ok().then_some(opened);
    Some(status.ok()?.generation)
}
