//! One connection that many calls share and that comes back by itself: it is opened when a call
//! needs it, and anew when it was lost. No command is ever sent twice; whether a call that was under
//! way can be repeated is not known here.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::aio::{MultiplexedConnection, SendError};
use redis::{
    Arg, AsyncConnectionConfig, Client, Cmd, Pipeline, PushInfo, PushKind, RedisError, RedisResult,
    ServerErrorKind, Value,
};
use tokio::sync::Mutex;

use super::connection::RedisOptions;

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
}

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
}

/// A connection that is up, as far as anybody knows.
#[derive(Clone)]
struct Live {
    connection: MultiplexedConnection,
    /// Set as soon as the server hangs up, even while nobody asks it anything.
    lost: Arc<AtomicBool>,
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

    /// A server that became a replica may be reached under an address that leads to its successor by
    /// now: the next call connects again.
    fn note_role(&self, answer: &Value) {
        if let Value::ServerError(error) = answer
            && error.kind() == Some(ServerErrorKind::ReadOnly)
        {
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
    pub(super) fn new(client: Client, options: RedisOptions) -> Self {
        Self {
            client,
            options,
            live: RwLock::default(),
            connecting: Mutex::default(),
            failures: AtomicU64::default(),
            connections: AtomicU64::default(),
            in_flight: Arc::default(),
        }
    }

    /// Another one to the same server. Opens nothing yet.
    pub(super) fn another(&self) -> Self {
        Self::new(self.client.clone(), self.options)
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

    async fn open(&self) -> RedisResult<Live> {
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
        let opening = self
            .client
            .get_multiplexed_async_connection_with_config(&config);
        let connection = opening.await?;
        Ok(Live { connection, lost })
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
