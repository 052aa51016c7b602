//! The proxy's clients, for `CLIENT LIST` and `CLIENT KILL`. A server sees connections of the proxy: one for each client
//! with a dedicated connection, and lanes, which belong to many. This registry knows the clients of each connection, so that a
//! client is listed and killed by its own address and name, and never together with others.
//!
//! Connections are identified by their local address, which the server shows as the peer's address. If it does not (a
//! unix socket to the server, an address that is translated on the way), the server's own lines are shown.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Instant;

use crate::pending::LabelKind;

pub(crate) mod kill;
pub(crate) mod list;

/// The first identifier of clients without a dedicated connection: far beyond those that a server counts up from 1, and
/// small enough for clients that store numbers as floating point.
pub(crate) const FIRST_ID: u64 = 1 << 52;

/// All clients of a proxy.
#[derive(Default)]
pub(crate) struct Clients {
    entries: Mutex<HashMap<u64, Arc<Client>>>,
    /// Local addresses of connections to the server that are not dedicated to a client.
    shared: Mutex<HashMap<SocketAddr, usize>>,
    opened: AtomicU64,
    /// The user of the store's URL.
    user: String,
}

/// One client.
pub(crate) struct Client {
    /// Its identifier while it has no dedicated connection.
    pub(crate) id: u64,
    /// Its address, as servers show addresses.
    pub(crate) address: String,
    pub(crate) connected_at: Instant,
    state: Mutex<State>,
    killed: AtomicBool,
    /// Bytes of replies that are buffered for it, as far as they are counted.
    pub(crate) waiting: AtomicUsize,
    waker: Mutex<Option<Waker>>,
}

#[derive(Default)]
struct State {
    connection: Connection,
    labels: [Option<Box<[u8]>>; 3],
}

/// The connection to the server that a client's requests are sent on.
#[derive(Default)]
pub(crate) enum Connection {
    /// No connection yet.
    #[default]
    None,
    /// A lane, and its local address once it is connected.
    Lane(Arc<OnceLock<SocketAddr>>),
    /// A dedicated one, and its local address if it has one.
    Dedicated(Option<SocketAddr>),
}

/// A client, registered until this is dropped.
pub(crate) struct Registration {
    pub(crate) clients: Arc<Clients>,
    pub(crate) client: Arc<Client>,
}

/// A connection to the server that is not dedicated to a client, until this is dropped.
pub(crate) struct SharedConnection {
    clients: Arc<Clients>,
    address: SocketAddr,
}

impl Clients {
    /// No clients; the proxy is this user at the server.
    pub(crate) fn new(user: Option<&str>) -> Self {
        Self {
            user: user.unwrap_or("default").to_owned(),
            ..Self::default()
        }
    }

    /// Registers a client that has connected from this address.
    pub(crate) fn register(self: &Arc<Self>, address: String) -> Registration {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        let client = Arc::new(Client {
            id: FIRST_ID.saturating_add(number),
            address,
            connected_at: Instant::now(),
            state: Mutex::default(),
            killed: AtomicBool::new(false),
            waiting: AtomicUsize::new(0),
            waker: Mutex::default(),
        });
        locked(&self.entries).insert(client.id, client.clone());
        Registration {
            clients: self.clone(),
            client,
        }
    }

    /// Registers a connection to the server that is not dedicated to a client.
    pub(crate) fn share(self: &Arc<Self>, address: Option<SocketAddr>) -> Option<SharedConnection> {
        let address = canonical(address?);
        let mut shared = locked(&self.shared);
        let count = shared.entry(address).or_default();
        *count = count.saturating_add(1);
        drop(shared);
        Some(SharedConnection {
            clients: self.clone(),
            address,
        })
    }

    /// True if the server's connection with this address is not dedicated to a client.
    pub(crate) fn is_shared(&self, address: SocketAddr) -> bool {
        locked(&self.shared).contains_key(&canonical(address))
    }

    /// True if a client has this address. Clients of a unix socket share one.
    pub(crate) fn has_address(&self, address: &[u8]) -> bool {
        let entries = locked(&self.entries);
        entries
            .values()
            .any(|client| client.address.as_bytes() == address)
    }

    /// All clients, in the order in which they connected.
    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        let mut all: Vec<_> = locked(&self.entries).values().cloned().collect();
        all.sort_unstable_by_key(|client| client.id);
        all
    }
}

impl Client {
    /// The client's requests are sent on this connection from here on.
    pub(crate) fn set_connection(&self, connection: Connection) {
        locked(&self.state).connection = connection;
    }

    /// The local address of the connection to the server that its requests are sent on.
    pub(crate) fn upstream_address(&self) -> Option<SocketAddr> {
        match &locked(&self.state).connection {
            Connection::None => None,
            Connection::Lane(lane) => lane.get().copied(),
            Connection::Dedicated(own) => *own,
        }
        .map(canonical)
    }

    pub(crate) fn has_dedicated_connection(&self) -> bool {
        matches!(locked(&self.state).connection, Connection::Dedicated(_))
    }

    /// Sets a label that the server has accepted; an empty one removes it.
    pub(crate) fn set_label(&self, kind: LabelKind, label: &[u8]) {
        let [name, library, version] = &mut locked(&self.state).labels;
        let slot = match kind {
            LabelKind::Name => name,
            LabelKind::Library => library,
            LabelKind::Version => version,
        };
        *slot = (!label.is_empty()).then(|| label.into());
    }

    pub(crate) fn label(&self, kind: LabelKind) -> Option<Box<[u8]>> {
        let [name, library, version] = &locked(&self.state).labels;
        match kind {
            LabelKind::Name => name,
            LabelKind::Library => library,
            LabelKind::Version => version,
        }
        .clone()
    }

    /// Closes the client's connection, whichever thread serves it. Returns false if it was killed before.
    pub(crate) fn kill(&self) -> bool {
        let was_killed = self.killed.swap(true, Ordering::AcqRel);
        self.wake();
        !was_killed
    }

    /// Wakes the task that serves it, whichever thread that is on.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &*locked(&self.waker) {
            waker.wake_by_ref();
        }
    }

    pub(crate) fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Acquire)
    }

    /// Sets the task that serves it.
    pub(crate) fn set_waker(&self, waker: Waker) {
        *locked(&self.waker) = Some(waker);
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        locked(&self.clients.entries).remove(&self.client.id);
        *locked(&self.client.waker) = None;
    }
}

impl Drop for SharedConnection {
    fn drop(&mut self) {
        let mut shared = locked(&self.clients.shared);
        if let Some(count) = shared.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                shared.remove(&self.address);
            }
        }
    }
}

/// Parses an address as servers show it.
fn parse(address: &[u8]) -> Option<SocketAddr> {
    let address = std::str::from_utf8(address).ok()?.parse().ok()?;
    Some(canonical(address))
}

/// The form of an address for comparisons: some servers show IPv4 as IPv6, and none shows the zone.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Locks a mutex. What these protect is consistent at every moment, so a panic of another thread does no harm.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
