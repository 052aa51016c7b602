//! Spare upstream connections: connected and logged in, so that a client that leaves its lane need not
//! wait for the server. Some were opened ahead; some were given back by clients that left no trace.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use tokio::time::{Instant, timeout};
use waxseal_resp::ReplyScanner;

use super::buffer::Outgoing;
use super::socket::{self, Socket};
use super::worker::Worker;
use crate::clients::SharedConnection;
use crate::connection::OWN_PING;
use crate::pending::Protocol;

/// Connections that are kept at most.
const MAX_SPARES: usize = 16;
/// Connections that are opened ahead at most, however many clients leave their lanes at once.
const MAX_AHEAD: usize = 8;

/// The spare connections of one worker.
#[derive(Default)]
pub(crate) struct Spares {
    ready: RefCell<Vec<Spare>>,
    /// Connections that are being opened.
    opening: Cell<usize>,
    /// Connections to have ready: more where they did not suffice.
    ahead: Cell<usize>,
}

/// An upstream connection that nothing is under way on.
pub(crate) struct Spare {
    pub(crate) socket: Socket,
    /// What it speaks.
    pub(crate) protocol: Protocol,
    /// It belongs to no one client.
    shared: Option<SharedConnection>,
    /// When something last came on it.
    last_activity: Instant,
}

impl Spare {
    /// This connection, which speaks this protocol.
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

impl Spares {
    /// A connection for a client that speaks this protocol: one that speaks it, or RESP2, with which
    /// every connection begins. Opens others in its place.
    pub(crate) fn take(&self, protocol: Protocol, worker: &Rc<Worker>) -> Option<Spare> {
        let taken = {
            let mut ready = self.ready.borrow_mut();
            ready.retain(|spare| !worker.settings.is_outdated(spare.socket.epoch));
            let of = |wanted| ready.iter().position(|spare| spare.protocol == wanted);
            let at = of(protocol).or_else(|| of(Protocol::Resp2));
            at.map(|at| ready.swap_remove(at))
        };
        let taken = taken.map(|mut spare| {
            spare.shared = None;
            spare
        });
        if taken.is_none() {
            let more = self.ahead.get().saturating_mul(2).clamp(1, MAX_AHEAD);
            self.ahead.set(more);
        }
        self.keep_ready(worker);
        taken
    }

    /// Takes a connection back.
    pub(crate) fn give_back(&self, spare: Spare) {
        let mut ready = self.ready.borrow_mut();
        if ready.len() < MAX_SPARES {
            ready.push(spare);
        }
    }

    /// Asks the server something on connections that were silent for too long, and closes those that were opened before
    /// the last switch. One that is being asked is not there for clients; one that does not answer is closed.
    pub(crate) fn keep_alive(&self, worker: &Rc<Worker>) {
        let keepalive = worker.settings.upstream.keepalive;
        let silent: Vec<Spare> = {
            let mut ready = self.ready.borrow_mut();
            ready.retain(|spare| !worker.settings.is_outdated(spare.socket.epoch));
            let is_silent = |spare: &mut Spare| spare.last_activity.elapsed() >= keepalive;
            ready.extract_if(.., is_silent).collect()
        };
        for mut spare in silent {
            let worker = worker.clone();
            tokio::task::spawn_local(async move {
                let limit = worker.settings.limits.stalled;
                if let Ok(true) = timeout(limit, ping(&mut spare.socket)).await {
                    spare.last_activity = Instant::now();
                    worker.spares.give_back(spare);
                }
            });
        }
    }

    /// Opens connections until enough are ready for the clients that may leave their lanes. Where one cannot
    /// be opened, the client that needs it finds out why.
    pub(crate) fn keep_ready(&self, worker: &Rc<Worker>) {
        if worker.is_draining() {
            return;
        }
        self.ahead.set(self.ahead.get().max(1));
        // Only those of RESP2 serve every client.
        let ready = self.ready.borrow();
        let ready = ready.iter().filter(|it| {
            it.protocol == Protocol::Resp2 && !worker.settings.is_outdated(it.socket.epoch)
        });
        let have = ready.count().saturating_add(self.opening.get());
        let wanted = self.ahead.get().min(worker.clients_on_lanes());
        for _ in have..wanted {
            self.opening.set(self.opening.get().saturating_add(1));
            let opening = Opening(worker.clone());
            tokio::task::spawn_local(async move {
                if let Some(socket) = opening.0.settings.connect_and_log_in().await {
                    let spare = Spare::new(socket, Protocol::Resp2, &opening.0);
                    opening.0.spares.give_back(spare);
                }
            });
        }
    }
}

/// Asks the server whether it is there; whether it has answered.
async fn ping(socket: &mut Socket) -> bool {
    let mut outgoing = Outgoing::default();
    outgoing.end().extend_from_slice(OWN_PING);
    let mut scanner = ReplyScanner::new();
    let mut bytes = [0; 512];
    poll_fn(|cx| {
        if socket::write(socket, &mut outgoing, cx).is_err() {
            return Poll::Ready(false);
        }
        let came = match socket::read(socket, &mut bytes, cx) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(0) => return Poll::Ready(false),
            Poll::Ready(len) => bytes.get(..len).unwrap_or_default(),
        };
        match scanner.scan(came) {
            Ok(scanned) if scanned.done => {
                socket.all_answered();
                Poll::Ready(scanned.used == came.len())
            }
            // Its answer is short: it comes as a whole.
            _ => Poll::Ready(false),
        }
    })
    .await
}

/// A connection that is being opened, until it is or is not.
struct Opening(Rc<Worker>);

impl Drop for Opening {
    fn drop(&mut self) {
        let opening = &self.0.spares.opening;
        opening.set(opening.get().saturating_sub(1));
    }
}
