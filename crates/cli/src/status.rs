//! What the status page of this process shows: gathered in the background, put together when somebody
//! looks. Every figure is read from what metrics tell as well, so that both say the same.

mod counting;
mod figures;
mod history;
mod keys;
mod warnings;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::{JoinHandle, spawn};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use waxseal_metrics::Snapshot;
use waxseal_page::status::{Doctor, Process, Status};
use waxseal_proxy::{Source, Upstream};

use crate::commands::look_around;
use crate::setup::{Setup, now_ms};
use counting::Counted;
use history::{EVERY, History};
use keys::KeysView;

/// How long the server may take until it counts as away.
const PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks at the keyring and who uses it.
const KEYS_EVERY: Duration = Duration::from_secs(5);
/// Between two looks of the doctor, which cost the store a few hundred reads.
const DOCTOR_EVERY: Duration = Duration::from_secs(600);
/// After the start, until this process is among those that report to the keyring.
const DOCTOR_WAITS: Duration = Duration::from_secs(3);
/// A doctor who takes longer waits for a store that does not answer.
const DOCTOR_PATIENCE: Duration = Duration::from_secs(60);

/// Gathers what the page shows, until it is dropped.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    process: Process,
    /// `None` for a process without clients.
    upstream: Option<Arc<Upstream>>,
    known: Mutex<Known>,
}

/// What is known at this moment.
#[derive(Default)]
struct Known {
    history: History,
    /// Why the server cannot be used, as asked last.
    server: Option<&'static str>,
    /// Whether everything is open that the process needs.
    started: bool,
    /// Whether it takes no new clients any more.
    stopping: bool,
    keys: KeysView,
    counted: Counted,
    doctor: Option<Doctor>,
}

impl Watch {
    /// Begins with what needs neither keys nor store. A recorder must have been installed before.
    pub(crate) fn begin(process: Process, upstream: Option<Arc<Upstream>>) -> Self {
        let shared = Arc::new(Shared {
            process,
            upstream,
            known: Mutex::default(),
        });
        let tasks = vec![spawn(sample(shared.clone()))];
        Self { shared, tasks }
    }

    /// What the page shows, for whoever serves it.
    pub(crate) fn source(&self) -> Source {
        let shared = self.shared.clone();
        Arc::new(move || shared.status())
    }

    /// The process lets what is under way come to its end.
    pub(crate) fn stopping(&self) {
        self.shared.known().stopping = true;
    }

    /// Goes on with the rest, once store and keys are open. Records are counted so often.
    pub(crate) fn follow(&mut self, setup: &Arc<Setup>, count_every: Option<Duration>) {
        self.shared.known().started = true;
        self.tasks
            .push(spawn(watch_keys(self.shared.clone(), setup.clone())));
        self.tasks
            .push(spawn(call_doctor(self.shared.clone(), setup.clone())));
        match count_every {
            Some(every) => {
                let counting = counting::run(self.shared.clone(), setup.clone(), every);
                self.tasks.push(spawn(counting));
            }
            None => self.shared.known().counted = Counted::never(),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> Status {
        let now = Snapshot::take().unwrap_or_default();
        let known = self.known();
        let has_clients = self.upstream.is_some();
        Status {
            process: self.process.clone(),
            now_ms: now_ms(),
            warnings: warnings::of(&now, &known, has_clients),
            figures: figures::figures(&now, &known, has_clients),
            coverage: known.counted.coverage(),
            keys: known.keys.shown(&known.counted),
            traffic: known.history.traffic(has_clients),
            refused: has_clients.then(|| figures::refused(&now)),
            sweeps: figures::sweeps(&now),
            doctor: known.doctor.clone(),
        }
    }
}

/// Keeps the last hour, and asks the server how it is.
async fn sample(shared: Arc<Shared>) {
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let asked = Instant::now();
        let answer = match &shared.upstream {
            Some(upstream) => upstream.check(PATIENCE).await,
            None => Ok(()),
        };
        let took = answer.is_ok().then(|| asked.elapsed());
        let Some(now) = Snapshot::take() else {
            return;
        };
        let mut known = shared.known();
        known.server = answer.err();
        known.history.note(Instant::now(), now, took);
    }
}

async fn watch_keys(shared: Arc<Shared>, setup: Arc<Setup>) {
    let mut tick = interval(KEYS_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let view = KeysView::look(&setup).await;
        shared.known().keys = view;
    }
}

async fn call_doctor(shared: Arc<Shared>, setup: Arc<Setup>) {
    sleep(DOCTOR_WAITS).await;
    loop {
        let looked_ms = now_ms();
        // One that waits for a store says so in the state; the last findings stay.
        if let Ok(findings) = timeout(DOCTOR_PATIENCE, look_around(&setup)).await {
            shared.known().doctor = Some(Doctor {
                looked_ms,
                findings,
            });
        }
        sleep(DOCTOR_EVERY).await;
    }
}
