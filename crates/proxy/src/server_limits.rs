//! The server's limits for one connection, as far as the proxy must respect them: what a request may hold, and
//! whether a connection that many clients share would be closed for what they do together. Read from the
//! server's configuration where that is allowed; else the server's defaults are assumed.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// `proto-max-bulk-len` of a server that was not configured otherwise.
const DEFAULT_MAX_BULK: u64 = 512 * 1024 * 1024;
/// `client-query-buffer-limit` of a server that was not configured otherwise.
const DEFAULT_QUERY_BUFFER: u64 = 1024 * 1024 * 1024;
/// Bytes that stand behind an argument in the query buffer.
const END_OF_ARGUMENT: u64 = 2;

/// Settings of a server that limit single connections, as it told them; those that it does not have are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerSettings {
    /// The longest argument of a request: `proto-max-bulk-len`.
    pub max_bulk: Option<u64>,
    /// What is held of a request that is not whole: `client-query-buffer-limit`.
    pub query_buffer: Option<u64>,
    /// The hard and the soft limit of `client-output-buffer-limit normal`; 0 is none.
    pub output_buffer: Option<(u64, u64)>,
    /// `maxmemory-clients` as it is written there.
    pub clients_memory: Option<String>,
    /// The proxy may not read some of them.
    pub is_refused: bool,
}

/// Why clients cannot share connections to this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionLimit {
    /// It closes a connection whose replies exceed a limit.
    OutputBuffer,
    /// It closes those connections that take the most memory.
    ClientsMemory,
}

impl ConnectionLimit {
    /// The setting.
    #[must_use]
    pub fn setting(self) -> &'static str {
        match self {
            Self::OutputBuffer => "client-output-buffer-limit normal",
            Self::ClientsMemory => "maxmemory-clients",
        }
    }
}

impl ServerSettings {
    /// Why clients cannot share connections, if so: on a shared one they are treated as one client, so that each
    /// could be closed for what the others do.
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

    /// The longest value that the server takes.
    #[must_use]
    pub fn max_value(&self) -> MaxValue {
        let bulk = self.max_bulk.unwrap_or(DEFAULT_MAX_BULK);
        let query_buffer = self.query_buffer.unwrap_or(DEFAULT_QUERY_BUFFER);
        MaxValue::of(bulk, query_buffer)
    }
}

/// The longest value that a server takes, and the setting that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxValue {
    /// Bytes as they are stored.
    pub bytes: u64,
    /// The setting.
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

/// The limits that are respected now.
pub(crate) struct ServerLimits {
    max_bulk: AtomicU64,
    query_buffer: AtomicU64,
    limits_connections: AtomicBool,
    /// What the log was told last: an index into the sentences of [`ServerLimits::tell`].
    told: AtomicU8,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            max_bulk: AtomicU64::new(DEFAULT_MAX_BULK),
            query_buffer: AtomicU64::new(DEFAULT_QUERY_BUFFER),
            limits_connections: AtomicBool::new(false),
            told: AtomicU8::new(0),
        }
    }
}

impl ServerLimits {
    /// The server has told its settings. What it no longer tells stays as it was.
    pub(crate) fn update(&self, settings: &ServerSettings) {
        if let Some(bulk) = settings.max_bulk {
            self.max_bulk.store(bulk, Ordering::Relaxed);
        }
        if let Some(query_buffer) = settings.query_buffer {
            self.query_buffer.store(query_buffer, Ordering::Relaxed);
        }
        let limit = settings.connection_limit();
        if limit.is_none() && settings.is_refused && self.limits_connections() {
            return;
        }
        self.limits_connections
            .store(limit.is_some(), Ordering::Relaxed);
        self.tell(settings, limit);
    }

    /// Tells the log what has changed.
    fn tell(&self, settings: &ServerSettings, limit: Option<ConnectionLimit>) {
        let now = match limit {
            Some(ConnectionLimit::OutputBuffer) => 1,
            Some(ConnectionLimit::ClientsMemory) => 2,
            None if settings.is_refused => 3,
            None => 0,
        };
        let before = self.told.swap(now, Ordering::Relaxed);
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

    /// The longest value that the server takes.
    #[inline]
    pub(crate) fn max_value(&self) -> MaxValue {
        let bulk = self.max_bulk.load(Ordering::Relaxed);
        MaxValue::of(bulk, self.query_buffer.load(Ordering::Relaxed))
    }

    /// Whether the server could close a shared connection for what its clients do together.
    #[inline]
    pub(crate) fn limits_connections(&self) -> bool {
        self.limits_connections.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_of_two_limits_is_the_one_that_counts() {
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
    fn connections_are_shared_where_the_server_does_not_limit_them() {
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
        // What is known is not forgotten where it can no longer be read.
        limits.update(&output(1, 0));
        let refused = ServerSettings {
            is_refused: true,
            ..ServerSettings::default()
        };
        limits.update(&refused);
        assert!(limits.limits_connections());
    }
}
