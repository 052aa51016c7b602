//! The figures of the status page: gathered in the background and put together on request. Counted figures come from a
//! snapshot of the metrics, so that page and metrics agree.

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
use waxseal_proxy::Upstream;

use crate::now_ms;
use crate::panics::spawn_restarting;
use crate::refusals::RefusalRecord;
use crate::resources::Resources;
use counting::Counted;
use history::{History, SAMPLE_INTERVAL};
use keys::KeysView;

/// The time after which a server that does not answer counts as unreachable.
const SERVER_TIMEOUT: Duration = Duration::from_secs(1);
/// The interval of reading the keyring and the reports of its processes.
const KEYS_INTERVAL: Duration = Duration::from_secs(5);

/// The content of a status page, as the admin address needs it.
pub trait Source: Send + Sync {
    /// The current status.
    fn status(&self) -> Status;

    /// Starts to check and count everything, for a reader of the page.
    fn check(&self) -> CheckResponse;
}

/// The response to a reader who wants everything checked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckResponse {
    /// The checks start.
    Accepted,
    /// Checks are running or started just now; the next may start after this number of seconds.
    TooSoon(u64),
    /// The store and the keys are not open yet.
    NotReady,
}

/// The parts of the status that only a process with clients has.
#[derive(Clone)]
pub struct Clients {
    /// The server that clients are connected to.
    pub upstream: Arc<Upstream>,
    /// The requests that were refused.
    pub refusals: RefusalRecord,
}

/// Gathers the figures until it is dropped.
pub struct Watch {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

struct Shared {
    process: Process,
    /// `None` for a process without clients.
    clients: Option<Clients>,
    known: Mutex<Known>,
    /// Wakes the counting task.
    count: Notify,
    /// Wakes the doctor.
    doctor: Notify,
}

/// The figures gathered so far.
#[derive(Default)]
struct Known {
    history: History,
    /// The reason why the server cannot be used, from the last check.
    server_error: Option<&'static str>,
    /// The reason why the process does not serve clients yet.
    waits_for: Option<String>,
    /// True once store and keys are open.
    started: bool,
    /// True once no new clients are accepted.
    stopping: bool,
    keys: KeysView,
    /// True if records are counted regularly, not only on demand.
    counts_regularly: bool,
    counted: Counted,
    doctor: Option<Doctor>,
    /// True while the doctor's checks run.
    is_checking: bool,
    /// True if the last run of the doctor's checks did not end in time.
    doctor_hangs: bool,
    /// The time at which a reader last started the checks.
    last_request: Option<Instant>,
}

impl Watch {
    /// Starts with the parts that need neither keys nor store. The recorder must be installed before.
    #[must_use]
    pub fn start(process: Process, clients: Option<Clients>) -> Self {
        let shared = Arc::new(Shared {
            process,
            clients,
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

    /// The content of the page.
    #[must_use]
    pub fn source(&self) -> Arc<dyn Source> {
        self.shared.clone()
    }

    /// Shows the reason why the process does not serve clients yet.
    pub fn set_waiting(&self, reason: &str) {
        self.shared.known().waits_for = Some(reason.to_owned());
    }

    /// Shows that the process is finishing the requests in progress.
    pub fn set_stopping(&self) {
        self.shared.known().stopping = true;
    }

    /// Starts the remaining tasks, once store and keys are open. Without a `count_interval` records are counted on demand
    /// only.
    pub fn follow(&mut self, resources: &Arc<Resources>, count_interval: Option<Duration>) {
        {
            let mut known = self.shared.known();
            known.started = true;
            known.counts_regularly = count_interval.is_some();
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
                counting::run(counting.0.clone(), counting.1.clone(), count_interval)
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
                clients: self.clients.as_ref().map(|_| match known.server_error {
                    Some(reason) => Err(format!("the server cannot be used: {reason}")),
                    None => Ok(()),
                }),
            },
        }
    }
}

impl Source for Shared {
    fn status(&self) -> Status {
        let now = Snapshot::take().unwrap_or_default();
        let refusals = self.clients.as_ref().map(|clients| &clients.refusals);
        let refused = refusals.map(RefusalRecord::refused);
        let known = self.known();
        let has_clients = self.clients.is_some();
        Status {
            process: self.process.clone(),
            now_ms: now_ms(),
            phase: self.phase(&known),
            warnings: warnings::find(&now, &known, has_clients),
            figures: figures::figures(&now, has_clients),
            coverage: known.counted.coverage(),
            keys: known.keys.shown(&known.counted, &now),
            traffic: known.history.traffic(has_clients),
            refused,
            trial: refusals.and_then(RefusalRecord::trial),
            sweeps: figures::sweeps(&now),
            doctor: known.doctor.clone(),
            is_checking: known.is_checking,
        }
    }

    fn check(&self) -> CheckResponse {
        self.check_for_reader()
    }
}

/// Records a sample of the history and checks the server, at every interval.
async fn sample(shared: Arc<Shared>) {
    let mut tick = interval(SAMPLE_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let started = Instant::now();
        let answer = match &shared.clients {
            Some(clients) => clients.upstream.check(SERVER_TIMEOUT).await,
            None => Ok(()),
        };
        let took = answer.is_ok().then(|| started.elapsed());
        let Some(now) = Snapshot::take() else {
            return;
        };
        let mut known = shared.known();
        known.server_error = answer.err().map(|error| error.description());
        known.history.record(Instant::now(), now, took);
    }
}

/// Reads the keys at every interval. When a key has changed its state, earlier counts and checks are outdated and are
/// repeated.
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
