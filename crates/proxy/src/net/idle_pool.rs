//! A pool of idle upstream connections, connected and logged in, so that a client that leaves its lane need not wait for
//! the server. Some were opened ahead of need; some were returned by clients that left no trace on them.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use tokio::time::{Instant, timeout};
use waxseal_resp::ReplyScanner;

use super::buffer::OutputBuffer;
use super::socket::{self, Socket};
use super::worker::Worker;
use crate::clients::SharedConnection;
use crate::connection::OWN_PING;
use crate::pending::Protocol;

/// Maximum size of the pool.
const MAX_IDLE: usize = 16;
/// Maximum number of connections opened ahead of need, however many clients leave their lanes at once.
const MAX_AHEAD: usize = 8;

/// The idle connections of one worker.
#[derive(Default)]
pub(crate) struct IdlePool {
    idle: RefCell<Vec<IdleConnection>>,
    /// Connections that are being opened.
    connecting: Cell<usize>,
    /// Connections to have ready: doubled when they did not suffice.
    target: Cell<usize>,
}

/// An upstream connection without requests under way.
pub(crate) struct IdleConnection {
    pub(crate) socket: Socket,
    /// The protocol that it speaks.
    pub(crate) protocol: Protocol,
    /// Marks the connection as one that belongs to no single client.
    shared: Option<SharedConnection>,
    /// The time at which bytes were received on it last.
    last_activity: Instant,
}

impl IdleConnection {
    /// Wraps a connection that speaks this protocol.
    pub(crate) fn new(socket: Socket, protocol: Protocol, worker: &Worker) -> Self {
        let shared = worker.settings.clients.share(socket.local);
        Self {
            socket,
            protocol,
            shared,
            last_activity: Instant::now(),
        }
    }
}

impl IdlePool {
    /// Takes a connection for a client that speaks this protocol: one that speaks it, or one of RESP2, with which every
    /// connection begins. Opens another one in its place.
    pub(crate) fn take(&self, protocol: Protocol, worker: &Rc<Worker>) -> Option<IdleConnection> {
        let taken = {
            let mut idle = self.idle.borrow_mut();
            idle.retain(|it| !worker.settings.is_outdated(it.socket.epoch));
            let position = |protocol| idle.iter().position(|it| it.protocol == protocol);
            let at = position(protocol).or_else(|| position(Protocol::Resp2));
            at.map(|at| idle.swap_remove(at))
        };
        let taken = taken.map(|mut connection| {
            connection.shared = None;
            connection
        });
        if taken.is_none() {
            let target = self.target.get().saturating_mul(2).clamp(1, MAX_AHEAD);
            self.target.set(target);
        }
        self.refill(worker);
        taken
    }

    /// Puts a connection into the pool, or closes it if the pool is full.
    pub(crate) fn put(&self, connection: IdleConnection) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
    }

    /// Sends a `PING` on connections that were silent for too long, and closes those that were opened before the last
    /// switch. A connection is out of the pool until its reply is received, and closed if none is.
    pub(crate) fn keep_alive(&self, worker: &Rc<Worker>) {
        let keepalive = worker.settings.upstream.keepalive;
        let silent: Vec<IdleConnection> = {
            let mut idle = self.idle.borrow_mut();
            idle.retain(|it| !worker.settings.is_outdated(it.socket.epoch));
            let is_silent = |it: &mut IdleConnection| it.last_activity.elapsed() >= keepalive;
            idle.extract_if(.., is_silent).collect()
        };
        for mut connection in silent {
            let worker = worker.clone();
            tokio::task::spawn_local(async move {
                let limit = worker.settings.limits.stalled;
                if let Ok(true) = timeout(limit, ping(&mut connection.socket)).await {
                    connection.last_activity = Instant::now();
                    worker.idle_pool.put(connection);
                }
            });
        }
    }

    /// Opens connections until enough are ready for the clients that may leave their lanes. A failure is left to the
    /// client that needs the connection: it tries again, and gets the error.
    pub(crate) fn refill(&self, worker: &Rc<Worker>) {
        if worker.is_draining() {
            return;
        }
        self.target.set(self.target.get().max(1));
        // Only connections of RESP2 serve every client.
        let idle = self.idle.borrow();
        let usable = idle.iter().filter(|it| {
            it.protocol == Protocol::Resp2 && !worker.settings.is_outdated(it.socket.epoch)
        });
        let ready = usable.count().saturating_add(self.connecting.get());
        let target = self.target.get().min(worker.clients_on_lanes());
        for _ in ready..target {
            self.connecting.set(self.connecting.get().saturating_add(1));
            let guard = ConnectingGuard(worker.clone());
            tokio::task::spawn_local(async move {
                if let Some(socket) = guard.0.settings.connect_and_log_in().await {
                    let connection = IdleConnection::new(socket, Protocol::Resp2, &guard.0);
                    guard.0.idle_pool.put(connection);
                }
            });
        }
    }
}

/// Sends a `PING`. Returns true if exactly its reply was received.
async fn ping(socket: &mut Socket) -> bool {
    let mut output = OutputBuffer::default();
    output.end().extend_from_slice(OWN_PING);
    let mut scanner = ReplyScanner::new();
    let mut bytes = [0; 512];
    poll_fn(|cx| {
        if socket::write(socket, &mut output, cx).is_err() {
            return Poll::Ready(false);
        }
        let received = match socket::read(socket, &mut bytes, cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(0) => return Poll::Ready(false),
            Poll::Ready(len) => bytes.get(..len).unwrap_or_default(),
        };
        match scanner.scan(received) {
            Ok(progress) if progress.done => {
                socket.all_answered();
                Poll::Ready(progress.used == received.len())
            }
            // The reply is short: it is never split.
            _ => Poll::Ready(false),
        }
    })
    .await
}

/// Counts a connection that is being opened until this is dropped.
struct ConnectingGuard(Rc<Worker>);

impl Drop for ConnectingGuard {
    fn drop(&mut self) {
        let connecting = &self.0.idle_pool.connecting;
        connecting.set(connecting.get().saturating_sub(1));
    }
}
