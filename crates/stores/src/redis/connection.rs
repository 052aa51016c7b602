//! The way to the server: TCP, TLS or unix socket, with reconnecting, time limits, and errors in
//! our words.

use std::path::Path;
use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, ClientTlsConfig, Cmd, Pipeline, RedisError, TlsCertificates, Value};

use crate::error::StoreError;
use crate::url::{RedisUrl, TlsFiles};

/// Time limits and retries of a Redis store.
#[derive(Clone, Copy, Debug)]
pub struct RedisOptions {
    /// How long a connection may take to come up.
    pub connect_timeout: Duration,
    /// How long an answer may take.
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

/// Connections to one server that come back by themselves.
pub(crate) struct Link {
    location: String,
    /// For all work: many calls share it, and their commands are pipelined.
    work: ConnectionManager,
    /// For measuring how long the server lets another client wait.
    probe: ConnectionManager,
}

impl Link {
    pub(crate) fn open(url: &RedisUrl, options: RedisOptions) -> Result<Self, StoreError> {
        let client = client(url)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(options.connect_timeout))
            .set_response_timeout(Some(options.response_timeout))
            .set_number_of_retries(options.retries)
            .set_min_delay(options.first_pause)
            .set_exponent_base(2.0);
        let manager = || {
            ConnectionManager::new_lazy_with_config(client.clone(), config.clone())
                .map_err(|error| explain(&url.location, &error))
        };
        Ok(Self {
            location: url.location.clone(),
            work: manager()?,
            probe: manager()?,
        })
    }

    pub(crate) fn location(&self) -> &str {
        &self.location
    }

    /// One command; an error of the server is an error.
    pub(crate) async fn send(&self, command: &Cmd) -> Result<Value, StoreError> {
        let answer = self.work.clone().send_packed_command(command).await;
        match answer.and_then(Value::extract_error) {
            Ok(value) => Ok(value),
            Err(error) => Err(self.explain(&error)),
        }
    }

    /// Many commands at once; an error of the server stands in its place among the answers.
    pub(crate) async fn send_all(
        &self,
        pipeline: &Pipeline,
        commands: usize,
    ) -> Result<Vec<Result<Value, RedisError>>, StoreError> {
        if commands == 0 {
            return Ok(Vec::new());
        }
        let answers = self
            .work
            .clone()
            .send_packed_commands(pipeline, 0, commands)
            .await;
        let answers = answers.map_err(|error| self.explain(&error))?;
        Ok(answers.into_iter().map(Value::extract_error).collect())
    }

    /// A transaction; the answer is that of `EXEC`.
    pub(crate) async fn send_transaction(
        &self,
        pipeline: &Pipeline,
        commands: usize,
    ) -> Result<Value, StoreError> {
        // Before the answer to EXEC come those to MULTI and to each queued command.
        let before = commands.saturating_add(1);
        let answers = self
            .work
            .clone()
            .send_packed_commands(pipeline, before, 1)
            .await;
        let answer = answers.map(|mut answers| answers.pop().unwrap_or_default());
        answer
            .and_then(Value::extract_error)
            .map_err(|error| self.explain(&error))
    }

    pub(crate) async fn ping(&self) -> Result<(), StoreError> {
        let answer = self
            .probe
            .clone()
            .send_packed_command(&redis::cmd("PING"))
            .await;
        answer.map(drop).map_err(|error| self.explain(&error))
    }

    pub(crate) fn explain(&self, error: &RedisError) -> StoreError {
        explain(&self.location, error)
    }
}

fn client(url: &RedisUrl) -> Result<Client, StoreError> {
    let built = match &url.tls {
        None => Client::open(url.address.as_str()),
        Some(files) => {
            choose_tls_provider();
            Client::build_with_tls(url.address.as_str(), certificates(&url.location, files)?)
        }
    };
    built.map_err(|error| explain(&url.location, &error))
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
        std::fs::read(path).map_err(|error| StoreError::Unavailable {
            location: location.to_owned(),
            cause: format!("cannot read {}: {error}", path.display()),
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
    };
    if error.is_timeout() {
        return unavailable("no answer in time".to_owned());
    }
    if error.is_connection_refusal() {
        return unavailable("the connection is refused".to_owned());
    }
    if let Some(code) = error.code() {
        return answered(code, error.detail().unwrap_or_default());
    }
    match error.kind() {
        redis::ErrorKind::AuthenticationFailed => denied("WRONGPASS"),
        redis::ErrorKind::Io if error.is_connection_dropped() => {
            unavailable("the connection was lost".to_owned())
        }
        // Texts of the operating system and of TLS: no arguments in them.
        redis::ErrorKind::Io => unavailable(error.to_string()),
        _ => StoreError::Other {
            code: error.category().to_owned(),
        },
    }
}

fn answered(code: &str, detail: &str) -> StoreError {
    // Servers before 7.0 wrap an error inside a script into a general one.
    const INSIDE: [&str; 4] = ["OOM", "READONLY", "MISCONF", "NOPERM"];
    let code = match code {
        "ERR" => INSIDE
            .into_iter()
            .find(|word| detail.contains(&format!("-{word} ")))
            .unwrap_or(code),
        other => other,
    };
    let word = || {
        let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        code.chars().filter(plain).take(24).collect::<String>()
    };
    match code {
        "NOAUTH" | "WRONGPASS" | "NOPERM" => denied(code),
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
        "LOADING" | "BUSY" | "MASTERDOWN" | "TRYAGAIN" => StoreError::NotReady { code: word() },
        "MOVED" | "ASK" | "CLUSTERDOWN" | "CROSSSLOT" => StoreError::Cluster { code: word() },
        "WRONGTYPE" => StoreError::WrongType,
        _ => StoreError::Other { code: word() },
    }
}

fn denied(code: &str) -> StoreError {
    let needs = match code {
        "NOAUTH" => "it wants a password",
        "WRONGPASS" => "user or password is wrong, or the user is disabled",
        _ => "the user's ACL does not allow this command or this record name",
    };
    StoreError::Denied {
        code: code.to_owned(),
        needs,
    }
}
