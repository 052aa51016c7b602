//! One connection that many calls share and that comes back by itself: it is opened when a call
//! needs it, and anew when it was lost. No command is ever sent twice; whether a call that was under
//! way can be repeated is not known here.

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

use super::connection::{RedisOptions, answered, client};
use crate::error::StoreError;
use crate::url::RedisUrl;

/// Between two connections that are given up because of what the server's role is: a replica says so every time.
const SWITCH_INTERVAL: Duration = Duration::from_secs(5);

/// The slowest link that is waited for: large requests and replies have so much longer than the
/// response timeout.
const BYTES_PER_SECOND: u64 = 4 << 20;

/// Why there is no answer.
pub(super) enum Failure {
    /// There is no connection.
    Connecting(RedisError),
    /// There was one, and it ended or was silent.
    Asking(RedisError),
}

/// The way to a server for many calls at once.
pub(super) struct Wire {
    client: Client,
    /// Where certificates are needed: their files are read again for each connection, since they may have
    /// been renewed.
    secured: Option<Arc<RedisUrl>>,
    options: RedisOptions,
    live: RwLock<Option<Live>>,
    /// Held by the call that connects; the others wait for what comes of it.
    connecting: Mutex<Option<RedisError>>,
    /// How often connecting has failed.
    failures: AtomicU64,
    /// How often it has not.
    connections: AtomicU64,
    /// Bytes of the requests and replies that are under way.
    in_flight: Arc<AtomicU64>,
    switched: Switched,
}

/// When a connection was last given up because of the server's role.
type Switched = Arc<std::sync::Mutex<Option<Instant>>>;

/// Bytes that are under way until this is dropped.
struct InFlight(Arc<AtomicU64>, u64);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// A connection for one caller, which does not come back: what was said on it is gone with it.
pub(super) struct Session(Live);

impl Session {
    /// Many commands, and an answer to each.
    pub(super) async fn send_all(&mut self, pipeline: &Pipeline) -> Result<Vec<Value>, Failure> {
        self.0.send_all(pipeline).await
    }

    /// The next session has another connection: this one may be in the middle of a transaction.
    pub(super) fn give_up(&self) {
        self.0.lost.store(true, Ordering::Release);
    }
}

/// A connection that is up, as far as anybody knows.
#[derive(Clone)]
struct Live {
    connection: MultiplexedConnection,
    /// Set as soon as the server hangs up, even while nobody asks it anything.
    lost: Arc<AtomicBool>,
    switched: Switched,
}

impl Live {
    fn note<T>(&self, answer: &RedisResult<T>) {
        if answer
            .as_ref()
            .is_err_and(RedisError::is_unrecoverable_error)
        {
            self.lost.store(true, Ordering::Release);
        }
    }

    /// Gives a connection up on which the server says that it is no primary with its data at hand: after a failover,
    /// its address may lead to the one that is.
    fn note_role(&self, answer: &Value) {
        if !is_of_another_role(answer) {
            return;
        }
        let mut switched = self.switched.lock().unwrap_or_else(PoisonError::into_inner);
        if switched.is_none_or(|at| at.elapsed() >= SWITCH_INTERVAL) {
            *switched = Some(Instant::now());
            self.lost.store(true, Ordering::Release);
        }
    }

    async fn send_all(&mut self, pipeline: &Pipeline) -> Result<Vec<Value>, Failure> {
        let connection = &mut self.connection;
        let answers = connection
            .send_packed_commands(pipeline, 0, pipeline.len())
            .await;
        self.note(&answers);
        let answers = answers.map_err(Failure::Asking)?;
        answers.iter().for_each(|answer| self.note_role(answer));
        Ok(answers)
    }
}

impl Wire {
    /// Opens nothing yet.
    pub(super) fn new(
        client: Client,
        secured: Option<Arc<RedisUrl>>,
        options: RedisOptions,
    ) -> Self {
        Self {
            client,
            secured,
            options,
            live: RwLock::default(),
            connecting: Mutex::default(),
            failures: AtomicU64::default(),
            connections: AtomicU64::default(),
            in_flight: Arc::default(),
            switched: Arc::default(),
        }
    }

    /// Another one to the same server. Opens nothing yet.
    pub(super) fn another(&self) -> Self {
        Self::new(self.client.clone(), self.secured.clone(), self.options)
    }

    /// One command, and its answer of about so many bytes: an error of the server is a value here.
    pub(super) async fn send(&self, command: &Cmd, expects: u64) -> Result<Value, Failure> {
        let (mut live, _bytes) = self.take_up(length(command), expects).await?;
        let answer = live.connection.send_packed_command(command).await;
        live.note(&answer);
        let answer = answer.map_err(Failure::Asking)?;
        live.note_role(&answer);
        Ok(answer)
    }

    /// Many commands, and an answer to each, of about so many bytes together.
    pub(super) async fn send_all(
        &self,
        pipeline: &Pipeline,
        expects: u64,
    ) -> Result<Vec<Value>, Failure> {
        let asked = pipeline.cmd_iter().map(length).sum();
        let (mut live, _bytes) = self.take_up(asked, expects).await?;
        live.send_all(pipeline).await
    }

    /// The connection for one caller: nobody else may use this wire meanwhile.
    pub(super) async fn session(&self, bytes: u64) -> Result<Session, Failure> {
        let (live, _) = self.take_up(bytes, bytes).await?;
        Ok(Session(live))
    }

    /// The connection, with a time limit that leaves room for all that is under way on it.
    async fn take_up(&self, asks: u64, expects: u64) -> Result<(Live, InFlight), Failure> {
        let mut live = self.connected().await.map_err(Failure::Connecting)?;
        let bytes = asks.saturating_add(expects);
        let before = self.in_flight.fetch_add(bytes, Ordering::Relaxed);
        let bytes = InFlight(Arc::clone(&self.in_flight), bytes);
        let seconds = before.saturating_add(bytes.1) / BYTES_PER_SECOND;
        let timeout = self.options.response_timeout;
        live.connection
            .set_response_timeout(timeout.saturating_add(Duration::from_secs(seconds)));
        Ok((live, bytes))
    }

    /// How many connections there have been, one after another.
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
        // The call that this one waited for tried in vain: trying again for each would add up.
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

    /// Tries again only if nobody answered: a server that refuses says the same the next time.
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

    /// Opens a connection, with certificates as their files are now. Where those cannot be used, half
    /// written for example, it is opened with those of the start.
    async fn open(&self) -> RedisResult<Live> {
        let secured = self.secured.as_deref();
        let renewed = secured.and_then(|url| client(url, self.options).ok());
        let Some(renewed) = renewed else {
            return self.open_by(&self.client).await;
        };
        match self.open_by(&renewed).await {
            Err(error) if error.kind() == ErrorKind::InvalidClientConfig => {
                self.open_by(&self.client).await
            }
            opened => opened,
        }
    }

    async fn open_by(&self, client: &Client) -> RedisResult<Live> {
        let lost = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&lost);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.options.connect_timeout))
            .set_response_timeout(Some(self.options.response_timeout))
            .set_push_sender(move |news: PushInfo| {
                if news.kind == PushKind::Disconnection {
                    told.store(true, Ordering::Release);
                }
                Ok::<(), SendError>(())
            });
        let opening = client.get_multiplexed_async_connection_with_config(&config);
        let connection = opening.await?;
        Ok(Live {
            connection,
            lost,
            switched: self.switched.clone(),
        })
    }
}

/// Whether an answer says that the server takes no writes because of its role, or has not its data at hand.
fn is_of_another_role(answer: &Value) -> bool {
    let Value::ServerError(error) = answer else {
        return false;
    };
    match answered(error.code(), error.details().unwrap_or_default()) {
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
