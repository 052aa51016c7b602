//! One self-reconnecting connection that many calls share: it is opened when a call needs it, and
//! reopened when it was lost. No command is ever sent twice; whether an interrupted call can be
//! repeated is not known here.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::aio::{MultiplexedConnection, SendError};
use redis::{
    Arg, AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, PushInfo, PushKind, RedisError,
    RedisResult, Value,
};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::connection::{RedisOptions, client};
use super::server_error::from_server;
use crate::error::StoreError;
use crate::url::RedisUrl;

/// The minimum time between two connections that are abandoned because of the server's role: a
/// replica reports it every time.
const SWITCH_INTERVAL: Duration = Duration::from_secs(5);

/// The slowest link supported: large requests and replies extend the response timeout accordingly.
const BYTES_PER_SECOND: u64 = 4 << 20;

/// Why there is no reply.
pub(super) enum Failure {
    /// No connection could be established.
    Connect(RedisError),
    /// The connection ended or was silent.
    Exchange(RedisError),
}

/// A shared connection to a server.
pub(super) struct Wire {
    client: Client,
    /// Set if TLS certificates are needed: their files are read again for each connection, since
    /// they may have been renewed.
    tls_url: Option<Arc<RedisUrl>>,
    options: RedisOptions,
    live: RwLock<Option<Live>>,
    /// Held by the call that connects; the others wait for its result.
    connecting: Mutex<Option<RedisError>>,
    /// How often connecting has failed.
    failures: AtomicU64,
    /// How often it has succeeded.
    connections: AtomicU64,
    /// Bytes of the requests and replies in flight.
    in_flight: Arc<AtomicU64>,
    last_switch: LastSwitch,
}

/// The time a connection was last abandoned because of the server's role.
type LastSwitch = Arc<std::sync::Mutex<Option<Instant>>>;

/// Bytes in flight until this is dropped.
struct InFlight(Arc<AtomicU64>, u64);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// A connection for one caller, which does not reconnect: its state on the server ends with it.
pub(super) struct Session(Live);

impl Session {
    /// Sends many commands, and returns the reply to each.
    pub(super) async fn send_all(&mut self, pipeline: &Pipeline) -> Result<Vec<Value>, Failure> {
        self.0.send_all(pipeline).await
    }

    /// Abandons the connection: it may be in the middle of a transaction, so the next session opens
    /// another one.
    pub(super) fn abandon(&self) {
        self.0.lost.store(true, Ordering::Release);
    }
}

/// A connection that is up, as far as is known.
#[derive(Clone)]
struct Live {
    connection: MultiplexedConnection,
    /// Set as soon as the server hangs up, even while no request is in flight.
    lost: Arc<AtomicBool>,
    last_switch: LastSwitch,
}

impl Live {
    fn observe<T>(&self, answer: &RedisResult<T>) {
        if answer
            .as_ref()
            .is_err_and(RedisError::is_unrecoverable_error)
        {
            self.lost.store(true, Ordering::Release);
        }
    }

    /// Abandons a connection if the server reports that it is not a primary with its data loaded:
    /// after a failover, the address may lead to the new primary.
    fn observe_role(&self, answer: &Value) {
        if !is_wrong_role(answer) {
            return;
        }
        let mut last_switch = self
            .last_switch
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if last_switch.is_none_or(|at| at.elapsed() >= SWITCH_INTERVAL) {
            *last_switch = Some(Instant::now());
            self.lost.store(true, Ordering::Release);
        }
    }

    async fn send_all(&mut self, pipeline: &Pipeline) -> Result<Vec<Value>, Failure> {
        let connection = &mut self.connection;
        let answers = connection
            .send_packed_commands(pipeline, 0, pipeline.len())
            .await;
        self.observe(&answers);
        let answers = answers.map_err(Failure::Exchange)?;
        answers.iter().for_each(|answer| self.observe_role(answer));
        Ok(answers)
    }
}

impl Wire {
    /// Opens nothing yet.
    pub(super) fn new(
        client: Client,
        tls_url: Option<Arc<RedisUrl>>,
        options: RedisOptions,
    ) -> Self {
        Self {
            client,
            tls_url,
            options,
            live: RwLock::default(),
            connecting: Mutex::default(),
            failures: AtomicU64::default(),
            connections: AtomicU64::default(),
            in_flight: Arc::default(),
            last_switch: Arc::default(),
        }
    }

    /// A separate wire to the same server. Opens nothing yet.
    pub(super) fn another(&self) -> Self {
        Self::new(self.client.clone(), self.tls_url.clone(), self.options)
    }

    /// Sends one command with a reply of about this many bytes: an error reply is a value here.
    pub(super) async fn send(&self, command: &Cmd, expects: u64) -> Result<Value, Failure> {
        let (mut live, _bytes) = self.acquire(length(command), expects).await?;
        let answer = live.connection.send_packed_command(command).await;
        live.observe(&answer);
        let answer = answer.map_err(Failure::Exchange)?;
        live.observe_role(&answer);
        Ok(answer)
    }

    /// Sends many commands, with replies of about this many bytes together.
    pub(super) async fn send_all(
        &self,
        pipeline: &Pipeline,
        expects: u64,
    ) -> Result<Vec<Value>, Failure> {
        let bytes = pipeline.cmd_iter().map(length).sum();
        let (mut live, _bytes) = self.acquire(bytes, expects).await?;
        live.send_all(pipeline).await
    }

    /// The connection for one caller: nothing else may use this wire meanwhile.
    pub(super) async fn session(&self, bytes: u64) -> Result<Session, Failure> {
        let (live, _) = self.acquire(bytes, bytes).await?;
        Ok(Session(live))
    }

    /// The connection, with a timeout that leaves room for everything in flight on it.
    async fn acquire(&self, asks: u64, expects: u64) -> Result<(Live, InFlight), Failure> {
        let mut live = self.connected().await.map_err(Failure::Connect)?;
        let bytes = asks.saturating_add(expects);
        let before = self.in_flight.fetch_add(bytes, Ordering::Relaxed);
        let bytes = InFlight(Arc::clone(&self.in_flight), bytes);
        let seconds = before.saturating_add(bytes.1) / BYTES_PER_SECOND;
        let timeout = self.options.response_timeout;
        live.connection
            .set_response_timeout(timeout.saturating_add(Duration::from_secs(seconds)));
        Ok((live, bytes))
    }

    /// The number of connections so far.
    pub(super) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Acquire)
    }

    async fn connected(&self) -> RedisResult<Live> {
        if let Some(live) = self.live() {
            return Ok(live);
        }
        let failures = self.failures.load(Ordering::Acquire);
        let mut failure = self.connecting.lock().await;
        if let Some(live) = self.live() {
            return Ok(live);
        }
        // The call that this one waited for failed: a retry by each waiting call would add up.
        if self.failures.load(Ordering::Acquire) != failures
            && let Some(error) = &*failure
        {
            return Err(error.clone());
        }
        match self.connect().await {
            Ok(live) => {
                self.connections.fetch_add(1, Ordering::Release);
                *self.live.write().unwrap_or_else(PoisonError::into_inner) = Some(live.clone());
                Ok(live)
            }
            Err(error) => {
                *failure = Some(error.clone());
                self.failures.fetch_add(1, Ordering::Release);
                Err(error)
            }
        }
    }

    fn live(&self) -> Option<Live> {
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        live.clone()
            .filter(|live| !live.lost.load(Ordering::Acquire))
    }

    /// Retries only if there was no answer: a server that refuses will refuse again.
    async fn connect(&self) -> RedisResult<Live> {
        let mut pause = self.options.first_pause;
        for _ in 0..self.options.retries {
            match self.open().await {
                Err(error) if error.is_io_error() => {}
                ended => return ended,
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
        self.open().await
    }

    /// Opens a connection, with certificates as their files are now. If those cannot be used, for
    /// example half written, the ones read at start are used.
    async fn open(&self) -> RedisResult<Live> {
        let tls_url = self.tls_url.as_deref();
        let renewed = tls_url.and_then(|url| client(url, self.options).ok());
        let Some(renewed) = renewed else {
            return self.open_with(&self.client).await;
        };
        match self.open_with(&renewed).await {
            Err(error) if error.kind() == ErrorKind::InvalidClientConfig => {
                self.open_with(&self.client).await
            }
            opened => opened,
        }
    }

    async fn open_with(&self, client: &Client) -> RedisResult<Live> {
        let lost = Arc::new(AtomicBool::new(false));
        let hung_up = Arc::clone(&lost);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.options.connect_timeout))
            .set_response_timeout(Some(self.options.response_timeout))
            .set_push_sender(move |push: PushInfo| {
                if push.kind == PushKind::Disconnection {
                    hung_up.store(true, Ordering::Release);
                }
                Ok::<(), SendError>(())
            });
        let connect = client.get_multiplexed_async_connection_with_config(&config);
        let connection = connect.await?;
        Ok(Live {
            connection,
            lost,
            last_switch: self.last_switch.clone(),
        })
    }
}

/// True if the reply means that the server accepts no writes because of its role, or has not loaded
/// its data.
fn is_wrong_role(answer: &Value) -> bool {
    let Value::ServerError(error) = answer else {
        return false;
    };
    match from_server(error.code(), error.details().unwrap_or_default()) {
        StoreError::ReadOnly { code, .. } => code == "READONLY",
        StoreError::NotReady { code } => code == "LOADING" || code == "MASTERDOWN",
        _ => false,
    }
}

/// The bytes of a command's arguments.
pub(super) fn length(command: &Cmd) -> u64 {
    let length = |argument| match argument {
        Arg::Simple(bytes) => <[u8]>::len(bytes),
        _ => 0,
    };
    command.args_iter().map(|it| length(it) as u64).sum()
}
