//! A worker: one thread, one event loop, its clients and its lanes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;
use tokio::time::{Instant, interval_at};

use super::client::{self, Shared};
use super::idle_pool::IdlePool;
use super::lane::Lane;
use super::lane::end::LaneEnd;
use super::listener::Incoming;
use crate::connection::Identity;
use crate::pending::Protocol;
use crate::proxy::Shares;

/// Interval of the checks for pooled connections that were silent for too long.
const IDLE_CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// Lanes of one kind that may be suspect at once before new clients join the newest of them: where the server stalls,
/// none is better than another.
const MAX_SUSPECT_LANES: usize = 4;
/// Bytes that are read at once. One buffer serves all clients of a worker.
const SCRATCH: usize = 256 * 1024;

/// A command to a worker.
pub(crate) enum Command {
    /// Serve a new client.
    Serve(Incoming),
    /// Close every connection as soon as nothing is under way on it; end when all are closed.
    Drain,
    /// End now.
    Stop,
    /// Panic, as by a bug.
    #[cfg(test)]
    Panic,
}

/// The handle to a worker.
pub(crate) struct Handle {
    commands: UnboundedSender<Command>,
    clients: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

/// The state that a worker's tasks share.
pub(crate) struct Worker {
    pub(crate) settings: Arc<Shares>,
    /// The buffer into which the task that runs reads.
    pub(crate) scratch: RefCell<Vec<u8>>,
    lanes: RefCell<HashMap<Identity, Vec<Rc<Lane>>>>,
    /// The server accepts lanes of RESP3, as far as is known.
    speaks_resp3: Cell<bool>,
    /// Upstream connections for the next clients that leave their lanes.
    pub(crate) idle_pool: IdlePool,
    clients: RefCell<HashMap<u64, Rc<Shared>>>,
    next_id: Cell<u64>,
    draining: Cell<bool>,
    count: Arc<AtomicUsize>,
}

/// Counts one of a worker's clients until it is dropped.
struct ClientCount(Arc<AtomicUsize>, UnboundedSender<()>);

impl Drop for ClientCount {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        // A worker that has ended does not receive it.
        let _ = self.1.send(());
    }
}

/// The runtime of a worker. It can be dropped on any thread: if no thread could be started for it, it is dropped on
/// another runtime. Name resolutions under way are not waited for.
struct EventLoop(Option<Runtime>);

impl EventLoop {
    fn new() -> std::io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self(Some(runtime)))
    }

    fn run(&self, local: &LocalSet, task: impl Future<Output = ()>) {
        if let Some(runtime) = &self.0 {
            local.block_on(runtime, task);
        }
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Handle {
    /// Starts a worker's thread.
    pub(crate) fn start(settings: Arc<Shares>, index: usize) -> std::io::Result<Self> {
        let (commands, received) = unbounded_channel();
        let clients = Arc::new(AtomicUsize::new(0));
        let count = clients.clone();
        let runtime = EventLoop::new()?;
        let thread = std::thread::Builder::new()
            .name(format!("worker {index}"))
            .spawn(move || {
                let worker = Rc::new(Worker::new(settings, count));
                let local = LocalSet::new();
                runtime.run(&local, worker.run(received));
                drop(local);
                drop(runtime);
            })?;
        Ok(Self {
            commands,
            clients,
            thread,
        })
    }

    pub(crate) fn send(&self, command: Command) {
        // A worker that has ended has no clients to lose.
        let _ = self.commands.send(command);
    }

    pub(crate) fn serve(&self, incoming: Incoming) {
        self.clients.fetch_add(1, Ordering::Relaxed);
        self.send(Command::Serve(incoming));
    }

    /// The number of its clients.
    pub(crate) fn load(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.thread.is_finished()
    }

    pub(crate) fn join(self) {
        // The panic of a worker has been logged.
        let _ = self.thread.join();
    }
}

impl Worker {
    fn new(settings: Arc<Shares>, count: Arc<AtomicUsize>) -> Self {
        Self {
            settings,
            scratch: RefCell::new(vec![0; SCRATCH]),
            lanes: RefCell::default(),
            speaks_resp3: Cell::new(true),
            idle_pool: IdlePool::default(),
            clients: RefCell::default(),
            next_id: Cell::new(0),
            draining: Cell::new(false),
            count,
        }
    }

    async fn run(self: Rc<Self>, mut commands: UnboundedReceiver<Command>) {
        let (ended, mut endings) = unbounded_channel();
        let first = Instant::now() + IDLE_CHECK_INTERVAL;
        let mut idle_check = interval_at(first, IDLE_CHECK_INTERVAL);
        loop {
            if self.draining.get() && self.count.load(Ordering::Relaxed) == 0 {
                return;
            }
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Serve(incoming)) => {
                        let worker = self.clone();
                        let count = ClientCount(self.count.clone(), ended.clone());
                        tokio::task::spawn_local(async move {
                            client::serve(&worker, incoming).await;
                            drop(count);
                        });
                    }
                    Some(Command::Drain) => {
                        self.draining.set(true);
                        for client in self.clients.borrow().values() {
                            client.wake();
                        }
                    }
                    Some(Command::Stop) | None => return,
                    #[cfg(test)]
                    Some(Command::Panic) => panic!("a bug, planted by a test"),
                },
                Some(()) = endings.recv() => {}
                _ = idle_check.tick() => self.idle_pool.keep_alive(&self),
            }
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    pub(crate) fn next_id(&self) -> u64 {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        id
    }

    pub(crate) fn enter(&self, client: &Rc<Shared>) {
        self.clients.borrow_mut().insert(client.id, client.clone());
    }

    pub(crate) fn leave(&self, client: &Shared) {
        self.clients.borrow_mut().remove(&client.id);
    }

    /// Returns the lane with the fewest clients, or a new one. `None` if lanes are not possible: the server does not
    /// speak the protocol, clients log in themselves, or the server limits single connections, so that one client could
    /// have it close the lane of all.
    pub(crate) fn lane(self: &Rc<Self>, identity: Identity) -> Option<Rc<Lane>> {
        let is_spoken = identity.protocol == Protocol::Resp2 || self.speaks_resp3.get();
        if !is_spoken || !self.settings.shares_connections() {
            return None;
        }
        let mut all = self.lanes.borrow_mut();
        let lanes = all.entry(identity).or_default();
        let current = lanes.iter().filter(|lane| !lane.is_outdated(self));
        let (suspect, healthy): (Vec<_>, Vec<_>) = current.partition(|lane| lane.is_suspect());
        let least_loaded = healthy.iter().min_by_key(|lane| lane.load());
        let is_full = healthy.len() >= self.settings.lanes;
        if let Some(lane) = least_loaded
            && (is_full || lane.load() == 0)
        {
            return Some((*lane).clone());
        }
        if suspect.len() >= MAX_SUSPECT_LANES
            && let Some(newest) = suspect.last()
        {
            return Some((*newest).clone());
        }
        let lane = Lane::open(self, identity);
        lanes.push(lane.clone());
        Some(lane)
    }

    /// The number of clients on lanes.
    pub(crate) fn clients_on_lanes(&self) -> usize {
        let lanes = self.lanes.borrow();
        lanes.values().flatten().map(|lane| lane.load()).sum()
    }

    /// True if clients use lanes at all.
    pub(crate) fn has_lanes(&self) -> bool {
        self.settings.shares_connections()
    }

    /// Removes a lane that has ended, and logs the reason.
    pub(crate) fn remove_lane(&self, lane: &Rc<Lane>, end: LaneEnd) {
        if let Some(lanes) = self.lanes.borrow_mut().get_mut(&lane.identity) {
            lanes.retain(|other| !Rc::ptr_eq(other, lane));
        }
        if lane.identity.protocol == Protocol::Resp3 && end.is_permanent() {
            self.speaks_resp3.set(false);
        }
        self.settings.lane_ended.notify_one();
        match end {
            LaneEnd::Stalled(silence) => {
                let seconds = silence.as_secs_f64();
                tracing::warn!(
                    "a shared connection to the store is closed: a reply was due for {seconds:.1} s, \
                     while the store answered on another connection"
                );
            }
            LaneEnd::Retired => {}
            _ if lane.load() > 0 => {
                let reason = end.description();
                tracing::warn!("a shared connection to the store has ended: {reason}");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::EventLoop;

    /// This happens if the system refuses a thread.
    #[tokio::test]
    async fn an_event_loop_without_a_thread_can_be_dropped_on_another_runtime() {
        drop(EventLoop::new().unwrap());
    }
}
