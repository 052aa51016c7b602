//! Bounds on the replies that wait for clients which do not read them: for each client, and for all clients together. A
//! client beyond the first bound is disconnected; beyond the second, the client with the most unread replies is. Bytes
//! are counted in coarse steps, so that clients which read cost nothing.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use waxseal_log_limit::SharedLineLimit;
use waxseal_metrics::DisconnectReason;

use crate::clients::{Client, Clients};
use crate::meters::Meters;

/// Bytes of one client are counted in multiples of this.
const STEP: usize = 64 * 1024;
/// Between two lines of the log about disconnected clients.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The replies that wait for all clients of a proxy.
pub(crate) struct ReplyBuffers {
    max_client: usize,
    max_total: usize,
    /// The sum over all clients.
    total: AtomicUsize,
    clients: Arc<Clients>,
    meters: Option<Arc<Meters>>,
    log_limit: SharedLineLimit,
    /// Held while the metric is set, so that an older total never replaces a newer one.
    metric: Mutex<()>,
}

/// The bound that is exceeded.
#[derive(Clone, Copy)]
enum Bound {
    Client,
    Total,
}

/// The steps that were counted for a client. The owner counts zero bytes before it drops this.
#[derive(Default)]
pub(crate) struct CountedSteps(usize);

impl CountedSteps {
    /// True if this many bytes are another number of steps.
    #[inline]
    pub(crate) fn differs_from(&self, bytes: usize) -> bool {
        bytes / STEP != self.0
    }
}

impl ReplyBuffers {
    pub(crate) fn new(
        (max_client, max_total): (usize, usize),
        clients: Arc<Clients>,
        meters: Option<Arc<Meters>>,
    ) -> Self {
        Self {
            max_client,
            max_total,
            total: AtomicUsize::new(0),
            clients,
            meters,
            log_limit: SharedLineLimit::new(1, LOG_INTERVAL),
            metric: Mutex::default(),
        }
    }

    /// Counts the bytes that wait for this client now. Disconnects clients if a bound is exceeded.
    #[cold]
    pub(crate) fn count(&self, client: &Arc<Client>, counted: &mut CountedSteps, bytes: usize) {
        counted.0 = bytes / STEP;
        let now = counted.0.saturating_mul(STEP);
        let before = client.waiting.swap(now, Ordering::Relaxed);
        let total = if now >= before {
            let more = now - before;
            self.total.fetch_add(more, Ordering::Relaxed) + more
        } else {
            let less = before - now;
            self.total.fetch_sub(less, Ordering::Relaxed) - less
        };
        self.set_metric();
        if client.is_killed() || now <= before {
            return;
        }
        if bytes > self.max_client {
            self.disconnect(client, Bound::Client);
        } else if total > self.max_total {
            self.disconnect_largest();
        }
    }

    fn set_metric(&self) {
        if let Some(meters) = &self.meters {
            let _guard = self.metric.lock().unwrap_or_else(PoisonError::into_inner);
            meters
                .traffic
                .set_buffered(self.total.load(Ordering::Relaxed));
        }
    }

    /// Disconnects the client with the most unread replies. These count no longer, so that other threads which get here
    /// at the same moment do not disconnect more clients than necessary.
    fn disconnect_largest(&self) {
        let all = self.clients.all();
        let waiting = |client: &Arc<Client>| client.waiting.load(Ordering::Relaxed);
        let counted = all.iter().filter(|client| waiting(client) > 0);
        if let Some(client) = counted.max_by_key(|client| waiting(client)) {
            self.disconnect(client, Bound::Total);
        }
    }

    fn disconnect(&self, client: &Client, bound: Bound) {
        if !client.kill() {
            return;
        }
        let bytes = client.waiting.swap(0, Ordering::Relaxed);
        self.total.fetch_sub(bytes, Ordering::Relaxed);
        self.set_metric();
        if let Some(meters) = &self.meters {
            meters.traffic.disconnected(match bound {
                Bound::Client => DisconnectReason::NotReading,
                Bound::Total => DisconnectReason::BuffersFull,
            });
        }
        self.log(client, bytes, bound);
    }

    fn log(&self, client: &Client, bytes: usize, bound: Bound) {
        let Some(suppressed) = self.log_limit.admit() else {
            return;
        };
        let before = match suppressed {
            0 => String::new(),
            count => format!(" ({count} more since the last such line)"),
        };
        let (mib, client) = (bytes >> 20, &client.address);
        match bound {
            Bound::Client => tracing::warn!(
                "disconnected a client that does not read its replies: {mib} MiB waited for {client}, more than \
                 --max-client-buffer allows{before}"
            ),
            Bound::Total => tracing::warn!(
                "disconnected the client with the most unread replies: {mib} MiB waited for {client}, and for all \
                 clients more than --max-total-buffer allows{before}"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn clients(buffers: &ReplyBuffers, count: usize) -> Vec<crate::clients::Registration> {
        let address = |number| format!("127.0.0.1:{number}");
        let register = |number| buffers.clients.register(address(number));
        (0..count).map(register).collect()
    }

    #[test]
    fn a_client_beyond_its_bound_is_disconnected_and_no_longer_counted() {
        let buffers = ReplyBuffers::new((MIB, 10 * MIB), Arc::default(), None);
        let registered = clients(&buffers, 2);
        let client = &registered[0].client;
        let mut counted = CountedSteps::default();
        for bytes in [100, STEP - 1] {
            assert!(!counted.differs_from(bytes));
        }
        assert!(counted.differs_from(STEP));
        buffers.count(client, &mut counted, MIB);
        assert!(!client.is_killed());
        assert_eq!(buffers.total.load(Ordering::Relaxed), MIB);
        buffers.count(client, &mut counted, MIB + STEP);
        assert!(client.is_killed());
        assert_eq!(buffers.total.load(Ordering::Relaxed), 0);
        // Bytes that were subtracted at the disconnection are not subtracted twice.
        buffers.count(client, &mut counted, 0);
        assert_eq!(buffers.total.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn beyond_the_total_the_client_with_the_most_is_disconnected() {
        let buffers = ReplyBuffers::new((8 * MIB, 10 * MIB), Arc::default(), None);
        let registered = clients(&buffers, 3);
        let mut counted: [CountedSteps; 3] = Default::default();
        for (at, bytes) in [(0, 3 * MIB), (1, 5 * MIB), (2, 2 * MIB)] {
            buffers.count(&registered[at].client, &mut counted[at], bytes);
        }
        assert!(registered.iter().all(|it| !it.client.is_killed()));
        // The client that exceeds the bound is not the one with the most unread replies.
        buffers.count(&registered[2].client, &mut counted[2], 2 * MIB + STEP);
        let killed = registered.iter().map(|it| it.client.is_killed());
        assert_eq!(killed.collect::<Vec<_>>(), [false, true, false]);
        let left = 5 * MIB + STEP;
        assert_eq!(buffers.total.load(Ordering::Relaxed), left);
    }
}
