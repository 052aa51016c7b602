//! The server's limits for one connection, as far as the proxy must respect them: the size of a request, and whether the
//! server could close a shared connection for the load of all its clients. Read from the server's configuration if that
//! is allowed; otherwise the server's defaults are assumed.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use waxseal_compute::Dialect;

/// The default of `proto-max-bulk-len`.
const DEFAULT_MAX_BULK: u64 = 512 * 1024 * 1024;
/// The default of `client-query-buffer-limit`.
const DEFAULT_QUERY_BUFFER: u64 = 1024 * 1024 * 1024;
/// The behaviour that is assumed of a server that does not say which it is.
const DEFAULT_DIALECT: Dialect = Dialect::redis(7, 0);
/// Bytes after an argument in the query buffer.
const END_OF_ARGUMENT: u64 = 2;

/// Settings of a server that limit single connections; `None` for those that the server does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSettings {
    /// The longest argument of a request: `proto-max-bulk-len`.
    pub max_bulk: Option<u64>,
    /// The maximum size of an incomplete request: `client-query-buffer-limit`.
    pub query_buffer: Option<u64>,
    /// The hard and the soft limit of `client-output-buffer-limit normal`; 0 is unlimited.
    pub output_buffer: Option<(u64, u64)>,
    /// `maxmemory-clients` as it is written there.
    pub clients_memory: Option<String>,
    /// The proxy may not read some of them.
    pub is_refused: bool,
    /// The behaviour of its commands, by product and version; `None` if it does not say which it is.
    pub dialect: Option<Dialect>,
}

/// A limit of the server because of which clients cannot share connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionLimit {
    /// It closes a connection whose replies exceed a limit.
    OutputBuffer,
    /// It closes those connections that take the most memory.
    ClientsMemory,
}

impl ConnectionLimit {
    /// The name of the setting.
    #[must_use]
    pub fn setting(self) -> &'static str {
        match self {
            Self::OutputBuffer => "client-output-buffer-limit normal",
            Self::ClientsMemory => "maxmemory-clients",
        }
    }
}

impl ServerSettings {
    /// The limit because of which clients cannot share connections, if there is one: the server treats the clients of a
    /// shared connection as one, and could close it for all of them.
    #[must_use]
    pub fn connection_limit(&self) -> Option<ConnectionLimit> {
        let limits_memory = |text: &String| !matches!(text.as_str(), "" | "0" | "0%");
        if self.output_buffer.is_some_and(|limits| limits != (0, 0)) {
            Some(ConnectionLimit::OutputBuffer)
        } else if self.clients_memory.as_ref().is_some_and(limits_memory) {
            Some(ConnectionLimit::ClientsMemory)
        } else {
            None
        }
    }

    /// The maximum length of a value that the server accepts.
    #[must_use]
    pub fn max_value(&self) -> MaxValue {
        let bulk = self.max_bulk.unwrap_or(DEFAULT_MAX_BULK);
        let query_buffer = self.query_buffer.unwrap_or(DEFAULT_QUERY_BUFFER);
        MaxValue::of(bulk, query_buffer)
    }
}

/// The maximum length of a value that a server accepts, and the setting that limits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxValue {
    /// Bytes as stored.
    pub bytes: u64,
    /// The name of the setting.
    pub setting: &'static str,
}

impl MaxValue {
    fn of(bulk: u64, query_buffer: u64) -> Self {
        let fits = query_buffer.saturating_sub(END_OF_ARGUMENT);
        if fits < bulk {
            Self {
                bytes: fits,
                setting: "client-query-buffer-limit",
            }
        } else {
            Self {
                bytes: bulk,
                setting: "proto-max-bulk-len",
            }
        }
    }
}

/// The limits in force.
pub(crate) struct ServerLimits {
    max_bulk: AtomicU64,
    query_buffer: AtomicU64,
    limits_connections: AtomicBool,
    dialect: RwLock<Option<Dialect>>,
    /// The state that was logged last: an index into the lines of [`ServerLimits::log_change`].
    logged: AtomicU8,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            max_bulk: AtomicU64::new(DEFAULT_MAX_BULK),
            query_buffer: AtomicU64::new(DEFAULT_QUERY_BUFFER),
            limits_connections: AtomicBool::new(false),
            dialect: RwLock::default(),
            logged: AtomicU8::new(0),
        }
    }
}

impl ServerLimits {
    /// Applies settings that were read. Settings that can no longer be read stay in force.
    pub(crate) fn update(&self, settings: &ServerSettings) {
        if let Some(bulk) = settings.max_bulk {
            self.max_bulk.store(bulk, Ordering::Relaxed);
        }
        if let Some(query_buffer) = settings.query_buffer {
            self.query_buffer.store(query_buffer, Ordering::Relaxed);
        }
        if settings.dialect.is_some() {
            let dialect = self.dialect.write();
            *dialect.unwrap_or_else(PoisonError::into_inner) = settings.dialect;
        }
        let limit = settings.connection_limit();
        if limit.is_none() && settings.is_refused && self.limits_connections() {
            return;
        }
        self.limits_connections
            .store(limit.is_some(), Ordering::Relaxed);
        self.log_change(settings, limit);
    }

    /// Logs a change of the limits.
    fn log_change(&self, settings: &ServerSettings, limit: Option<ConnectionLimit>) {
        let now = match limit {
            Some(ConnectionLimit::OutputBuffer) => 1,
            Some(ConnectionLimit::ClientsMemory) => 2,
            None if settings.is_refused => 3,
            None => 0,
        };
        let before = self.logged.swap(now, Ordering::Relaxed);
        if now == before {
            return;
        }
        match limit {
            Some(limit) => tracing::info!(
                "the server limits single connections ({}): each client gets a connection of its own, whatever \
                 --upstream says",
                limit.setting()
            ),
            None if settings.is_refused => tracing::info!(
                "the server's limits cannot be read (CONFIG GET is not allowed): its defaults are assumed, values of \
                 512 MiB and no limit of single connections"
            ),
            None => tracing::info!(
                "the server does not limit single connections: clients share them again"
            ),
        }
    }

    /// The maximum length of a value that the server accepts.
    #[inline]
    pub(crate) fn max_value(&self) -> MaxValue {
        let bulk = self.max_bulk.load(Ordering::Relaxed);
        MaxValue::of(bulk, self.query_buffer.load(Ordering::Relaxed))
    }

    /// The behaviour of the server's commands. Of a server that does not say which it is, what all have in common.
    pub(crate) fn dialect(&self) -> Dialect {
        let dialect = *self.dialect.read().unwrap_or_else(PoisonError::into_inner);
        let max_bulk = self.max_bulk.load(Ordering::Relaxed);
        dialect.unwrap_or(DEFAULT_DIALECT).with_max_bulk(max_bulk)
    }

    /// True if the server could close a shared connection for the load of all its clients.
    #[inline]
    pub(crate) fn limits_connections(&self) -> bool {
        self.limits_connections.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_of_two_limits_applies() {
        let limits = ServerLimits::default();
        assert_eq!(limits.max_value().bytes, DEFAULT_MAX_BULK);
        let mut settings = ServerSettings {
            max_bulk: Some(1 << 20),
            ..ServerSettings::default()
        };
        limits.update(&settings);
        assert_eq!(limits.max_value(), settings.max_value());
        assert_eq!(limits.max_value().setting, "proto-max-bulk-len");
        settings.query_buffer = Some(1 << 20);
        limits.update(&settings);
        let max = limits.max_value();
        assert_eq!(max.bytes, (1 << 20) - 2);
        assert_eq!(max.setting, "client-query-buffer-limit");
    }

    #[test]
    fn connections_are_shared_unless_the_server_limits_them() {
        let limits = ServerLimits::default();
        let output = |hard, soft| ServerSettings {
            output_buffer: Some((hard, soft)),
            ..ServerSettings::default()
        };
        let memory = |text: &str| ServerSettings {
            clients_memory: Some(text.to_owned()),
            ..ServerSettings::default()
        };
        for (settings, limited) in [
            (output(0, 0), false),
            (output(1 << 30, 0), true),
            (output(0, 1), true),
            (memory("0"), false),
            (memory("5%"), true),
            (memory("104857600"), true),
            (ServerSettings::default(), false),
        ] {
            limits.update(&settings);
            assert_eq!(limits.limits_connections(), limited, "{settings:?}");
        }
        // A known limit stays in force when it can no longer be read.
        limits.update(&output(1, 0));
        let refused = ServerSettings {
            is_refused: true,
            ..ServerSettings::default()
        };
        limits.update(&refused);
        assert!(limits.limits_connections());
    }
}
