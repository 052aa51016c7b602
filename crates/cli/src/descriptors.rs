//! File descriptors of a process that serves: how many there may be, and who may use them. Clients, the
//! admin address and the process itself each have a share, so that none can take those of the others.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use waxseal_proxy::Admin;

use crate::output::{self, thousands};

/// What the process opens beside its workers: standard streams, listeners, connections to store and
/// keyring, files, and clients that are being turned away.
const OF_PROCESS: usize = 64;
/// What a worker opens beside its clients: its event loop, and spare connections to the server.
const OF_WORKER: usize = 28;
/// A client, and its connection to the server.
const OF_CLIENT: usize = 2;
/// Clients where nothing else is said.
pub(crate) const MAX_CLIENTS: usize = 10_000;
/// More than any process opens.
const UNLIMITED: usize = 1 << 30;

/// How many connections there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shares {
    /// Descriptors of the process.
    limit: usize,
    pub(crate) clients: usize,
    pub(crate) admin: usize,
}

/// Raises the limit of this process as far as it may, and gives it.
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
    /// address, and so many workers with so many shared connections to the server each.
    pub(crate) fn reserve(workers: usize, lanes: usize) -> Self {
        Self::of_proxy(raise_limit(), workers, lanes)
    }

    fn of_proxy(limit: usize, workers: usize, lanes: usize) -> Self {
        let admin = (limit / 10).clamp(4, Admin::MAX_CONNECTIONS);
        let of_workers = workers.saturating_mul(OF_WORKER.saturating_add(lanes));
        let own = OF_PROCESS.saturating_add(admin).saturating_add(of_workers);
        Self {
            limit,
            clients: (limit.saturating_sub(own) / OF_CLIENT).max(1),
            admin,
        }
    }

    /// How many clients are served: as many as were asked for, or fewer where the limit does not allow that.
    pub(crate) fn allow_clients(self, asked: Option<usize>) -> usize {
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
                output::complain(
                    "warning",
                    &format!("{text}, too low for --max-connections {asked}"),
                );
                output::advise(
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
        assert_eq!(
            Shares::of_proxy(1 << 20, 4, 2).admin,
            Admin::MAX_CONNECTIONS
        );
    }
}
