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
use super::lane::Lane;
use super::lane::end::LaneEnd;
use super::listener::Incoming;
use super::spares::Spares;
use crate::connection::Identity;
use crate::pending::Protocol;
use crate::proxy::Shares;

/// How often it is looked whether spare connections were silent for too long.
const SPARES_INTERVAL: Duration = Duration::from_secs(1);
/// Lanes of one kind that may be suspect at once before new clients join the newest of them: where the server stalls,
/// none is better than another.
const MAX_SUSPECT_LANES: usize = 4;
/// Bytes that are read at once. One buffer for all clients of a worker.
const SCRATCH: usize = 256 * 1024;

/// What a worker is told.
pub(crate) enum Order {
    /// A client came.
    Serve(Incoming),
    /// Close every connection as soon as nothing is under way on it; end when all are closed.
    Drain,
    /// End now.
    Stop,
    /// Meet a bug.
    #[cfg(test)]
    Panic,
}

/// The handle to a worker.
pub(crate) struct Handle {
    orders: UnboundedSender<Order>,
    clients: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

/// What a worker's tasks share.
pub(crate) struct Worker {
    pub(crate) settings: Arc<Shares>,
    /// Where bytes are read to, by whoever's turn it is.
    pub(crate) scratch: RefCell<Vec<u8>>,
    lanes: RefCell<HashMap<Identity, Vec<Rc<Lane>>>>,
    /// Whether the server has a lane of RESP3.
    speaks_resp3: Cell<bool>,
    /// Upstream connections that wait for the next client that leaves its lane.
    pub(crate) spares: Spares,
    clients: RefCell<HashMap<u64, Rc<Shared>>>,
    next_id: Cell<u64>,
    draining: Cell<bool>,
    count: Arc<AtomicUsize>,
}

/// One of a worker's clients, until it is dropped.
struct Counted(Arc<AtomicUsize>, UnboundedSender<()>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        // Nobody waits for it where the worker ends.
        let _ = self.1.send(());
    }
}

/// The runtime of a worker. It can be dropped anywhere: where no thread could be started for it, that is on another
/// runtime. A name that is being resolved is not waited for.
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
        let (orders, received) = unbounded_channel();
        let clients = Arc::new(AtomicUsize::new(0));
        let count = clients.clone();
        let runtime = EventLoop::new()?;
        let thread = std::thread::Builder::new()
            .name(format!("worker {index}"))
            .spawn(move || {
                let worker = Rc::new(Worker::new(settings, count));
                let local = LocalSet::new();
                runtime.run(&local, worker.obey(received));
                drop(local);
                drop(runtime);
            })?;
        Ok(Self {
            orders,
            clients,
            thread,
        })
    }

    pub(crate) fn order(&self, order: Order) {
        // A worker that is gone has no clients to lose.
        let _ = self.orders.send(order);
    }

    pub(crate) fn serve(&self, incoming: Incoming) {
        self.clients.fetch_add(1, Ordering::Relaxed);
        self.order(Order::Serve(incoming));
    }

    /// How many clients it has.
    pub(crate) fn load(&self) -> usize {
        self.clients.load(Ordering::Relaxed)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.thread.is_finished()
    }

    pub(crate) fn join(self) {
        // A worker that panicked has said so.
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
            spares: Spares::default(),
            clients: RefCell::default(),
            next_id: Cell::new(0),
            draining: Cell::new(false),
            count,
        }
    }

    async fn obey(self: Rc<Self>, mut orders: UnboundedReceiver<Order>) {
        let (ended, mut endings) = unbounded_channel();
        let mut spares_due = interval_at(Instant::now() + SPARES_INTERVAL, SPARES_INTERVAL);
        loop {
            if self.draining.get() && self.count.load(Ordering::Relaxed) == 0 {
                return;
            }
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Serve(incoming)) => {
                        let worker = self.clone();
                        let counted = Counted(self.count.clone(), ended.clone());
                        tokio::task::spawn_local(async move {
                            client::serve(&worker, incoming).await;
                            drop(counted);
                        });
                    }
                    Some(Order::Drain) => {
                        self.draining.set(true);
                        for client in self.clients.borrow().values() {
                            client.wake();
                        }
                    }
                    Some(Order::Stop) | None => return,
                    #[cfg(test)]
                    Some(Order::Panic) => panic!("a bug, planted by a test"),
                },
                Some(()) = endings.recv() => {}
                _ = spares_due.tick() => self.spares.keep_alive(&self),
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

    /// The lane with the fewest clients, or a new one. `None` where there are no such lanes: where the
    /// server does not speak the protocol, where clients log in themselves, and where it limits single connections:
    /// one client could have the server close the lane of all.
    pub(crate) fn lane(self: &Rc<Self>, identity: Identity) -> Option<Rc<Lane>> {
        let speaks = identity.protocol == Protocol::Resp2 || self.speaks_resp3.get();
        if !speaks || !self.settings.shares_connections() {
            return None;
        }
        let mut all = self.lanes.borrow_mut();
        let lanes = all.entry(identity).or_default();
        let lanes_open = lanes.iter().filter(|lane| !lane.is_outdated(self));
        let (suspect, sound): (Vec<_>, Vec<_>) = lanes_open.partition(|lane| lane.is_suspect());
        let freest = sound.iter().min_by_key(|lane| lane.load());
        let full = sound.len() >= self.settings.lanes;
        if let Some(lane) = freest
            && (full || lane.load() == 0)
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

    /// How many clients are on lanes.
    pub(crate) fn clients_on_lanes(&self) -> usize {
        let lanes = self.lanes.borrow();
        lanes.values().flatten().map(|lane| lane.load()).sum()
    }

    /// Whether clients go over lanes at all.
    pub(crate) fn has_lanes(&self) -> bool {
        self.settings.shares_connections()
    }

    /// The lane is no more.
    pub(crate) fn forget_lane(&self, lane: &Rc<Lane>, end: LaneEnd) {
        if let Some(lanes) = self.lanes.borrow_mut().get_mut(&lane.identity) {
            lanes.retain(|other| !Rc::ptr_eq(other, lane));
        }
        if lane.identity.protocol == Protocol::Resp3 && end.is_for_good() {
            self.speaks_resp3.set(false);
        }
        self.settings.lane_ended.notify_one();
        match end {
            LaneEnd::Stalled(silence) => {
                let seconds = silence.as_secs_f64();
                tracing::warn!(
                    "a connection to the store that clients shared is closed: a reply was due for {seconds:.1} s, \
                     while the store answered on another connection"
                );
            }
            LaneEnd::Retired => {}
            _ if lane.load() > 0 => {
                let why = end.description();
                tracing::warn!("a connection to the store that clients shared has ended: {why}");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::EventLoop;

    /// As where the system refuses a thread.
    #[tokio::test]
    async fn an_event_loop_that_got_no_thread_is_dropped_on_another_one() {
        drop(EventLoop::new().unwrap());
    }
}
