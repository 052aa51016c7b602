//! Requests of the proxy's own that open an upstream connection, or make a new one what the old one was.
//!
//! ```text
//! proxy                                server
//! AUTH, sELECT (from the URL)    ──▶
//! hELLO 3 (if the client asked)  ──▶
//! cLIENT SETNAME … (its labels)  ──▶
//!                                ◀──   a reply to each: Pending::Internal, not passed on
//! the client's next request      ──▶
//! ```
//!
//! They begin with a lower-case letter, which no client library writes, so the proxy recognises and drops them in
//! the output of MONITOR.

use super::Connection;
use crate::pending::{Pending, Protocol};

/// `HELLO 3`: the connection speaks RESP3.
pub(crate) const HELLO_3: &[u8] = b"*2\r\n$5\r\nhELLO\r\n$1\r\n3\r\n";
/// `PING`: checks that the server answers.
pub(crate) const OWN_PING: &[u8] = b"*1\r\n$4\r\npING\r\n";
/// The word `CLIENT` in a request of the proxy's own.
pub(super) const OWN_CLIENT: &[u8] = b"cLIENT";
/// The word `SELECT` in a request of the proxy's own.
const OWN_SELECT: &str = "sELECT";

/// The requests that open an upstream connection: `AUTH` and `SELECT`, as the upstream's URL says.
#[derive(Clone, Default)]
pub struct Handshake {
    pub(crate) requests: Vec<u8>,
    pub(crate) count: usize,
    /// The user name, unless it is the server's default user.
    pub(crate) user: Option<String>,
}

impl Handshake {
    /// The requests for this user and password, if any, and this database.
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

impl Connection {
    /// Writes the requests that come before the next one of the client: to log in, and to give a new upstream
    /// connection, which speaks `spoken`, the state that the old one had. Their replies are not passed on.
    pub fn handshake(&mut self, handshake: &Handshake, spoken: Protocol, upstream: &mut Vec<u8>) {
        upstream.extend_from_slice(&handshake.requests);
        let mut fatal = vec![true; handshake.count];
        if self.state.client.protocol != spoken {
            upstream.extend_from_slice(HELLO_3);
            fatal.push(true);
        }
        for request in self.state.client.labels.requests() {
            upstream.extend_from_slice(request);
            fatal.push(false);
        }
        for fatal in fatal.into_iter().rev() {
            self.state.queue.push_front(Pending::Internal { fatal });
        }
    }

    /// Forgets the handshake on a connection that could not be opened. Returns true if no reply to a request of the
    /// client's is expected there, so that the client can begin on another one.
    pub fn abandon_handshake(&mut self) -> bool {
        let is_internal = |pending: &Pending| matches!(pending, Pending::Internal { .. });
        if self.state.reply.is_under_way() || !self.state.queue.iter().all(is_internal) {
            return false;
        }
        let queue = std::mem::take(&mut self.state.queue);
        let is_movable = self.is_movable();
        if !is_movable {
            self.state.queue = queue;
        }
        self.state.settle();
        is_movable
    }
}
