//! One client's conversation with the server, without sockets: requests in, requests out; replies in,
//! replies out. It knows which reply answers which request, what the connection is in the middle of,
//! and nothing of where bytes come from or go to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use waxseal_core::OpenError;
use waxseal_resp::{ReplyScanner, RequestScanner, RequestTail};

use self::reply_mode::{Answering, ReplyPermission};
use self::scripts::ScriptRun;
use self::window::Window;
use crate::clients::Registration;
use crate::limits::Limits;
use crate::pending::{Pending, Protocol, Shape};
use crate::protection::Protection;
use crate::refusals::ClientLabel;
use crate::subscriptions::Subscriptions;

mod clients;
mod effects;
mod errors;
mod keys;
mod monitor;
mod pairing;
mod passing;
mod refusals;
mod replies;
mod reply_mode;
mod requests;
mod scripts;
mod transaction;
mod values;
mod window;

pub use replies::{Answered, Unexplained};
pub use requests::{Next, Taken};

/// Which upstream connection the requests go out on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// A lane that is shared with others.
    Lane(Identity),
    /// One of the client's own.
    Dedicated,
}

/// What all clients of one lane have in common.
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
    /// Why.
    pub cause: &'a OpenError,
    /// The record, as the log may show it.
    pub shown: String,
    /// The client that asked for it.
    pub client: ClientLabel,
}

/// Told of what an operator should know.
pub type Report = Arc<dyn Fn(&BrokenValue<'_>) + Send + Sync>;

/// One client's conversation.
pub struct Connection {
    scanner: RequestScanner,
    streamed: Option<StreamedRequest>,
    talk: ConnectionState,
    reply: ReplyScanner,
    current: Option<pairing::Current>,
    held: Vec<u8>,
    /// A reply that keys are fetched for. Nothing behind it is given before it is.
    stalled: Option<replies::Stalled>,
}

/// Everything but the two scanners.
struct ConnectionState {
    protection: Arc<Protection>,
    limits: Limits,
    report: Report,
    pending: VecDeque<Pending>,
    /// A reply is under way: nothing else may come between its bytes.
    replying: bool,
    /// Bytes that the shapes of the replies in `pending` hold beyond a constant.
    heavy: usize,
    /// What the transaction under way will answer, by the `+QUEUED` that came.
    queued: Vec<(&'static str, Shape)>,
    subscriptions: Subscriptions,
    /// The server reports what others do.
    monitoring: bool,
    /// Which replies the client gets.
    answering: Answering,
    /// Whether the server lets the client switch replies off.
    reply_permission: ReplyPermission,
    /// The transaction that the requests which were sent have opened, if the server accepts them.
    transaction: Option<Transaction>,
    /// How many transactions were begun.
    begun: u64,
    /// What the server's replies say.
    confirmed: ConfirmedState,
    /// The next request must not be looked at before a reply was: it changes what requests mean.
    barrier: bool,
    /// A known script under way. Its request is not taken from the client's bytes before it has its reply.
    script: Option<Box<ScriptRun>>,
    /// The last request that was sent is `ASKING`: what it asks for is the next one's.
    asking: bool,
    /// A refusal that is held back for as long as the request was ready to wait.
    delayed: Option<HeldRefusal>,
    /// Nothing more is taken from the client.
    closing: bool,
    /// The upstream connection has a state that another would not have.
    pinned: bool,
    /// Something was sent that can leave a trace on the upstream connection.
    traces: bool,
    /// The upstream connection is shared: nothing that comes unasked is this client's.
    shared: bool,
    /// A request may be waiting on the server.
    blocking: bool,
    /// How many requests may be on a lane at once.
    window: Window,
    /// Requests that went out since the last count.
    expected: usize,
    /// A `RESET` undid what opened the upstream connection.
    login_reset: bool,
    protocol: Protocol,
    labels: Labels,
    keys: keys::Keys,
    /// The client, among those of the proxy.
    registration: Option<Registration>,
    /// The word of an error by which the server says that it is another than it was.
    role_error: Option<&'static str>,
}

/// The state of the upstream connection as the server's replies tell it. Requests are read before
/// their replies have come, so what they asked for is kept apart from what became of it.
#[derive(Clone, Copy, Default)]
struct ConfirmedState {
    /// Between MULTI and EXEC.
    in_transaction: bool,
    /// Records are watched.
    watching: bool,
}

/// A refusal that is held back.
struct HeldRefusal {
    answer: Vec<u8>,
    by: Duration,
}

/// A transaction under way, as the client sees it.
#[derive(Default)]
struct Transaction {
    /// The answer to the first command in it that was refused here: it must not be executed.
    refusal: Option<Box<[u8]>>,
    /// Which one it is: a `MULTI` that fails ends no other.
    number: u64,
    /// Bytes that are remembered of its commands.
    heavy: usize,
    tried: TriedTransaction,
}

/// Findings of a trial in a transaction.
#[derive(Default)]
struct TriedTransaction {
    /// Requests that were fine: the place of their pattern, their command and their number.
    fine: Vec<(usize, &'static str, u64)>,
    /// One of its commands would be refused, and with it the transaction.
    is_refused: bool,
}

/// The rest of a request that is too large to hold.
struct StreamedRequest {
    tail: RequestTail,
    /// What is answered at its end where it does not go to the server.
    refusal: Option<Vec<u8>>,
}

/// What the client called its connection: the requests, to say so again on another.
#[derive(Default)]
struct Labels {
    name: Option<Box<[u8]>>,
    library: Option<Box<[u8]>>,
    version: Option<Box<[u8]>>,
}

impl Connection {
    /// A conversation that begins.
    #[must_use]
    pub fn new(protection: Arc<Protection>, limits: Limits, report: Report) -> Self {
        Self {
            scanner: RequestScanner::new(limits.of_requests()),
            streamed: None,
            talk: ConnectionState {
                protection,
                limits,
                report,
                pending: VecDeque::new(),
                replying: false,
                heavy: 0,
                queued: Vec::new(),
                subscriptions: Subscriptions::default(),
                monitoring: false,
                answering: Answering::On,
                reply_permission: ReplyPermission::Unknown,
                transaction: None,
                begun: 0,
                confirmed: ConfirmedState::default(),
                barrier: false,
                script: None,
                asking: false,
                delayed: None,
                closing: false,
                pinned: false,
                traces: false,
                shared: false,
                blocking: false,
                window: Window::new(limits.unread),
                expected: 0,
                login_reset: false,
                protocol: Protocol::default(),
                labels: Labels::default(),
                keys: keys::Keys::default(),
                registration: None,
                role_error: None,
            },
            reply: ReplyScanner::new(),
            current: None,
            held: Vec::new(),
            stalled: None,
        }
    }

    /// The client is this one among those of the proxy.
    pub(crate) fn register(&mut self, registration: Registration) {
        self.talk.registration = Some(registration);
    }

    /// The client is gone, though replies to it may be to come.
    pub(crate) fn unregister(&mut self) {
        self.talk.registration = None;
    }

    /// The client, among those of the proxy, if it is registered.
    pub(crate) fn registered(&self) -> Option<&Registration> {
        self.talk.registration.as_ref()
    }

    /// Whether every request has its reply, and none is half sent.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.has_all_replies()
            && self.streamed.is_none()
            && self.scanner.is_at_start()
            && self.talk.transaction.is_none()
            && self.talk.script.is_none()
            && self.talk.delayed.is_none()
    }

    /// Whether no reply is to come.
    #[must_use]
    pub fn has_all_replies(&self) -> bool {
        self.talk.pending.is_empty() && self.current.is_none() && self.stalled.is_none()
    }

    /// Bytes that are held for requests whose reply has not come, about.
    #[must_use]
    pub fn retained_bytes(&self) -> usize {
        self.talk.retained_bytes()
    }

    /// Whether a request is half sent.
    #[must_use]
    pub fn is_in_a_request(&self) -> bool {
        self.streamed.is_some() || !self.scanner.is_at_start()
    }

    /// Whether part of a request is with the server, which waits for the rest.
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        self.streamed
            .as_ref()
            .is_some_and(|it| it.refusal.is_none())
    }

    /// Whether the last requests may be waiting on the server for something to happen there.
    #[must_use]
    pub fn may_be_blocked(&self) -> bool {
        self.talk.blocking && !self.talk.pending.is_empty()
    }

    /// Whether another upstream connection would do as well: nothing under way, and no state but what
    /// [`handshake`](Self::handshake) says again, as the server's replies tell.
    #[must_use]
    pub fn is_movable(&self) -> bool {
        let talk = &self.talk;
        self.has_all_replies()
            && self.streamed.is_none()
            && talk.transaction.is_none()
            && talk.delayed.is_none()
            && !talk.confirmed.in_transaction
            && !talk.confirmed.watching
            && !talk.pinned
            && !talk.monitoring
            && !talk.subscriptions.any()
    }

    /// Whether the upstream connection may serve another client: everything that this one sent on it is
    /// known to leave no trace, and the server's replies say that nothing is under way there.
    #[must_use]
    pub fn is_traceless(&self) -> bool {
        self.is_movable() && !self.talk.traces && !self.has_labels()
    }

    /// Forgets the proxy's own requests on a connection that did not come about. Whether nothing of the client's is due
    /// there, and it can begin on another one.
    pub fn abandon_handshake(&mut self) -> bool {
        let mut due = self.talk.pending.iter();
        if self.current.is_some() || !due.all(|it| matches!(it, Pending::Swallow { .. })) {
            return false;
        }
        let pending = std::mem::take(&mut self.talk.pending);
        let is_movable = self.is_movable();
        if !is_movable {
            self.talk.pending = pending;
        }
        self.talk.settle();
        is_movable
    }

    /// How long the next request is held back ([`Next::Delay`](requests::Next::Delay)).
    #[must_use]
    pub fn delay(&self) -> Option<Duration> {
        self.talk.delayed.as_ref().map(|delayed| delayed.by)
    }

    /// The delay is over: gives the answer that was held back.
    pub fn end_delay(&mut self, client: &mut Vec<u8>) {
        if let Some(HeldRefusal { answer, .. }) = self.talk.delayed.take() {
            self.talk.refuse(&answer, client);
        }
    }

    /// Whether what opened the upstream connection was undone since the last call of this.
    pub fn take_login_reset(&mut self) -> bool {
        std::mem::take(&mut self.talk.login_reset)
    }

    /// The word of an error by which the server has said that it is not one to write to, or not yet to read
    /// from, since the last call of this.
    pub fn take_role_error(&mut self) -> Option<&'static str> {
        self.talk.role_error.take()
    }

    /// The version of the protocol that the client asked for.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.talk.protocol
    }

    /// Whether the client gave its connection a name, or said which library it is.
    #[must_use]
    pub fn has_labels(&self) -> bool {
        let Labels {
            name,
            library,
            version,
        } = &self.talk.labels;
        name.is_some() || library.is_some() || version.is_some()
    }

    /// Begins with another upstream connection, on which nothing was sent for this client: none of the
    /// client's requests has left a trace there.
    pub fn begin_on_another_connection(&mut self) {
        self.talk.traces = false;
        self.talk.shared = false;
    }

    /// Begins on a lane.
    pub fn begin_on_lane(&mut self) {
        self.talk.shared = true;
    }

    /// Requests of our own that come before the next one of the client: to get in, and to make a
    /// new upstream connection, which speaks `spoken`, what the old one was. Their replies are not the
    /// client's business.
    pub fn handshake(&mut self, handshake: &Handshake, spoken: Protocol, upstream: &mut Vec<u8>) {
        upstream.extend_from_slice(&handshake.requests);
        let fatal = std::iter::repeat_n(true, handshake.count);
        let mut swallow: Vec<bool> = fatal.collect();
        if self.talk.protocol != spoken {
            upstream.extend_from_slice(HELLO_3);
            swallow.push(true);
        }
        let labels = &self.talk.labels;
        for request in [&labels.name, &labels.library, &labels.version]
            .into_iter()
            .flatten()
        {
            upstream.extend_from_slice(request);
            swallow.push(false);
        }
        for fatal in swallow.into_iter().rev() {
            self.talk.pending.push_front(Pending::Swallow { fatal });
        }
    }
}

// Requests of the proxy's own begin with a lower-case letter, which no client library writes: so they are known in
// what MONITOR tells, and left out.

/// How a client says that it speaks RESP3.
pub(crate) const HELLO_3: &[u8] = b"*2\r\n$5\r\nhELLO\r\n$1\r\n3\r\n";
/// Whether the server answers, asked by the proxy.
pub(crate) const OWN_PING: &[u8] = b"*1\r\n$4\r\npING\r\n";
/// `CLIENT`, in a request of the proxy's own.
const OWN_CLIENT: &[u8] = b"cLIENT";
/// `SELECT`, in a request of the proxy's own.
const OWN_SELECT: &str = "sELECT";

/// The requests that open an upstream connection: `AUTH` and `SELECT`, as the upstream's URL says.
#[derive(Clone, Default)]
pub struct Handshake {
    pub(crate) requests: Vec<u8>,
    pub(crate) count: usize,
    /// Who comes in, where that is not the server's default user.
    pub(crate) user: Option<String>,
}

impl Handshake {
    /// For this user and password, if any, and this database.
    #[must_use]
    pub fn new(user: Option<&str>, password: Option<&str>, database: u32) -> Self {
        let mut handshake = Self {
            user: user.map(str::to_owned),
            ..Self::default()
        };
        if let Some(password) = password {
            let words = ["AUTH"].into_iter().chain(user).chain([password]);
            handshake.add(&words.collect::<Vec<_>>());
        }
        if database != 0 {
            handshake.add(&[OWN_SELECT, &database.to_string()]);
        }
        handshake
    }

    fn add(&mut self, words: &[&str]) {
        waxseal_resp::write_request_head(&mut self.requests, words.len());
        for word in words {
            waxseal_resp::write_bulk(&mut self.requests, word.as_bytes());
        }
        self.count = self.count.saturating_add(1);
    }
}
