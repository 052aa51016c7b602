//! The proxy as a whole: opens the listeners, starts the workers, hands clients out, and ends in good
//! order.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::Notify;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use waxseal_metrics::{DisconnectReason, UpstreamError};

use crate::answers;
use crate::certificates::Certificates;
use crate::clients::Clients;
use crate::connection::Report;
use crate::limits::Limits;
use crate::meters::Meters;
use crate::net::crew::Crew;
use crate::net::health::Health;
use crate::net::listener::{Acceptor, Incoming, Listen, ListenError, ListenTls, Listener};
use crate::net::reply_buffers::ReplyBuffers;
use crate::net::socket::Socket;
use crate::net::upstream::{Connected, Upstream, kind};
use crate::net::worker::Order;
use crate::protection::Protection;
use crate::refusals::{RefusalLine, Refusals};

/// How often is looked whether the last clients have gone.
const LOOK: Duration = Duration::from_millis(20);
/// How long accepting rests after the system refused (too many open files).
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// Between two readings of the server's limits.
const SERVER_LIMITS_INTERVAL: Duration = Duration::from_secs(60);
/// How long after a reading that failed the next one comes at first; then twice as long each time.
const MIN_SERVER_LIMITS_RETRY_DELAY: Duration = Duration::from_secs(1);
/// How long a server is left alone after a shared connection has ended.
const SERVER_LIMITS_DELAY: Duration = Duration::from_millis(100);
/// Interval at which pending lines about refused requests are written.
const REFUSAL_LINES_INTERVAL: Duration = Duration::from_secs(1);
/// Between two lines of the log about clients that are not accepted.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How clients share upstream connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Each client has an upstream connection of its own.
    Dedicated,
    /// Clients share lanes, and take a connection of their own only as long as they need one.
    Shared,
    /// Clients begin on a lane, and take a connection of their own, for good, when they first need
    /// one.
    #[default]
    Auto,
}

/// Everything that a proxy is told.
pub struct Settings {
    /// Where clients come in.
    pub listen: Vec<Listen>,
    /// For listeners with TLS.
    pub listen_tls: Option<ListenTls>,
    /// Where the server is.
    pub upstream: Arc<Upstream>,
    /// How clients share upstream connections.
    pub sharing: Sharing,
    /// Lanes of one worker for each protocol version.
    pub lanes: usize,
    /// Threads.
    pub workers: usize,
    /// Bounds.
    pub limits: Limits,
    /// What is protected, and how.
    pub protection: Arc<Protection>,
    /// Told of values that do not open.
    pub report: Report,
    /// How long requests that are under way may take at the end.
    pub grace: Duration,
}

/// What every worker knows.
pub(crate) struct Shares {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) sharing: Sharing,
    pub(crate) lanes: usize,
    pub(crate) limits: Limits,
    pub(crate) protection: Arc<Protection>,
    pub(crate) report: Report,
    pub(crate) clients: Arc<Clients>,
    pub(crate) buffers: ReplyBuffers,
    /// A shared connection has ended: the server may not be as it was.
    pub(crate) lane_ended: Notify,
    /// Held while the number of suspects is shown, so that an older one never replaces a newer one.
    pub(crate) showing_suspects: Mutex<()>,
}

/// What became of an attempt to read the server's limits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LimitsReading {
    Told,
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
            self.failed(kind(error));
        }
        connected.map(|connected| self.counted(connected))
    }

    /// Connects to the server and logs in. `None` where that fails: the client that needs a connection
    /// then connects itself, and is told why it cannot.
    pub(crate) async fn connect_and_log_in(&self) -> Option<Socket> {
        let connected = self.upstream.log_in(self.limits.connect).await.ok()?;
        Some(self.counted(connected))
    }

    fn counted(&self, connected: Connected) -> Socket {
        let Connected {
            stream,
            local,
            epoch,
        } = connected;
        let counted = self.protection.metered();
        let counted = counted.map(|meters| meters.traffic.upstream.clone());
        Socket::new(stream, counted)
            .with_local(local)
            .for_server(epoch, self.limits.stalled)
    }

    /// Reads the server's limits, where it can be reached.
    async fn read_server_limits(&self) -> LimitsReading {
        match self.upstream.settings(self.limits.connect).await {
            Ok(settings) => {
                self.protection.update_server_limits(&settings);
                match settings.is_refused {
                    true => LimitsReading::Refused,
                    false => LimitsReading::Told,
                }
            }
            Err(_) => LimitsReading::Failed,
        }
    }

    /// Follows the server's limits: `CONFIG SET` changes them, and another server may answer at the same address.
    async fn follow_server_limits(&self, mut last: LimitsReading) {
        let mut delay = MIN_SERVER_LIMITS_RETRY_DELAY;
        loop {
            let next = async {
                match last {
                    LimitsReading::Told => sleep(SERVER_LIMITS_INTERVAL).await,
                    LimitsReading::Failed => sleep(delay).await,
                    // Each refusal stands in the server's log of denied commands.
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

    /// Whether clients may share connections to the server.
    pub(crate) fn shares_connections(&self) -> bool {
        self.sharing != Sharing::Dedicated
            && !self.upstream.clients_authenticate
            && !self.protection.server_limits().limits_connections()
    }

    /// A connection to the server did not come about, or ended.
    pub(crate) fn failed(&self, error: UpstreamError) {
        if let Some(meters) = self.protection.metered() {
            meters.traffic.upstream_failed(error);
        }
    }

    /// A reply is late on one more of the shared connections.
    pub(crate) fn add_suspect(&self) {
        self.upstream.health.add_suspect();
        self.count_suspects();
    }

    /// That is so no more.
    pub(crate) fn remove_suspect(&self) {
        self.upstream.health.remove_suspect();
        self.count_suspects();
    }

    fn count_suspects(&self) {
        if let Some(meters) = self.protection.metered() {
            let showing = self.showing_suspects.lock();
            let _showing = showing.unwrap_or_else(PoisonError::into_inner);
            meters.traffic.set_suspects(self.upstream.health.suspects());
        }
    }

    /// The server said that it is not one to write to on a connection of this epoch; whether connections are
    /// switched therefore.
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

    /// Whether a connection of this epoch was opened before the last switch.
    pub(crate) fn is_outdated(&self, epoch: u64) -> bool {
        self.upstream.health.is_outdated(epoch)
    }

    /// A client's connection is ended.
    pub(crate) fn cut(&self, cut: DisconnectReason) {
        if let Some(meters) = self.protection.metered() {
            meters.traffic.disconnected(cut);
        }
    }
}

/// A proxy that listens.
pub struct Proxy {
    listeners: Vec<Listener>,
    certificates: Arc<Certificates>,
    shares: Arc<Shares>,
    /// How the first reading of the server's limits ended.
    limits_reading: LimitsReading,
    crew: Crew,
    connections: usize,
    meters: Option<Arc<Meters>>,
    grace: Duration,
}

/// How it ended.
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
            showing_suspects: Mutex::default(),
            upstream: settings.upstream,
            sharing: settings.sharing,
            lanes: settings.lanes.max(1),
            limits: settings.limits,
            protection: settings.protection,
            report: settings.report,
        });
        let limits_reading = shares.read_server_limits().await;
        let crew = Crew::start(shares.clone(), settings.workers.max(1)).map_err(|error| {
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
            crew,
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

    /// Where it listens, with the ports that it got.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.listeners.iter().map(|listener| listener.at.as_str())
    }

    /// Serves clients until `stop`; then takes no more of them, lets what is under way come to its
    /// end, and closes what has not when the grace period is over.
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
            () = hand_out(incoming, &mut self.crew, self.connections, meters) => {}
            () = stop => {}
        }
        // Closes the listeners: whoever comes now goes elsewhere.
        accepting.shutdown().await;
        self.crew.order_all(|| Order::Drain);
        let end = Instant::now() + self.grace;
        while Instant::now() < end && !self.crew.is_done() {
            sleep(LOOK).await;
        }
        let cut = self.crew.load();
        if let Some(meters) = meters {
            meters
                .traffic
                .disconnected_many(DisconnectReason::Stopping, cut);
        }
        self.crew.stop();
        let lines = protection
            .refusals()
            .due_lines(Instant::now().into_std(), true);
        lines.iter().for_each(RefusalLine::log);
        Ended { cut }
    }
}

/// Logs refused requests that had no line when they came.
async fn log_refusals(refusals: &Refusals) {
    loop {
        sleep(REFUSAL_LINES_INTERVAL).await;
        let lines = refusals.due_lines(Instant::now().into_std(), false);
        lines.iter().for_each(RefusalLine::log);
    }
}

/// Accepts clients while the workers take them, and again after a panic: a listener
/// that nobody accepts from lets clients connect and wait.
async fn keep_accepting(listener: Listener, clients: Sender<Incoming>) {
    while AssertUnwindSafe(accept(&listener, &clients))
        .catch_unwind()
        .await
        .is_err()
    {
        tracing::error!("accepting clients on {} begins again", listener.at);
        sleep(RETRY_DELAY).await;
    }
}

async fn accept(listener: &Listener, clients: &Sender<Incoming>) {
    let mut last_logged: Option<Instant> = None;
    loop {
        match listener.accept().await {
            Ok(client) => {
                if clients.send(client).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                let is_due = |last: Instant| last.elapsed() >= LOG_INTERVAL;
                if last_logged.is_none_or(is_due) {
                    tracing::warn!("clients cannot be accepted: {error}");
                    last_logged = Some(Instant::now());
                }
                sleep(RETRY_DELAY).await;
            }
        }
    }
}

/// Gives each client to the worker that has the fewest.
async fn hand_out(
    mut incoming: Receiver<Incoming>,
    crew: &mut Crew,
    most: usize,
    meters: Option<&Meters>,
) {
    while let Some(client) = incoming.recv().await {
        if crew.load() >= most {
            client.turn_away(answers::TOO_MANY);
            if let Some(meters) = meters {
                meters.traffic.turned_away();
            }
            continue;
        }
        crew.serve(client);
    }
}
