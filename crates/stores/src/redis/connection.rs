//! The way to the server: TCP, TLS or unix socket, with reconnecting, time limits, and errors in
//! our words.

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

use super::commands;
use super::fault::ConnectionFault;
use super::right::{missing_right, right_of};
use super::wire::{Failure, Session, Wire, length};
use crate::error::{MAX_CLIENTS, NO_DATABASE, StoreError};
use crate::url::{RedisUrl, TlsFiles};

/// Time limits and retries of a Redis store.
#[derive(Clone, Copy, Debug)]
pub struct RedisOptions {
    /// How long a connection may take to come up.
    pub connect_timeout: Duration,
    /// How long an answer may take; of large requests and replies longer, by their size.
    pub response_timeout: Duration,
    /// How often a lost connection is tried anew before the calls that wait for it fail. The pause
    /// before each try doubles.
    pub retries: usize,
    /// The pause before the first of these tries.
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

/// Bytes of arguments and commands that go to the server at once, about. Larger calls are sent in
/// parts: each has the whole response timeout, and less lies in memory once more.
const BYTES_AT_ONCE: u64 = 4 << 20;
/// A single command with more bytes than these waits with the bulk.
const LARGE: u64 = 1 << 20;
const COMMANDS_AT_ONCE: usize = 2_000;

/// Connections to one server that come back by themselves.
pub(crate) struct Link {
    location: String,
    /// The number of the database.
    database: u32,
    /// For single commands: many calls share it, and their commands are pipelined.
    work: Wire,
    /// For many commands at once, so that nobody's single command waits behind them, and the server
    /// reads the one while it is sent the other.
    bulk: Wire,
    /// For what must wait behind none of that: measuring how long the server lets another client
    /// wait, and scanning ahead.
    aside: Wire,
    /// For one caller at a time: what is watched on it is the caller's.
    exclusive: Mutex<Wire>,
}

impl Link {
    pub(crate) fn open(url: &RedisUrl, options: RedisOptions) -> Result<Self, StoreError> {
        let client = client(url, options)?;
        let secured = url.tls.is_some().then(|| Arc::new(url.clone()));
        Ok(Self {
            location: url.location.clone(),
            database: u32::try_from(client.get_connection_info().redis_settings().db())
                .unwrap_or(0),
            work: Wire::new(client.clone(), secured.clone(), options),
            bulk: Wire::new(client.clone(), secured.clone(), options),
            exclusive: Mutex::new(Wire::new(client.clone(), secured.clone(), options)),
            aside: Wire::new(client, secured, options),
        })
    }

    pub(crate) fn location(&self) -> &str {
        &self.location
    }

    /// The number of the database that all commands are about.
    pub(crate) fn database(&self) -> u32 {
        self.database
    }

    /// Another connection to the same server, for what must not concern the others.
    pub(crate) fn another(&self) -> Wire {
        self.aside.another()
    }

    /// How many connections there have been: another number can mean another server.
    pub(crate) fn connections(&self) -> u64 {
        self.work.connections() + self.bulk.connections()
    }

    /// One command; an error of the server is an error.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, StoreError> {
        self.send_expecting(command, 0).await
    }

    /// One command, with an answer of about so many bytes.
    pub(crate) async fn send_expecting(
        &self,
        command: &Cmd,
        bytes: u64,
    ) -> Result<Value, StoreError> {
        let is_large = length(command).max(bytes) > LARGE;
        let wire = if is_large { &self.bulk } else { &self.work };
        let answer = wire.send(command, bytes).await;
        self.answered(answer, command).await
    }

    /// One command that waits behind no other work.
    pub(crate) async fn send_aside(&self, command: &Cmd) -> Result<Value, StoreError> {
        let answer = self.aside.send(command, 0).await;
        self.answered(answer, command).await
    }

    async fn answered(
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

    /// Why there is no answer to these commands. A server that does not have one of them repeats its arguments,
    /// and where those are not text its answer cannot be read: so it is asked once more, without any.
    pub(crate) async fn explain_unread<'a>(
        &self,
        failure: Failure,
        asked: impl IntoIterator<Item = &'a Cmd>,
    ) -> StoreError {
        // An answer that cannot be read ends the connection, for all that are under way on it.
        let is_unreadable = match &failure {
            Failure::Asking(error) => {
                error.kind() == redis::ErrorKind::Parse || error.is_connection_dropped()
            }
            Failure::Connecting(_) => false,
        };
        let words = asked.into_iter().filter_map(commands::word_with_bytes);
        let words: BTreeSet<&'static str> = words.filter(|_| is_unreadable).collect();
        for word in words {
            let Ok(answer) = self.aside.send(&redis::cmd(word), 0).await else {
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

    /// Many commands at once; an error of the server stands in its place among the answers.
    pub(crate) async fn send_all(
        &self,
        commands: Vec<Cmd>,
    ) -> Result<Vec<Result<Value, RedisError>>, StoreError> {
        self.send_all_expecting(commands, 0).await
    }

    /// The same, with answers of about so many bytes together.
    pub(crate) async fn send_all_expecting(
        &self,
        commands: Vec<Cmd>,
        expects: u64,
    ) -> Result<Vec<Result<Value, RedisError>>, StoreError> {
        let mut answers = Vec::with_capacity(commands.len());
        let is_large = commands.len() > 1 || commands.iter().map(length).sum::<u64>() > LARGE;
        let wire = if is_large { &self.bulk } else { &self.work };
        let mut commands = commands.into_iter();
        while commands.len() > 0 {
            let (mut part, mut bytes) = (Pipeline::new(), 0_u64);
            while bytes < BYTES_AT_ONCE
                && part.len() < COMMANDS_AT_ONCE
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

    /// A connection of that wire. What is watched on it ends with it.
    pub(crate) async fn session(&self, wire: &Wire, bytes: u64) -> Result<Session, StoreError> {
        let session = wire.session(bytes).await;
        session.map_err(|failure| self.explain_failure(failure))
    }

    /// Many commands at once, of which none may fail.
    pub(crate) async fn send_each(&self, commands: Vec<Cmd>) -> Result<Vec<Value>, StoreError> {
        let answers = self.send_all(commands).await?.into_iter();
        answers
            .map(|answer| answer.map_err(|error| self.explain(&error)))
            .collect()
    }

    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        self.send_aside(&redis::cmd("PING")).await.map(drop)
    }

    pub(crate) fn explain(&self, error: &RedisError) -> StoreError {
        explain(&self.location, error)
    }

    /// Why there is no answer.
    pub(crate) fn explain_failure(&self, failure: Failure) -> StoreError {
        match failure {
            Failure::Connecting(error) => self.explain(&error),
            Failure::Asking(error) => match self.explain(&error) {
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

    /// The same of one command: a right that the server does not name is that of the command.
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
    // With this version of the protocol we hear of a connection that is closed while it is idle.
    let settings = address.redis_settings().clone();
    let settings = settings.set_protocol(ProtocolVersion::RESP3);
    // A user with few rights may not name the client, and the server would log the attempt.
    let settings = settings.set_skip_set_lib_name();
    // Calls of one connection do not wait for each other's acknowledgements.
    let tcp = TcpSettings::default().set_nodelay(true);
    // A peer that vanished without a word is given up, and not only the calls to it.
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

/// TLS with the library that the rest of Waxseal uses, unless the application chose another.
fn choose_tls_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Losing a race against another thread that installs one is fine.
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

/// Says in our words what went wrong. Texts of the server are not passed on: they can quote the
/// arguments of a command.
fn explain(location: &str, error: &RedisError) -> StoreError {
    let unavailable = |cause: String| StoreError::Unavailable {
        location: location.to_owned(),
        cause,
        interrupted: false,
    };
    if error.is_timeout() {
        return unavailable("no answer in time".to_owned());
    }
    if let Some(fault) = ConnectionFault::of(error, location.starts_with("unix:")) {
        let location = location.to_owned();
        return StoreError::Connection { location, fault };
    }
    if error.is_connection_refusal() {
        return unavailable("the connection is refused".to_owned());
    }
    if let Some(code) = error.code() {
        return answered(code, error.detail().unwrap_or_default());
    }
    match error.kind() {
        redis::ErrorKind::AuthenticationFailed => denied("WRONGPASS", None),
        redis::ErrorKind::Io if error.is_connection_dropped() => {
            unavailable("the connection was lost".to_owned())
        }
        // An answer that breaks off half way cannot be read.
        redis::ErrorKind::Parse => unavailable("the answer broke off".to_owned()),
        // Texts of the operating system and of TLS: no arguments in them.
        redis::ErrorKind::Io => unavailable(error.to_string()),
        _ => StoreError::Other {
            code: error.category().to_owned(),
        },
    }
}

/// What a server's error means: its code word, and what it says behind that.
pub(super) fn answered(code: &str, detail: &str) -> StoreError {
    if code == "ERR" {
        if let Some(command) = commands::unknown(detail) {
            return StoreError::NoCommand { command };
        }
        if TOO_LARGE.iter().any(|text| detail.starts_with(text)) {
            return StoreError::TooLarge {
                bytes: None,
                limit: None,
            };
        }
    }
    if code == "EXECABORT"
        && let Some(cause) = detail.strip_prefix("Transaction discarded because of: ")
        && let Some((code, detail)) = cause.split_once(' ')
        && code == "NOPERM"
    {
        return answered(code, detail);
    }
    let code = match code {
        "ERR" => behind_general_error(detail).unwrap_or(code),
        other => other,
    };
    // What does not look like a code word may be anything.
    let plain = |c: char| c.is_ascii_uppercase() || c == '_';
    let word = || match code {
        code if code.len() <= 24 && code.chars().all(plain) => code.to_owned(),
        NO_DATABASE | MAX_CLIENTS => code.to_owned(),
        _ => "of an unknown kind".to_owned(),
    };
    match code {
        "NOPERM" => denied(code, right_of(detail)),
        "NOAUTH" | "WRONGPASS" | NO_PASSWORD_SET => denied(code, None),
        "READONLY" => StoreError::ReadOnly {
            code: word(),
            why: "it is a read-only replica: use its primary",
        },
        "MISCONF" => StoreError::ReadOnly {
            code: word(),
            why: "it cannot save its data to disk: see its own log",
        },
        "NOREPLICAS" => StoreError::ReadOnly {
            code: word(),
            why: "it has fewer replicas than min-replicas-to-write asks for",
        },
        "OOM" => StoreError::Full {
            what: "the server reached maxmemory and evicts nothing",
        },
        "LOADING" | "BUSY" | "MASTERDOWN" | "TRYAGAIN" | MAX_CLIENTS => {
            StoreError::NotReady { code: word() }
        }
        "MOVED" | "ASK" | "CLUSTERDOWN" | "CROSSSLOT" => StoreError::Cluster { code: word() },
        "WRONGTYPE" => StoreError::WrongType,
        _ => StoreError::Other { code: word() },
    }
}

/// What a server says to a request that exceeds its limits, before it hangs up; and to a value that would
/// grow beyond them.
const TOO_LARGE: [&str; 3] = [
    "Protocol error: invalid bulk length",
    "Protocol error: too big",
    "string exceeds maximum allowed size",
];

/// The server has no password, and was given one.
const NO_PASSWORD_SET: &str = "NOPASS";

/// What a general error really is. Servers before 7.0 wrap errors inside a script so; and selecting
/// a database while connecting loses the code.
fn behind_general_error(detail: &str) -> Option<&'static str> {
    const INSIDE: [&str; 5] = ["OOM", "READONLY", "MISCONF", "NOREPLICAS", "NOPERM"];
    const TEXTS: [(&str, &str); 10] = [
        (
            "The user executing the script can't run this command",
            "NOPERM",
        ),
        ("ACL failure in script: ", "NOPERM"),
        ("has no permissions to run the 'select' command", "NOPERM"),
        (
            "can't access at least one of the keys mentioned in the command arguments",
            "NOPERM",
        ),
        ("Authentication required", "NOAUTH"),
        ("without any password configured", NO_PASSWORD_SET),
        ("invalid password", "WRONGPASS"),
        ("DB index is out of range", NO_DATABASE),
        ("SELECT is not allowed in cluster mode", "CLUSTERDOWN"),
        (MAX_CLIENTS, MAX_CLIENTS),
    ];
    // Errors that quote arguments begin with what is wrong, and could quote any of these.
    if detail.starts_with("unknown ") || detail.starts_with("Unknown ") {
        return None;
    }
    let inside = INSIDE.into_iter();
    let inside = inside.map(|word| (word, detail.contains(&format!("-{word} "))));
    let texts = TEXTS
        .into_iter()
        .map(|(text, word)| (word, detail.contains(text)));
    inside
        .chain(texts)
        .find_map(|(word, found)| found.then_some(word))
}

fn denied(code: &str, right: Option<String>) -> StoreError {
    let needs = match code {
        "NOAUTH" => "it wants a password",
        "WRONGPASS" => "user or password is wrong, or the user is disabled",
        NO_PASSWORD_SET => "it has no password, and the URL has one",
        _ => "the user's ACL does not allow this command or this record name",
    };
    StoreError::Denied {
        code: code.to_owned(),
        needs,
        right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_a_login_are_told_apart_whatever_their_code() {
        for (code, detail, told) in [
            (
                "ERR",
                "AUTH <password> called without any password configured for the default user. Are you \
                 sure your configuration is correct?",
                NO_PASSWORD_SET,
            ),
            ("ERR", "invalid password", "WRONGPASS"),
            ("WRONGPASS", "invalid username-password pair", "WRONGPASS"),
            ("NOAUTH", "Authentication required.", "NOAUTH"),
        ] {
            match answered(code, detail) {
                StoreError::Denied { code, .. } => assert_eq!(code, told),
                other => panic!("{other:?}"),
            }
        }
        let full = answered("ERR", "max number of clients reached");
        assert!(matches!(full, StoreError::NotReady { .. }), "{full:?}");
    }
}
