//! What the status page of this process shows: gathered in the background, put together when somebody
//! looks. Every figure is read from what metrics tell as well, so that both say the same.

mod checks;
mod counting;
mod figures;
mod history;
mod keys;
mod warnings;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use waxseal_metrics::Snapshot;
use waxseal_page::status::{Doctor, Phase, Process, Status};
use waxseal_proxy::{CheckResponse, Source, Upstream};
use waxseal_service::now_ms;
use waxseal_service::resources::Resources;

use counting::Counted;
use history::{EVERY, History};
use keys::KeysView;
use waxseal_service::panics::spawn_restarting;
use waxseal_service::refusals::RefusalRecord;

/// How long the server may take until it counts as away.
const SERVER_TIMEOUT: Duration = Duration::from_secs(1);
/// Between two looks at the keyring and who uses it.
const KEYS_INTERVAL: Duration = Duration::from_secs(5);

/// Gathers what the page shows, until it is dropped.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    process: Process,
    /// `None` for a process without clients.
    upstream: Option<Arc<Upstream>>,
    /// Refused requests; `None` for a process without clients.
    recorded: Option<RefusalRecord>,
    known: Mutex<Known>,
    /// Wakes the counting.
    count: Notify,
    /// Wakes the doctor.
    doctor: Notify,
}

/// What is known at this moment.
#[derive(Default)]
struct Known {
    history: History,
    /// Why the server cannot be used, as asked last.
    server: Option<&'static str>,
    /// What the process waits for before it serves anybody.
    waits_for: Option<String>,
    /// Whether everything is open that the process needs.
    started: bool,
    /// Whether it takes no new clients any more.
    stopping: bool,
    keys: KeysView,
    /// Whether records are counted without being asked for.
    counts_regularly: bool,
    counted: Counted,
    doctor: Option<Doctor>,
    /// Whether the doctor is at work.
    is_checking: bool,
    /// Whether the doctor did not come to an end the last time.
    doctor_hangs: bool,
    /// When a reader wanted everything checked again.
    asked: Option<Instant>,
}

impl Watch {
    /// Begins with what needs neither keys nor store. A recorder must have been installed before.
    pub(crate) fn begin(process: Process, clients: Option<(Arc<Upstream>, RefusalRecord)>) -> Self {
        let (upstream, recorded) = clients.unzip();
        let shared = Arc::new(Shared {
            process,
            upstream,
            recorded,
            known: Mutex::default(),
            count: Notify::new(),
            doctor: Notify::new(),
        });
        let sampled = shared.clone();
        let task = spawn_restarting("the history of the status page", move || {
            sample(sampled.clone())
        });
        let tasks = vec![task];
        Self { shared, tasks }
    }

    /// The source of the page.
    pub(crate) fn source(&self) -> Arc<dyn Source> {
        self.shared.clone()
    }

    /// The process waits for this before it serves anybody.
    pub(crate) fn waiting(&self, why: &str) {
        self.shared.known().waits_for = Some(why.to_owned());
    }

    /// The process lets what is under way come to its end.
    pub(crate) fn stopping(&self) {
        self.shared.known().stopping = true;
    }

    /// Goes on with the rest, once store and keys are open. Records are counted so often.
    pub(crate) fn follow(&mut self, resources: &Arc<Resources>, count_every: Option<Duration>) {
        {
            let mut known = self.shared.known();
            known.started = true;
            known.counts_regularly = count_every.is_some();
        }
        let both = || (self.shared.clone(), resources.clone());
        let [keys, doctor, store, counting] = [both(), both(), both(), both()];
        let tasks = [
            spawn_restarting("reading the keys for the status page", move || {
                watch_keys(keys.0.clone(), keys.1.clone())
            }),
            spawn_restarting("the doctor of the status page", move || {
                checks::run_doctor_periodically(doctor.0.clone(), doctor.1.clone())
            }),
            spawn_restarting("watching the store for the status page", move || {
                checks::watch_store(store.0.clone(), store.1.clone())
            }),
            spawn_restarting("counting for the status page", move || {
                counting::run(counting.0.clone(), counting.1.clone(), count_every)
            }),
        ];
        self.tasks.extend(tasks);
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

    fn phase(&self, known: &Known) -> Phase {
        match (known.stopping, known.started) {
            (true, _) => Phase::Stopping,
            (false, false) => Phase::Starting,
            (false, true) => Phase::Running {
                clients: self.upstream.as_ref().map(|_| match known.server {
                    Some(why) => Err(format!("the server cannot be used: {why}")),
                    None => Ok(()),
                }),
            },
        }
    }
}

impl Source for Shared {
    fn status(&self) -> Status {
        let now = Snapshot::take().unwrap_or_default();
        let refused = self.recorded.as_ref().map(RefusalRecord::refused);
        let known = self.known();
        let has_clients = self.upstream.is_some();
        Status {
            process: self.process.clone(),
            now_ms: now_ms(),
            phase: self.phase(&known),
            warnings: warnings::of(&now, &known, has_clients),
            figures: figures::figures(&now, has_clients),
            coverage: known.counted.coverage(),
            keys: known.keys.shown(&known.counted, &now),
            traffic: known.history.traffic(has_clients),
            refused,
            trial: self.recorded.as_ref().and_then(RefusalRecord::trial),
            sweeps: figures::sweeps(&now),
            doctor: known.doctor.clone(),
            is_checking: known.is_checking,
        }
    }

    fn check(&self) -> CheckResponse {
        self.check_for_reader()
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
            Some(upstream) => upstream.check(SERVER_TIMEOUT).await,
            None => Ok(()),
        };
        let took = answer.is_ok().then(|| asked.elapsed());
        let Some(now) = Snapshot::take() else {
            return;
        };
        let mut known = shared.known();
        known.server = answer.err().map(|error| error.description());
        known.history.note(Instant::now(), now, took);
    }
}

/// Reads the keys again and again. Once a key is in another state, what was counted and checked before says
/// nothing about it.
async fn watch_keys(shared: Arc<Shared>, resources: Arc<Resources>) {
    let mut tick = interval(KEYS_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut is_first = true;
    loop {
        tick.tick().await;
        let view = KeysView::read(&resources).await;
        let has_changed = {
            let mut known = shared.known();
            let has_changed = known.keys.states != view.states;
            known.keys = view;
            has_changed
        };
        if has_changed && !is_first {
            shared.check_again();
        }
        is_first = false;
    }
}
