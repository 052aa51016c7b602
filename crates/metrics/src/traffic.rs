//! Traffic of a proxy: connections and bytes on both sides, requests that were refused, and whether it is
//! ready. Knows no address and nothing of what the bytes are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, Gauge};

use crate::handles::{counter, gauge};
use crate::names::{
    CLIENT_BUFFER_BYTES, CLIENT_CONNECTIONS, CLIENT_CONNECTIONS_CUT, CLIENT_CONNECTIONS_OPENED,
    CLIENT_CONNECTIONS_TURNED_AWAY, CLIENT_TLS_FAILURES, READY, RECEIVED_BYTES, REFUSED_COMMANDS,
    REPLIES_TOO_LARGE, SCRIPT_COMMANDS, SCRIPTS_FORWARDED, SENT_BYTES, SERVER_ERRORS,
    TRIAL_REFUSALS, UPSTREAM_CONNECTIONS, UPSTREAM_CONNECTIONS_OPENED,
    UPSTREAM_CONNECTIONS_SUSPECT, UPSTREAM_ERRORS, UPSTREAM_SWITCHES,
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
pub enum DisconnectReason {
    /// Half a request that did not go on.
    HalfRequest,
    /// It did not read its replies, and they exceeded the bound of one client.
    NotReading,
    /// The replies of all clients exceeded their bound, and most waited for this one.
    BuffersFull,
    /// Something was under way on it when the grace period was over.
    Stopping,
}

/// In the order of the variants.
const CUTS: [(DisconnectReason, &str); 4] = [
    (DisconnectReason::HalfRequest, "half_request"),
    (DisconnectReason::NotReading, "not_reading"),
    (DisconnectReason::BuffersFull, "buffers_full"),
    (DisconnectReason::Stopping, "stopping"),
];

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
    Aborted,
    /// TLS failed.
    Tls,
    /// Something else.
    Other,
    /// The server, or something between, closed it.
    Closed,
    /// The server refuses user, password or database.
    Login,
    /// The server sent what no request explains.
    Unexplained,
    /// Its path was dead: a reply was late while the server answered on another connection, or what was sent was not
    /// acknowledged.
    Stalled,
}

/// In the order of the variants.
const ERRORS: [(UpstreamError, &str); 11] = [
    (UpstreamError::Refused, "refused"),
    (UpstreamError::Timeout, "timeout"),
    (UpstreamError::Missing, "missing"),
    (UpstreamError::Permission, "permission"),
    (UpstreamError::Aborted, "broken_off"),
    (UpstreamError::Tls, "tls"),
    (UpstreamError::Other, "other"),
    (UpstreamError::Closed, "closed"),
    (UpstreamError::Login, "entrance"),
    (UpstreamError::Unexplained, "unexplained"),
    (UpstreamError::Stalled, "stalled"),
];

/// Errors of the server that are told apart: their first word, and the word that they are counted
/// under. Whatever else it says is `other`: a server, a module or a script can make up words.
const SERVER_WORDS: [(&[u8], &str); 14] = [
    (b"OOM", "oom"),
    (b"READONLY", "readonly"),
    (b"LOADING", "loading"),
    (b"BUSY", "busy"),
    (b"NOAUTH", "noauth"),
    (b"NOPERM", "noperm"),
    (b"MOVED", "moved"),
    (b"ASK", "ask"),
    (b"CLUSTERDOWN", "clusterdown"),
    (b"TRYAGAIN", "tryagain"),
    (b"MISCONF", "misconf"),
    (b"MASTERDOWN", "masterdown"),
    (b"NOREPLICAS", "noreplicas"),
    (b"WRONGTYPE", "wrongtype"),
];

/// The label of a refusal if no record is involved.
const NO_PATTERN: &str = "none";

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
    cuts: [(DisconnectReason, Counter); 4],
    buffered: Gauge,
    tls_failures: Counter,
    too_large: Counter,
    errors: Vec<(UpstreamError, Counter)>,
    server_errors: [(&'static [u8], Counter); 14],
    other_server_errors: Counter,
    /// Refusals are rare, and there are thousands of ways to be refused.
    refused: Mutex<HashMap<RefusalCounter, Counter>>,
    scripts: [(&'static str, Counter); 6],
    ready: Gauge,
    suspects: Gauge,
    switches: Counter,
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
            cuts: CUTS.map(|(cut, word)| (cut, counter(&CLIENT_CONNECTIONS_CUT, &[word]))),
            buffered: gauge(&CLIENT_BUFFER_BYTES, &[]),
            tls_failures: counter(&CLIENT_TLS_FAILURES, &[]),
            too_large: counter(&REPLIES_TOO_LARGE, &[]),
            errors: errors.into(),
            server_errors: SERVER_WORDS
                .map(|(first, word)| (first, counter(&SERVER_ERRORS, &[word]))),
            other_server_errors: counter(&SERVER_ERRORS, &["other"]),
            refused: Mutex::default(),
            scripts: SCRIPT_COMMANDS
                .map(|command| (command, counter(&SCRIPTS_FORWARDED, &[command]))),
            ready: gauge(&READY, &[]),
            switches: counter(&UPSTREAM_SWITCHES, &[]),
            suspects: gauge(&UPSTREAM_CONNECTIONS_SUSPECT, &[]),
        }
    }

    /// A client was turned away.
    pub fn turned_away(&self) {
        self.turned_away.increment(1);
    }

    /// The proxy ended a client's connection.
    pub fn disconnected(&self, cut: DisconnectReason) {
        self.disconnected_many(cut, 1);
    }

    /// The proxy ended so many connections of clients.
    pub fn disconnected_many(&self, cut: DisconnectReason, count: usize) {
        if let Some((_, counter)) = self.cuts.iter().find(|(it, _)| *it == cut) {
            counter.increment(count as u64);
        }
    }

    /// So many bytes of replies wait for clients that have not read them, about.
    pub fn set_buffered(&self, bytes: usize) {
        self.buffered.set(bytes as f64);
    }

    /// A client's TLS handshake came to no good end.
    pub fn tls_failed(&self) {
        self.tls_failures.increment(1);
    }

    /// A reply with values was too large to be opened.
    pub fn reply_too_large(&self) {
        self.too_large.increment(1);
    }

    /// The server answered a client's request with an error that begins with this word.
    pub fn server_error(&self, first: &[u8]) {
        let known = self.server_errors.iter().find(|(word, _)| *word == first);
        let counter = known.map_or(&self.other_server_errors, |(_, counter)| counter);
        counter.increment(1);
    }

    /// A connection to the server did not come about, or ended.
    pub fn upstream_failed(&self, error: UpstreamError) {
        if let Some((_, counter)) = self.errors.iter().find(|(it, _)| *it == error) {
            counter.increment(1);
        }
    }

    /// A request was refused, or in a trial would have been and was forwarded. Both words are of tables: the
    /// command's name, `None` where the table of commands has no row for it, and why. The pattern of the record
    /// that is the cause: its place among the patterns, and what it is called.
    pub fn refused(
        &self,
        command: Option<&'static str>,
        reason: &'static str,
        pattern: Option<(usize, &str)>,
        is_forwarded: bool,
    ) {
        let key = RefusalCounter {
            command: command.unwrap_or("other"),
            reason,
            pattern: pattern.map(|(index, _)| index),
            is_forwarded,
        };
        let name = pattern.map_or(NO_PATTERN, |(_, name)| name);
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let counter = refused.entry(key).or_insert_with(|| key.counter(name));
        counter.increment(1);
    }

    /// A script or function was forwarded.
    pub fn script_forwarded(&self, command: &str) {
        if let Some((_, counter)) = self.scripts.iter().find(|(it, _)| *it == command) {
            counter.increment(1);
        }
    }

    /// A reply is late on so many of the shared connections to the server.
    pub fn set_suspects(&self, count: usize) {
        self.suspects.set(count as f64);
    }

    /// Connections to the server are opened again.
    pub fn upstream_switched(&self) {
        self.switches.increment(1);
    }

    /// Whether a client that came now would be served.
    pub fn set_ready(&self, ready: bool) {
        self.ready.set(if ready { 1.0 } else { 0.0 });
    }
}

/// A way to be refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct RefusalCounter {
    command: &'static str,
    reason: &'static str,
    pattern: Option<usize>,
    is_forwarded: bool,
}

impl RefusalCounter {
    fn counter(self, pattern: &str) -> Counter {
        let metric = match self.is_forwarded {
            true => &TRIAL_REFUSALS,
            false => &REFUSED_COMMANDS,
        };
        counter(metric, &[self.command, self.reason, pattern])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_one_that_the_table_allows() {
        for (_, word) in ERRORS {
            assert!(UPSTREAM_ERRORS.allows("kind", word), "{word}");
        }
        for (_, word) in CUTS {
            assert!(CLIENT_CONNECTIONS_CUT.allows("cause", word), "{word}");
        }
        for (first, word) in SERVER_WORDS {
            assert!(SERVER_ERRORS.allows("kind", word), "{word}");
            assert!(first.eq_ignore_ascii_case(word.as_bytes()), "{word}");
        }
    }
}
