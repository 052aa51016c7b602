//! One connection that many calls share and that comes back by itself: it is opened when a call
//! needs it, and anew when it was lost. No command is ever sent twice; whether a call that was under
//! way can be repeated is not known here.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use redis::aio::{MultiplexedConnection, SendError};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, PushInfo, PushKind, RedisResult, Value,
};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::connection::{RedisOptions, answered, client};
use crate::error::StoreError;
use crate::url::RedisUrl;

/// Between two connections that are given up because of what the server's role is: a replica says so every time.
const SWITCH_INTERVAL: Duration = Duration::from_secs(5);

/// The way to a server for many calls at once.
pub(super) struct Wire {
    client: Client,
    /// Where certificates are needed: their files are read again for each connection, since they may have
    /// been renewed.
    secured: Option<Arc<RedisUrl>>,
    options: RedisOptions,
    live: RwLock<Option<Live>>,
    /// Held by the call that connects; the others wait for what comes of it.
    connecting: Mutex<Option<redis::RedisError>>,
    /// How often connecting has failed.
    failures: AtomicU64,
    /// How often it has not.
    connections: AtomicU64,
    /// When a connection was last given up because of the server's role.
    switched: std::sync::Mutex<Option<Instant>>,
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
            .is_err_and(redis::RedisError::is_unrecoverable_error)
        {
            self.lost.store(true, Ordering::Release);
        }
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
            switched: std::sync::Mutex::default(),
        }
    }

    /// Another one to the same server. Opens nothing yet.
    pub(super) fn another(&self) -> Self {
        Self::new(self.client.clone(), self.secured.clone(), self.options)
    }

    /// One command, and its answer: an error of the server is a value here.
    pub(super) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        let mut live = self.connected().await?;
        let answer = live.connection.send_packed_command(command).await;
        live.note(&answer);
        self.observe_role(&live, answer.iter());
        answer
    }

    /// Many commands, and an answer to each.
    pub(super) async fn send_all(&self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        let mut live = self.connected().await?;
        let connection = &mut live.connection;
        let answers = connection
            .send_packed_commands(pipeline, 0, pipeline.len())
            .await;
        live.note(&answers);
        self.observe_role(&live, answers.iter().flatten());
        answers
    }

    /// Gives a connection up on which the server says that it is no primary with its data at hand: after a failover,
    /// its address may lead to the one that is.
    fn observe_role<'a>(&self, live: &Live, mut answers: impl Iterator<Item = &'a Value>) {
        if !answers.any(is_of_another_role) {
            return;
        }
        let mut switched = self.switched.lock().unwrap_or_else(PoisonError::into_inner);
        if switched.is_none_or(|at| at.elapsed() >= SWITCH_INTERVAL) {
            *switched = Some(Instant::now());
            live.lost.store(true, Ordering::Release);
        }
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
        Ok(Live { connection, lost })
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
