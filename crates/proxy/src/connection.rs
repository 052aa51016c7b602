//! One client's connection to the server, without sockets: requests in, requests out; replies in, replies out. It
//! knows which reply answers which request and what the connection is in the middle of, and does no I/O.
//!
//! ```text
//! client                       Connection                              server
//! SET wa:1 v        ──▶  requests(): scan, decide, seal          ──▶   SET wa:1 <envelope>
//!                        Reply { shape } joins the queue
//!                        replies(): scan, pair with the queue,   ◀──   +OK
//! +OK               ◀──  open by the shape
//! ```
//!
//! | module | |
//! |---|---|
//! | `state`, `queue`, `window` | the typed state; the replies that are expected; how many may be |
//! | `requests`, `streaming`, `effects` | the request direction; requests too large to hold; what requests do to the connection |
//! | `pairing`, `replies`, `values` | the reply direction: which request, what its end does, which values are opened |
//! | `transaction`, `reply_mode`, `monitor`, `clients`, `handshake` | MULTI; CLIENT REPLY; MONITOR; CLIENT LIST, KILL and SETNAME; the login |
//! | `scripts`, `computed`, `moves`, `sorting`, `replay` | known scripts; commands that compute on a value, move one to another record, or sort; transactions with the former |
//! | `names`, `random`, `streamed_names` | the names of records as they are stored; RANDOMKEY; KEYS |
//! | `keyspace`, `tracking` | keyspace notifications and client-side caching, with such names |
//! | `keys`, `refusals`, `errors` | keys that must be fetched; requests that are not sent; errors of the server |

use std::sync::Arc;
use std::time::Duration;

use waxseal_core::OpenError;
use waxseal_resp::{ReplyScanner, RequestScanner};

use self::state::{Affinity, ConnectionState, DelayedRefusal, Phase, ReplyState};
use crate::clients::Registration;
use crate::limits::Limits;
use crate::pending::Protocol;
use crate::protection::Protection;
use crate::refusals::ClientLabel;

mod clients;
mod computed;
mod effects;
mod errors;
mod handshake;
mod keys;
mod keyspace;
mod messages;
mod monitor;
mod moves;
mod names;
mod pairing;
mod prelude;
mod queue;
mod random;
mod refusals;
mod replay;
mod replies;
mod reply_mode;
mod requests;
mod scripts;
mod sorting;
mod state;
mod stored;
mod streamed_names;
mod streaming;
mod tracking;
mod transaction;
mod values;
mod window;

pub use handshake::Handshake;
pub(crate) use handshake::{HELLO_3, OWN_PING};
pub(crate) use prelude::PreludedRequest;
pub use replies::{ReplyProgress, UnexpectedReply};
pub use requests::{Next, RequestProgress};

/// The upstream connection that requests go out on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// A lane, which is shared with others.
    Lane(Identity),
    /// A dedicated connection.
    Dedicated,
}

/// The state that all clients of one lane have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The version of the protocol.
    pub protocol: Protocol,
    /// The database.
    pub database: u32,
}

/// A value that did not open, for the log.
pub struct BrokenValue<'a> {
    /// The command whose reply it was in.
    pub command: &'static str,
    /// The reason.
    pub cause: &'a OpenError,
    /// The record, as the log may show it.
    pub shown: String,
    /// The client that asked for it.
    pub client: ClientLabel,
}

/// Receives what an operator should know.
pub type Report = Arc<dyn Fn(&BrokenValue<'_>) + Send + Sync>;

/// The two directions of one client's connection.
pub struct Connection {
    request_scanner: RequestScanner,
    reply_scanner: ReplyScanner,
    state: ConnectionState,
}

impl Connection {
    /// A connection on which nothing was sent.
    #[must_use]
    pub fn new(protection: Arc<Protection>, limits: Limits, report: Report) -> Self {
        Self {
            request_scanner: RequestScanner::new(limits.of_requests()),
            reply_scanner: ReplyScanner::new(),
            state: ConnectionState::new(protection, limits, report),
        }
    }

    /// Identifies the client among those of the proxy.
    pub(crate) fn register(&mut self, registration: Registration) {
        self.state.client.registration = Some(registration);
    }

    /// The client has disconnected; replies to its requests may still arrive.
    pub(crate) fn unregister(&mut self) {
        self.state.client.registration = None;
        // Others wait for it. What was sent has its reply still to come, which answers those that it was sent for.
        self.state.computed.take_if(|run| !run.is_writing());
    }

    /// True if a computed value was sent whose reply has not arrived.
    pub(crate) fn is_writing_computed(&self) -> bool {
        let computed = self.state.computed.as_ref();
        computed.is_some_and(|run| run.is_writing())
    }

    /// The client among those of the proxy, if it is registered.
    pub(crate) fn registered(&self) -> Option<&Registration> {
        self.state.client.registration.as_ref()
    }

    /// True if every request has its reply, and none is half sent.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.has_all_replies()
            && !self.state.phase.is_within_request()
            && self.request_scanner.is_at_start()
            && !self.state.transaction.is_open()
            && self.state.script.is_none()
            && self.state.computed.is_none()
            && self.state.replay.is_none()
            && self.state.moving.is_none()
            && self.state.sorting.is_none()
            && self.state.random.is_none()
    }

    /// True if no reply is expected.
    #[must_use]
    pub fn has_all_replies(&self) -> bool {
        self.state.has_all_replies()
    }

    /// The approximate number of bytes that are held for requests without a reply.
    #[must_use]
    pub fn retained_bytes(&self) -> usize {
        self.state.retained_bytes()
    }

    /// True if a request is half sent.
    #[must_use]
    pub fn is_in_a_request(&self) -> bool {
        matches!(self.state.phase, Phase::Streaming(_)) || !self.request_scanner.is_at_start()
    }

    /// True if the server has part of a request and waits for the remaining bytes.
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        matches!(&self.state.phase, Phase::Streaming(streamed) if streamed.refusal.is_none())
    }

    /// True if the last requests may be waiting on the server for something to happen there.
    #[must_use]
    pub fn may_be_blocked(&self) -> bool {
        self.state.queue.may_be_blocked()
    }

    /// True if another upstream connection would do as well: nothing is under way, and according to the server's
    /// replies there is no state except what [`handshake`](Self::handshake) repeats.
    #[must_use]
    pub fn is_movable(&self) -> bool {
        let ConnectionState {
            phase,
            affinity,
            transaction,
            replay,
            pushes,
            ..
        } = &self.state;
        self.has_all_replies()
            && !phase.is_within_request()
            && replay.is_none()
            && !transaction.is_open()
            && !transaction.has_confirmed_state()
            && *affinity != Affinity::Pinned
            && !pushes.monitoring
            && !pushes.subscriptions.any()
    }

    /// True if the upstream connection may serve another client: everything that this one sent on it is known to
    /// leave no trace, and according to the server's replies nothing is under way there.
    #[must_use]
    pub fn is_traceless(&self) -> bool {
        self.is_movable() && self.state.affinity != Affinity::Traced && !self.has_labels()
    }

    /// The delay of the next request ([`Next::Delay`]).
    #[must_use]
    pub fn delay(&self) -> Option<Duration> {
        match &self.state.phase {
            Phase::Delayed(refusal) => Some(refusal.delay),
            _ => None,
        }
    }

    /// The delay is over: writes the answer that was held back.
    pub fn end_delay(&mut self, client: &mut Vec<u8>) {
        match std::mem::replace(&mut self.state.phase, Phase::Open) {
            Phase::Delayed(DelayedRefusal { answer, .. }) => self.state.refuse(&answer, client),
            other => self.state.phase = other,
        }
    }

    /// True if the login on the upstream connection was undone since the last call.
    pub fn take_login_reset(&mut self) -> bool {
        std::mem::take(&mut self.state.signals.login_reset)
    }

    /// The code of an error by which the server has said since the last call that it cannot be written to, or not yet
    /// be read from.
    pub fn take_role_error(&mut self) -> Option<&'static str> {
        self.state.signals.role_error.take()
    }

    /// The version of the protocol that the client asked for.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.state.client.protocol
    }

    /// True if the client gave its connection a name, or said which library it is.
    #[must_use]
    pub fn has_labels(&self) -> bool {
        self.state.client.labels.requests().next().is_some()
    }

    /// Begins on another upstream connection, on which nothing was sent for this client.
    pub fn begin_on_another_connection(&mut self) {
        if self.state.affinity != Affinity::Pinned {
            self.state.affinity = Affinity::Reusable;
        }
    }

    /// Begins on a lane.
    pub fn begin_on_lane(&mut self) {
        self.state.affinity = Affinity::Shared;
    }

    /// True if the end of the last reply has not arrived.
    #[must_use]
    pub fn is_in_a_reply(&self) -> bool {
        matches!(self.state.reply, ReplyState::Receiving { .. })
    }

    /// True if a reply, and everything after it, waits for keys.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        matches!(self.state.reply, ReplyState::Stalled(_))
    }
}
