//! The connections to the server: TCP, TLS or unix socket, with reconnecting and time limits.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::{
    Client, ClientTlsConfig, Cmd, ConnectionInfo, IntoConnectionInfo, Pipeline, ProtocolVersion,
    RedisError, TlsCertificates, Value,
};
use tokio::sync::{Mutex, MutexGuard};

use super::acl::missing_right;
use super::commands;
use super::fault::ConnectionFault;
use super::server_error::explain;
use super::wire::{Failure, Session, Wire, length};
use crate::error::StoreError;
use crate::url::{RedisUrl, TlsFiles};

/// Time limits and retries of a Redis store.
#[derive(Clone, Copy, Debug)]
pub struct RedisOptions {
    /// The time a connection may take to be established.
    pub connect_timeout: Duration,
    /// The time an answer may take; longer for large requests and replies, by their size.
    pub response_timeout: Duration,
    /// How often a lost connection is retried before the calls that wait for it fail. The delay
    /// before each retry doubles.
    pub retries: usize,
    /// The delay before the first retry.
    pub first_pause: Duration,
}

impl Default for RedisOptions {
    /// 5 s, 5 s, and four retries after 50, 100, 200 and 400 ms.
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(5),
            retries: 4,
            first_pause: Duration::from_millis(50),
        }
    }
}

/// Approximate bytes of arguments, and commands, sent to the server at once. Larger calls are
/// split: each part has the whole response timeout, and less is buffered twice.
const MAX_BATCH_BYTES: u64 = 4 << 20;
/// A single command larger than this goes over the bulk connection.
const MAX_SINGLE_BYTES: u64 = 1 << 20;
const MAX_BATCH_COMMANDS: usize = 2_000;

/// Self-reconnecting connections to one server.
pub(crate) struct Link {
    location: String,
    /// The number of the database.
    database: u32,
    /// For single commands: many calls share it, and their commands are pipelined.
    work: Wire,
    /// For many commands at once, so that no single command waits behind them, and the server
    /// parses one while the other is being sent.
    bulk: Wire,
    /// For commands that must not wait behind either: measuring the server's latency for another
    /// client, and scanning ahead.
    uncontended: Wire,
    /// For one caller at a time: records watched on it are watched for that caller.
    exclusive: Mutex<Wire>,
}

impl Link {
    pub(crate) fn open(url: &RedisUrl, options: RedisOptions) -> Result<Self, StoreError> {
        let client = client(url, options)?;
        let tls_url = url.tls.is_some().then(|| Arc::new(url.clone()));
        Ok(Self {
            location: url.location.clone(),
            database: u32::try_from(client.get_connection_info().redis_settings().db())
                .unwrap_or(0),
            work: Wire::new(client.clone(), tls_url.clone(), options),
            bulk: Wire::new(client.clone(), tls_url.clone(), options),
            exclusive: Mutex::new(Wire::new(client.clone(), tls_url.clone(), options)),
            uncontended: Wire::new(client, tls_url, options),
        })
    }

    pub(crate) fn location(&self) -> &str {
        &self.location
    }

    /// The database that all commands act on.
    pub(crate) fn database(&self) -> u32 {
        self.database
    }

    /// A separate connection to the same server, for commands that must not affect the others.
    pub(crate) fn another(&self) -> Wire {
        self.uncontended.another()
    }

    /// The number of connections so far: a change can mean another server.
    pub(crate) fn connections(&self) -> u64 {
        self.work.connections() + self.bulk.connections()
    }

    /// Sends one command; an error reply is an error.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, StoreError> {
        self.send_expecting(command, 0).await
    }

    /// Sends one command whose reply has about this many bytes.
    pub(crate) async fn send_expecting(
        &self,
        command: &Cmd,
        bytes: u64,
    ) -> Result<Value, StoreError> {
        let is_large = length(command).max(bytes) > MAX_SINGLE_BYTES;
        let wire = if is_large { &self.bulk } else { &self.work };
        let answer = wire.send(command, bytes).await;
        self.finish(answer, command).await
    }

    /// Sends one command that does not wait behind other work.
    pub(crate) async fn send_uncontended(&self, command: &Cmd) -> Result<Value, StoreError> {
        let answer = self.uncontended.send(command, 0).await;
        self.finish(answer, command).await
    }

    async fn finish(
        &self,
        answer: Result<Value, Failure>,
        command: &Cmd,
    ) -> Result<Value, StoreError> {
        let answer = match answer {
            Ok(answer) => answer.extract_error(),
            Err(failure) => return Err(self.explain_unread(failure, [command]).await),
        };
        answer.map_err(|error| self.explain_of(&error, command))
    }

    /// Explains a missing reply to these commands. A server that lacks one of them quotes its
    /// arguments, and if those are not text the reply cannot be parsed: so it is probed once more,
    /// without arguments.
    pub(crate) async fn explain_unread<'a>(
        &self,
        failure: Failure,
        commands: impl IntoIterator<Item = &'a Cmd>,
    ) -> StoreError {
        // A reply that cannot be parsed ends the connection, for all requests in flight on it.
        let is_unreadable = match &failure {
            Failure::Exchange(error) => {
                error.kind() == redis::ErrorKind::Parse || error.is_connection_dropped()
            }
            Failure::Connect(_) => false,
        };
        let names = commands.into_iter().filter_map(commands::name_if_binary);
        let names: BTreeSet<&'static str> = names.filter(|_| is_unreadable).collect();
        for name in names {
            let Ok(answer) = self.uncontended.send(&redis::cmd(name), 0).await else {
                break;
            };
            if let Err(error) = answer.extract_error()
                && let missing @ StoreError::NoCommand { .. } = self.explain(&error)
            {
                return missing;
            }
        }
        self.explain_failure(failure)
    }

    /// Sends many commands at once; error replies are items among the replies.
    pub(crate) async fn send_all(
        &self,
        commands: Vec<Cmd>,
    ) -> Result<Vec<Result<Value, RedisError>>, StoreError> {
        self.send_all_expecting(commands, 0).await
    }

    /// The same, with replies of about this many bytes together.
    pub(crate) async fn send_all_expecting(
        &self,
        commands: Vec<Cmd>,
        expects: u64,
    ) -> Result<Vec<Result<Value, RedisError>>, StoreError> {
        let mut answers = Vec::with_capacity(commands.len());
        let is_large =
            commands.len() > 1 || commands.iter().map(length).sum::<u64>() > MAX_SINGLE_BYTES;
        let wire = if is_large { &self.bulk } else { &self.work };
        let mut commands = commands.into_iter();
        while commands.len() > 0 {
            let (mut part, mut bytes) = (Pipeline::new(), 0_u64);
            while bytes < MAX_BATCH_BYTES
                && part.len() < MAX_BATCH_COMMANDS
                && let Some(command) = commands.next()
            {
                bytes = bytes.saturating_add(length(&command));
                part.add_command(command);
            }
            match wire.send_all(&part, expects).await {
                Ok(part) => answers.extend(part.into_iter().map(Value::extract_error)),
                Err(failure) => return Err(self.explain_unread(failure, part.cmd_iter()).await),
            }
        }
        Ok(answers)
    }

    /// The wire on which one caller at a time may watch records.
    pub(crate) async fn exclusive(&self) -> MutexGuard<'_, Wire> {
        self.exclusive.lock().await
    }

    /// A connection of that wire. Watches on it end with it.
    pub(crate) async fn session(&self, wire: &Wire, bytes: u64) -> Result<Session, StoreError> {
        let session = wire.session(bytes).await;
        session.map_err(|failure| self.explain_failure(failure))
    }

    /// Sends many commands at once; any error reply is an error.
    pub(crate) async fn send_each(&self, commands: Vec<Cmd>) -> Result<Vec<Value>, StoreError> {
        let answers = self.send_all(commands).await?.into_iter();
        answers
            .map(|answer| answer.map_err(|error| self.explain(&error)))
            .collect()
    }

    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.send_uncontended(&redis::cmd("PING")).await.map(drop)
    }

    pub(crate) fn explain(&self, error: &RedisError) -> StoreError {
        explain(&self.location, error)
    }

    /// Explains a missing reply.
    pub(crate) fn explain_failure(&self, failure: Failure) -> StoreError {
        match failure {
            Failure::Connect(error) => self.explain(&error),
            Failure::Exchange(error) => match self.explain(&error) {
                StoreError::Unavailable {
                    location, cause, ..
                } => StoreError::Unavailable {
                    location,
                    cause,
                    interrupted: true,
                },
                other => other,
            },
        }
    }

    /// Like [`explain`](Self::explain) for one command: if the server does not name the missing
    /// right, it is that of the command.
    pub(crate) fn explain_of(&self, error: &RedisError, command: &Cmd) -> StoreError {
        match self.explain(error) {
            StoreError::Denied { code, needs, right } if code == "NOPERM" => {
                let right = missing_right(right, command);
                StoreError::Denied { code, needs, right }
            }
            other => other,
        }
    }
}

pub(super) fn client(url: &RedisUrl, options: RedisOptions) -> Result<Client, StoreError> {
    let refused = |error: RedisError| explain(&url.location, &error);
    let address = address(url, options).map_err(refused)?;
    let built = match &url.tls {
        None => Client::open(address),
        Some(files) => {
            choose_tls_provider();
            Client::build_with_tls(address, certificates(&url.location, files)?)
        }
    };
    built.map_err(refused)
}

fn address(url: &RedisUrl, options: RedisOptions) -> Result<ConnectionInfo, RedisError> {
    let address = url.address.as_str().into_connection_info()?;
    // With this protocol version a connection that is closed while idle is noticed.
    let settings = address.redis_settings().clone();
    let settings = settings.set_protocol(ProtocolVersion::RESP3);
    // A user with few rights may not set the client's name, and the server would log the attempt.
    let settings = settings.set_skip_set_lib_name();
    // Calls on one connection must not wait for each other's acknowledgements (Nagle).
    let tcp = TcpSettings::default().set_nodelay(true);
    // A peer that vanished silently ends the connection, not only the calls on it.
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(
        options
            .connect_timeout
            .saturating_add(options.response_timeout),
    );
    #[cfg(not(target_os = "linux"))]
    let _ = options;
    Ok(address.set_redis_settings(settings).set_tcp_settings(tcp))
}

/// Uses the TLS provider of the rest of Waxseal, unless the application installed another.
fn choose_tls_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Losing a race against another thread that installs one is harmless.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}

fn certificates(location: &str, files: &TlsFiles) -> Result<TlsCertificates, StoreError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|error| StoreError::Connection {
            location: location.to_owned(),
            fault: ConnectionFault::File(format!("cannot read {}: {error}", path.display())),
        })
    };
    let client_tls = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => Some(ClientTlsConfig {
            client_cert: read(cert)?,
            client_key: read(key)?,
        }),
        _ => None,
    };
    let root_cert = files.ca.as_deref().map(read).transpose()?;
    Ok(TlsCertificates {
        client_tls,
        root_cert,
    })
}
