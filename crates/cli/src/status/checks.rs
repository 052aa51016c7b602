//! When the doctor's checks run and records are counted: regularly, after the store was away or was
//! restarted, after a step of a rotation, and when a reader of the page asks for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use waxseal_page::status::{Doctor, Finding};
use waxseal_proxy::CheckResponse;
use waxseal_service::doctor;
use waxseal_service::now_ms;
use waxseal_service::resources::Resources;
use waxseal_stores::RecordStore;

use super::Shared;

/// Between two runs of the doctor, which cost the store a few hundred reads.
const DOCTOR_INTERVAL: Duration = Duration::from_secs(600);
/// The same while something fails: what was repaired should be seen.
const PROBLEM_INTERVAL: Duration = Duration::from_secs(60);
/// After the start, until this process is among those that report to the keyring.
const DOCTOR_DELAY: Duration = Duration::from_secs(3);
/// A doctor who takes longer waits for a store that does not answer.
pub(super) const DOCTOR_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two questions to the store which run of its server this is.
const STORE_INTERVAL: Duration = Duration::from_secs(5);
const STORE_TIMEOUT: Duration = Duration::from_secs(10);
/// A reader gets no more checks than one in this time.
const MIN_PAUSE: Duration = Duration::from_secs(10);

impl Shared {
    /// Keys or store are others than those that were checked and counted.
    pub(super) fn check_again(&self) {
        let counts_regularly = self.known().counts_regularly;
        if counts_regularly {
            self.count.notify_one();
        }
        self.doctor.notify_one();
    }

    /// The store can be reached again, and holds what it held.
    fn store_is_back(&self) {
        if self.known().counted.has_failed() {
            self.count.notify_one();
        }
        self.doctor.notify_one();
    }

    /// A reader wants everything checked now. What is running already is not begun twice.
    pub(super) fn check_for_reader(&self) -> CheckResponse {
        let (wants_count, wants_doctor) = {
            let mut known = self.known();
            if !known.started {
                return CheckResponse::NotReady;
            }
            let since = known.asked.map(|asked| asked.elapsed());
            let pause = since.and_then(|since| MIN_PAUSE.checked_sub(since));
            let wants = (!known.counted.is_running(), !known.is_checking);
            if pause.is_some() || wants == (false, false) {
                let pause = pause.unwrap_or(MIN_PAUSE);
                return CheckResponse::TooSoon(pause.as_secs().saturating_add(1));
            }
            known.asked = Some(Instant::now());
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

/// Runs the doctor once; whether it came to its end and found no problem.
async fn diagnose(shared: &Shared, resources: &Resources) -> bool {
    let checked_ms = now_ms();
    shared.known().is_checking = true;
    let outcome = timeout(DOCTOR_TIMEOUT, doctor::diagnose(resources)).await;
    let mut known = shared.known();
    known.is_checking = false;
    known.doctor_hangs = outcome.is_err();
    // Where it hangs a warning says so, and the last findings stay with their time.
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

/// Has everything checked again when the store comes back, or is another run of its server.
pub(super) async fn watch_store(shared: Arc<Shared>, resources: Arc<Resources>) {
    let mut tick = interval(STORE_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut store = None;
    let (mut seen, mut was_away) = (None, false);
    loop {
        tick.tick().await;
        let asked = timeout(STORE_TIMEOUT, generation(&resources, &mut store)).await;
        let Some(now) = asked.ok().flatten() else {
            if !was_away {
                shared.doctor.notify_one();
            }
            was_away = true;
            continue;
        };
        if seen.as_ref().is_some_and(|seen| *seen != now) {
            shared.check_again();
        } else if was_away {
            shared.store_is_back();
        }
        (seen, was_away) = (Some(now), false);
    }
}

/// The run of the store's server; `None` where it cannot be asked.
async fn generation(
    resources: &Resources,
    store: &mut Option<Arc<dyn RecordStore>>,
) -> Option<String> {
    let opened = match store {
        Some(opened) => opened.clone(),
        None => resources.open_store().await.ok()?,
    };
    let status = opened.status().await;
    // A connection that failed is not kept.
    *store = status.is_ok().then_some(opened);
    Some(status.ok()?.generation)
}
