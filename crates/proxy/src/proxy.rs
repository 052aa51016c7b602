//! The proxy as a whole: opens the listeners, starts the workers, distributes clients, and shuts down gracefully.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use waxseal_log_limit::LineLimit;
use waxseal_metrics::{DisconnectReason, UpstreamError};

use crate::answers;
use crate::certificates::Certificates;
use crate::clients::Clients;
use crate::connection::Report;
use crate::limits::Limits;
use crate::meters::Meters;
use crate::net::health::Health;
use crate::net::listener::{Acceptor, Incoming, Listen, ListenError, ListenTls, Listener};
use crate::net::reply_buffers::ReplyBuffers;
use crate::net::socket::Socket;
use crate::net::upstream::failure::ConnectError;
use crate::net::upstream::{Connected, Upstream};
use crate::net::worker::Command;
use crate::net::workers::Workers;
use crate::protection::Protection;
use crate::refusals::{RefusalLine, Refusals};

/// Interval at which a shutdown checks whether the workers have ended.
const SHUTDOWN_CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// Delay after the system refused to accept a client (too many open files).
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(100);

/// Interval of the readings of the server's limits.
const SERVER_LIMITS_INTERVAL: Duration = Duration::from_secs(60);
/// Delay after the first reading that failed; doubled for each further one.
const MIN_SERVER_LIMITS_RETRY_DELAY: Duration = Duration::from_secs(1);
/// Delay of a reading after a lane has ended.
const SERVER_LIMITS_DELAY: Duration = Duration::from_millis(100);
/// Interval at which pending lines about refused requests are written.
const REFUSAL_LINES_INTERVAL: Duration = Duration::from_secs(1);
/// Minimum time between two log lines about clients that cannot be accepted.
const ACCEPT_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The sharing of upstream connections between clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Each client has a dedicated upstream connection.
    Dedicated,
    /// Clients share lanes, and use a dedicated connection only as long as they need one.
    Shared,
    /// Clients begin on a lane, and keep a dedicated connection once they have needed one.
    #[default]
    Auto,
}

/// The settings of a proxy.
pub struct Settings {
    /// The addresses to listen on.
    pub listen: Vec<Listen>,
    /// The certificates of listeners with TLS.
    pub listen_tls: Option<ListenTls>,
    /// The server.
    pub upstream: Arc<Upstream>,
    /// The sharing of upstream connections between clients.
    pub sharing: Sharing,
    /// Lanes of one worker for each protocol version.
    pub lanes: usize,
    /// Number of worker threads.
    pub workers: usize,
    /// Bounds on connections, memory and time.
    pub limits: Limits,
    /// The protected records and their keys.
    pub protection: Arc<Protection>,
    /// Called for values that do not open.
    pub report: Report,
    /// Time for requests under way at a shutdown.
    pub grace: Duration,
}

/// The state that all workers share.
pub(crate) struct Shares {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) sharing: Sharing,
    pub(crate) lanes: usize,
    pub(crate) limits: Limits,
    pub(crate) protection: Arc<Protection>,
    pub(crate) report: Report,
    pub(crate) clients: Arc<Clients>,
    pub(crate) buffers: ReplyBuffers,
    /// Notified when a lane has ended: the server may have other limits now.
    pub(crate) lane_ended: Notify,
    /// Held while the metric of suspects is set, so that an older number never replaces a newer one.
    pub(crate) suspects_metric: Mutex<()>,
}

/// The result of an attempt to read the server's limits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LimitsReading {
    Read,
    /// The user of the proxy may not read them.
    Refused,
    /// The server was not reached.
    Failed,
}

impl Shares {
    /// Connects to the server.
    pub(crate) async fn connect(&self) -> std::io::Result<Socket> {
        let connected = self.upstream.connect(self.limits.connect).await;
        if let Err(error) = &connected {
            self.upstream_failed(ConnectError::from(error).metric());
        }
        connected.map(|connected| self.socket(connected))
    }

    /// Connects to the server and logs in. Returns `None` if that fails: the client that needs a connection connects
    /// again, and gets the error.
    pub(crate) async fn connect_and_log_in(&self) -> Option<Socket> {
        let connected = self.upstream.log_in(self.limits.connect).await.ok()?;
        Some(self.socket(connected))
    }

    fn socket(&self, connected: Connected) -> Socket {
        let Connected {
            stream,
            local,
            epoch,
        } = connected;
        let meters = self.protection.metered();
        let metrics = meters.map(|meters| meters.traffic.upstream.clone());
        Socket::new(stream, metrics)
            .with_local(local)
            .for_server(epoch, self.limits.stalled)
    }

    /// Reads the server's limits, if the server can be reached.
    async fn read_server_limits(&self) -> LimitsReading {
        match self.upstream.settings(self.limits.connect).await {
            Ok(settings) => {
                self.protection.update_server_limits(&settings);
                match settings.is_refused {
                    true => LimitsReading::Refused,
                    false => LimitsReading::Read,
                }
            }
            Err(_) => LimitsReading::Failed,
        }
    }

    /// Keeps the server's limits up to date: `CONFIG SET` changes them, and another server may answer at the same
    /// address.
    async fn follow_server_limits(&self, mut last: LimitsReading) {
        let mut delay = MIN_SERVER_LIMITS_RETRY_DELAY;
        loop {
            let next = async {
                match last {
                    LimitsReading::Read => sleep(SERVER_LIMITS_INTERVAL).await,
                    LimitsReading::Failed => sleep(delay).await,
                    // Each further attempt would be an entry in the server's ACL log.
                    LimitsReading::Refused => std::future::pending().await,
                }
            };
            tokio::select! {
                () = next => {}
                () = self.lane_ended.notified() => sleep(SERVER_LIMITS_DELAY).await,
            }
            delay = match last {
                LimitsReading::Failed => (delay * 2).min(SERVER_LIMITS_INTERVAL),
                _ => MIN_SERVER_LIMITS_RETRY_DELAY,
            };
            last = self.read_server_limits().await;
        }
    }

    /// True if clients may share connections to the server.
    pub(crate) fn shares_connections(&self) -> bool {
        self.sharing != Sharing::Dedicated
            && !self.upstream.clients_authenticate
            && !self.protection.server_limits().limits_connections()
    }

    /// Counts a connection to the server that failed or ended.
    pub(crate) fn upstream_failed(&self, error: UpstreamError) {
        if let Some(meters) = self.protection.metered() {
            meters.traffic.upstream_failed(error);
        }
    }

    /// Counts a lane on which a reply is late.
    pub(crate) fn add_suspect(&self) {
        self.upstream.health.add_suspect();
        self.set_suspects_metric();
    }

    /// Counts a lane on which no reply is late any more.
    pub(crate) fn remove_suspect(&self) {
        self.upstream.health.remove_suspect();
        self.set_suspects_metric();
    }

    fn set_suspects_metric(&self) {
        if let Some(meters) = self.protection.metered() {
            let guard = self.suspects_metric.lock();
            let _guard = guard.unwrap_or_else(PoisonError::into_inner);
            meters.traffic.set_suspects(self.upstream.health.suspects());
        }
    }

    /// Handles an error of role on a connection of this epoch. Returns true if connections are switched because of it.
    pub(crate) fn switch(&self, epoch: u64, word: &'static str) -> bool {
        if self.sharing == Sharing::Dedicated {
            return false;
        }
        let meters = self.protection.metered().cloned();
        Health::switch(&self.upstream, epoch, word, move || {
            if let Some(meters) = meters {
                meters.traffic.upstream_switched();
            }
        })
    }

    /// True if a connection of this epoch was opened before the last switch.
    pub(crate) fn is_outdated(&self, epoch: u64) -> bool {
        self.upstream.health.is_outdated(epoch)
    }

    /// Counts a client that the proxy disconnects.
    pub(crate) fn disconnected(&self, reason: DisconnectReason) {
        if let Some(meters) = self.protection.metered() {
            meters.traffic.disconnected(reason);
        }
    }
}

/// A proxy that listens.
pub struct Proxy {
    listeners: Vec<Listener>,
    certificates: Arc<Certificates>,
    shares: Arc<Shares>,
    /// The result of the first reading of the server's limits.
    limits_reading: LimitsReading,
    workers: Workers,
    connections: usize,
    meters: Option<Arc<Meters>>,
    grace: Duration,
}

/// The result of a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Connections on which something was still under way when the grace period was over.
    pub cut: usize,
}

impl Proxy {
    /// Opens the listeners and starts the workers.
    pub async fn open(settings: Settings) -> Result<Self, ListenError> {
        let acceptor = settings.listen_tls.as_ref().map(Acceptor::open);
        let acceptor = acceptor.transpose()?.map(Arc::new);
        let mut listeners = Vec::new();
        for listen in &settings.listen {
            listeners.push(Listener::open(listen, acceptor.as_ref()).await?);
        }
        let certificates = Certificates::new(acceptor.as_ref(), &settings.upstream);
        let meters = settings.protection.metered().cloned();
        let clients = Arc::new(Clients::new(settings.upstream.user()));
        let limits = settings.limits;
        let bounds = (limits.client_buffer, limits.total_buffer);
        let shares = Arc::new(Shares {
            buffers: ReplyBuffers::new(bounds, clients.clone(), meters.clone()),
            clients,
            lane_ended: Notify::new(),
            suspects_metric: Mutex::default(),
            upstream: settings.upstream,
            sharing: settings.sharing,
            lanes: settings.lanes.max(1),
            limits: settings.limits,
            protection: settings.protection,
            report: settings.report,
        });
        let limits_reading = shares.read_server_limits().await;
        let workers = Workers::start(shares.clone(), settings.workers.max(1)).map_err(|error| {
            ListenError::Address {
                at: "a new thread".to_owned(),
                error,
            }
        })?;
        Ok(Self {
            listeners,
            certificates: Arc::new(certificates),
            shares,
            limits_reading,
            workers,
            connections: settings.limits.connections,
            meters,
            grace: settings.grace,
        })
    }

    /// The certificates of listeners and for the server, to be read again while it runs.
    #[must_use]
    pub fn certificates(&self) -> Arc<Certificates> {
        self.certificates.clone()
    }

    /// The addresses that it listens on, with the actual ports.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.listeners.iter().map(|listener| listener.at.as_str())
    }

    /// Serves clients until `stop`. Then accepts no more of them, completes the requests under way, and closes the
    /// remaining connections when the grace period is over.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> Ended {
        let mut accepting = JoinSet::new();
        let (sender, incoming) = channel(64);
        let (shares, reading) = (self.shares, self.limits_reading);
        let protection = shares.protection.clone();
        let refusals = protection.refusals().clone();
        accepting.spawn(async move { shares.follow_server_limits(reading).await });
        accepting.spawn(async move { log_refusals(&refusals).await });
        for listener in self.listeners {
            accepting.spawn(keep_accepting(listener, sender.clone()));
        }
        let meters = self.meters.as_deref();
        tokio::select! {
            () = distribute(incoming, &mut self.workers, self.connections, meters) => {}
            () = stop => {}
        }
        // Closes the listeners: new clients connect to another proxy.
        accepting.shutdown().await;
        self.workers.broadcast(|| Command::Drain);
        let end = Instant::now() + self.grace;
        while Instant::now() < end && !self.workers.is_done() {
            sleep(SHUTDOWN_CHECK_INTERVAL).await;
        }
        let cut = self.workers.load();
        if let Some(meters) = meters {
            meters
                .traffic
                .disconnected_many(DisconnectReason::Stopping, cut);
        }
        self.workers.stop();
        let lines = protection
            .refusals()
            .due_lines(Instant::now().into_std(), true);
        lines.iter().for_each(RefusalLine::log);
        Ended { cut }
    }
}

/// Logs refused requests whose lines were suppressed.
async fn log_refusals(refusals: &Refusals) {
    loop {
        sleep(REFUSAL_LINES_INTERVAL).await;
        let lines = refusals.due_lines(Instant::now().into_std(), false);
        lines.iter().for_each(RefusalLine::log);
    }
}

/// Accepts clients while the workers take them. Starts again after a panic: a listener that does not accept lets clients
/// connect and wait.
async fn keep_accepting(listener: Listener, clients: Sender<Incoming>) {
    while AssertUnwindSafe(accept(&listener, &clients))
        .catch_unwind()
        .await
        .is_err()
    {
        tracing::error!("accepting clients on {} is started again", listener.at);
        sleep(ACCEPT_RETRY_DELAY).await;
    }
}

async fn accept(listener: &Listener, clients: &Sender<Incoming>) {
    let mut log_limit = LineLimit::new(1, ACCEPT_LOG_INTERVAL);
    loop {
        match listener.accept().await {
            Ok(client) => {
                if clients.send(client).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                if log_limit.admit(Instant::now().into_std()).is_some() {
                    tracing::warn!("clients cannot be accepted: {error}");
                }
                sleep(ACCEPT_RETRY_DELAY).await;
            }
        }
    }
}

/// Gives each client to the worker with the fewest clients.
async fn distribute(
    mut incoming: Receiver<Incoming>,
    workers: &mut Workers,
    max_clients: usize,
    meters: Option<&Meters>,
) {
    while let Some(client) = incoming.recv().await {
        if workers.load() >= max_clients {
            client.turn_away(answers::TOO_MANY);
            if let Some(meters) = meters {
                meters.traffic.turned_away();
            }
            continue;
        }
        workers.serve(client);
    }
}
