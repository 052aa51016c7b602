//! File descriptors of a process that serves clients. Clients, the admin address and the process itself each
//! have a share, so that none can exhaust those of the others.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use waxseal_units::thousands;

use crate::admin::MAX_CONNECTIONS;
use crate::notice;

/// Descriptors of the process beside its workers: standard streams, listeners, connections to store and
/// keyring, files, and clients that are being turned away.
const OF_PROCESS: usize = 64;
/// Descriptors of a worker beside its clients: its event loop, and spare connections to the server.
const OF_WORKER: usize = 28;
/// Descriptors of a client: its connection, and the one to the server.
const OF_CLIENT: usize = 2;
/// The default of `--max-connections`.
pub const MAX_CLIENTS: usize = 10_000;
/// More than any process opens.
const UNLIMITED: usize = 1 << 30;

/// The numbers of connections that the limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// The limit of this process.
    limit: usize,
    /// Clients that can be served.
    pub clients: usize,
    /// Connections to the admin address.
    pub admin: usize,
}

/// Raises the limit of this process as far as it may, and returns it.
fn raise_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let number = |it| usize::try_from(it).unwrap_or(UNLIMITED).min(UNLIMITED);
    current.map_or(UNLIMITED, number)
}

impl Shares {
    /// Raises the limit of this process as far as it may, and shares it between a proxy's clients, its admin
    /// address, and `workers` with `lanes` shared connections to the server each.
    #[must_use]
    pub fn reserve(workers: usize, lanes: usize) -> Self {
        Self::of_proxy(raise_limit(), workers, lanes)
    }

    fn of_proxy(limit: usize, workers: usize, lanes: usize) -> Self {
        let admin = (limit / 10).clamp(4, MAX_CONNECTIONS);
        let of_workers = workers.saturating_mul(OF_WORKER.saturating_add(lanes));
        let own = OF_PROCESS.saturating_add(admin).saturating_add(of_workers);
        Self {
            limit,
            clients: (limit.saturating_sub(own) / OF_CLIENT).max(1),
            admin,
        }
    }

    /// The number of clients that are served: as many as were asked for, or fewer where the limit does not allow
    /// that.
    #[must_use]
    pub fn allow_clients(self, asked: Option<usize>) -> usize {
        let wanted = asked.unwrap_or(MAX_CLIENTS);
        if self.clients >= wanted {
            return wanted;
        }
        let (clients, limit) = (thousands(self.clients as u64), thousands(self.limit as u64));
        let text =
            format!("at most {clients} clients are served: the limit of open files is {limit}");
        match asked {
            Some(asked) => {
                let asked = thousands(asked as u64);
                notice::warning_with_hint(
                    &format!("{text}, too low for --max-connections {asked}"),
                    "raise it with ulimit -n, LimitNOFILE= (systemd) or --ulimit nofile= (Docker), or \
                     lower --max-connections",
                );
            }
            None => tracing::info!("{text}"),
        }
        self.clients
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_fit_into_the_limit() {
        for limit in [200, 256, 1024, 65_536, 1 << 20] {
            for workers in [1, 4] {
                let shares = Shares::of_proxy(limit, workers, 2);
                let used = OF_PROCESS + workers * 30 + shares.admin + OF_CLIENT * shares.clients;
                let least = OF_PROCESS + workers * 30 + shares.admin + OF_CLIENT;
                assert!(used <= limit.max(least), "{limit} {workers}: {shares:?}");
            }
        }
        assert_eq!(Shares::of_proxy(10, 4, 2).clients, 1);
        assert_eq!(Shares::of_proxy(1 << 20, 4, 2).admin, MAX_CONNECTIONS);
    }
}
