//! Traffic of a proxy: connections and bytes on both sides, requests that were refused, and whether it is
//! ready. Knows no address and nothing of what the bytes are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, Gauge};

use crate::made::{counter, gauge};
use crate::names::{
    CLIENT_CONNECTIONS, CLIENT_CONNECTIONS_CUT, CLIENT_CONNECTIONS_OPENED,
    CLIENT_CONNECTIONS_TURNED_AWAY, READY, RECEIVED_BYTES, REFUSED_COMMANDS, SENT_BYTES,
    UPSTREAM_CONNECTIONS, UPSTREAM_CONNECTIONS_OPENED, UPSTREAM_ERRORS,
};

/// Whose connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A client's.
    Client,
    /// To the server.
    Upstream,
}

/// Why the proxy ended a client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Half a request that did not go on.
    HalfRequest,
    /// It did not read, and held up others.
    NotReading,
}

/// Why a connection to the server did not come about, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamError {
    /// Nobody listens.
    Refused,
    /// Not in time.
    Timeout,
    /// There is no such socket.
    Missing,
    /// The system does not let us.
    Permission,
    /// It broke off before it was there.
    BrokenOff,
    /// TLS failed.
    Tls,
    /// Something else.
    Other,
    /// The server, or something between, closed it.
    Closed,
    /// The server refuses user, password or database.
    Entrance,
    /// The server sent what no request explains.
    Unexplained,
}

/// In the order of the variants.
const ERRORS: [(UpstreamError, &str); 10] = [
    (UpstreamError::Refused, "refused"),
    (UpstreamError::Timeout, "timeout"),
    (UpstreamError::Missing, "missing"),
    (UpstreamError::Permission, "permission"),
    (UpstreamError::BrokenOff, "broken_off"),
    (UpstreamError::Tls, "tls"),
    (UpstreamError::Other, "other"),
    (UpstreamError::Closed, "closed"),
    (UpstreamError::Entrance, "entrance"),
    (UpstreamError::Unexplained, "unexplained"),
];

/// Handles for the connections of one side.
pub struct SideMetrics {
    open: Gauge,
    opened: Counter,
    received: Counter,
    sent: Counter,
}

impl SideMetrics {
    fn new(side: Side) -> Self {
        let (open, opened, word) = match side {
            Side::Client => (&CLIENT_CONNECTIONS, &CLIENT_CONNECTIONS_OPENED, "client"),
            Side::Upstream => (
                &UPSTREAM_CONNECTIONS,
                &UPSTREAM_CONNECTIONS_OPENED,
                "upstream",
            ),
        };
        Self {
            open: gauge(open, &[]),
            opened: counter(opened, &[]),
            received: counter(&RECEIVED_BYTES, &[word]),
            sent: counter(&SENT_BYTES, &[word]),
        }
    }

    /// A connection is open.
    pub fn opened(&self) {
        self.open.increment(1.0);
        self.opened.increment(1);
    }

    /// A connection is closed.
    pub fn closed(&self) {
        self.open.decrement(1.0);
    }

    /// So many bytes came.
    #[inline]
    pub fn received(&self, bytes: usize) {
        self.received.increment(bytes as u64);
    }

    /// So many bytes went.
    #[inline]
    pub fn sent(&self, bytes: usize) {
        self.sent.increment(bytes as u64);
    }
}

/// Handles for a proxy's traffic.
pub struct TrafficMetrics {
    /// Connections of clients.
    pub clients: Arc<SideMetrics>,
    /// Connections to the server.
    pub upstream: Arc<SideMetrics>,
    turned_away: Counter,
    half_request: Counter,
    not_reading: Counter,
    errors: Vec<(UpstreamError, Counter)>,
    /// Refusals are rare, and there are thousands of ways to be refused.
    refused: Mutex<HashMap<(&'static str, &'static str), Counter>>,
    ready: Gauge,
}

impl TrafficMetrics {
    /// The handles. Made once.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it registers with the recorder")]
    pub fn new() -> Self {
        let errors = ERRORS.map(|(error, word)| (error, counter(&UPSTREAM_ERRORS, &[word])));
        Self {
            clients: Arc::new(SideMetrics::new(Side::Client)),
            upstream: Arc::new(SideMetrics::new(Side::Upstream)),
            turned_away: counter(&CLIENT_CONNECTIONS_TURNED_AWAY, &[]),
            half_request: counter(&CLIENT_CONNECTIONS_CUT, &["half_request"]),
            not_reading: counter(&CLIENT_CONNECTIONS_CUT, &["not_reading"]),
            errors: errors.into(),
            refused: Mutex::default(),
            ready: gauge(&READY, &[]),
        }
    }

    /// A client was turned away.
    pub fn turned_away(&self) {
        self.turned_away.increment(1);
    }

    /// The proxy ended a client's connection.
    pub fn cut(&self, cut: Cut) {
        match cut {
            Cut::HalfRequest => self.half_request.increment(1),
            Cut::NotReading => self.not_reading.increment(1),
        }
    }

    /// A connection to the server did not come about, or ended.
    pub fn failed(&self, error: UpstreamError) {
        if let Some((_, counter)) = self.errors.iter().find(|(it, _)| *it == error) {
            counter.increment(1);
        }
    }

    /// A request was refused. Both words are of tables: the command's name, `None` where the table of
    /// commands has no row for it, and why.
    pub fn refused(&self, command: Option<&'static str>, reason: &'static str) {
        let command = command.unwrap_or("other");
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = refused.entry((command, reason));
        let counter = counter.or_insert_with(|| counter_of(command, reason));
        counter.increment(1);
    }

    /// Whether a client that came now would be served.
    pub fn ready(&self, ready: bool) {
        self.ready.set(if ready { 1.0 } else { 0.0 });
    }
}

fn counter_of(command: &str, reason: &str) -> Counter {
    counter(&REFUSED_COMMANDS, &[command, reason])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_one_that_the_table_allows() {
        for (_, word) in ERRORS {
            assert!(UPSTREAM_ERRORS.allows("kind", word), "{word}");
        }
        for word in ["half_request", "not_reading"] {
            assert!(CLIENT_CONNECTIONS_CUT.allows("cause", word), "{word}");
        }
    }
}
