//! Traffic of a proxy: connections and bytes on both sides, refused requests, and readiness. Neither addresses nor the
//! meaning of the bytes are known here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use metrics::{Counter, Gauge};

use crate::handles::{counter, gauge};
use crate::metric::Metric;
use crate::names::{
    CARRIED_OUT, CARRIED_OUT_RETRIES, CLIENT_BUFFER_BYTES, CLIENT_CONNECTIONS,
    CLIENT_CONNECTIONS_CUT, CLIENT_CONNECTIONS_OPENED, CLIENT_CONNECTIONS_TURNED_AWAY,
    CLIENT_TLS_FAILURES, LEFT_OUT_REASONS, MESSAGES_DROPPED, NAMES_LEFT_OUT, OWN_WORK, READY,
    RECEIVED_BYTES, REFUSED_COMMANDS, REPLIES_TOO_LARGE, SCRIPT_COMMANDS, SCRIPTS_FORWARDED,
    SENT_BYTES, SERVER_ERRORS, TRIAL_REFUSALS, UPSTREAM_CONNECTIONS, UPSTREAM_CONNECTIONS_OPENED,
    UPSTREAM_CONNECTIONS_SUSPECT, UPSTREAM_ERRORS, UPSTREAM_SWITCHES,
};

/// The side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// From a client.
    Client,
    /// To the server.
    Upstream,
}

/// What the proxy does for a request with requests of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnWork {
    /// A command is computed.
    Computed,
    /// A transaction is sent again, with what was computed or is moved in it.
    Transaction,
    /// Values are moved to another record.
    Move,
    /// A known script is run with the stored value.
    Script,
    /// A record is sorted.
    Sort,
    /// Members are given one form.
    Prelude,
}

/// A counter for each kind of own work.
struct WorkCounters([Counter; OWN_WORK.len()]);

impl WorkCounters {
    fn new(metric: &'static Metric) -> Self {
        Self(OWN_WORK.map(|work| counter(metric, &[work])))
    }

    fn count(&self, work: OwnWork) {
        let index = match work {
            OwnWork::Computed => 0,
            OwnWork::Transaction => 1,
            OwnWork::Move => 2,
            OwnWork::Script => 3,
            OwnWork::Sort => 4,
            OwnWork::Prelude => 5,
        };
        if let Some(counter) = self.0.get(index) {
            counter.increment(1);
        }
    }
}

/// The reason for which the proxy closed a client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// The rest of a request did not arrive.
    HalfRequest,
    /// It did not read its replies, and they exceeded the limit of one client.
    NotReading,
    /// The unread replies of all clients exceeded their limit, and this client had the most.
    BuffersFull,
    /// A request was in progress when the grace period ended.
    Stopping,
}

/// The label of each reason.
const DISCONNECT_LABELS: [(DisconnectReason, &str); 4] = [
    (DisconnectReason::HalfRequest, "half_request"),
    (DisconnectReason::NotReading, "not_reading"),
    (DisconnectReason::BuffersFull, "buffers_full"),
    (DisconnectReason::Stopping, "stopping"),
];

/// The error for which a connection to the server failed to open, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamError {
    /// Nothing listens there.
    Refused,
    /// It did not open in time.
    Timeout,
    /// The socket does not exist.
    Missing,
    /// The system denies access.
    Permission,
    /// It was aborted while it was being opened.
    Aborted,
    /// TLS failed.
    Tls,
    /// Something else.
    Other,
    /// The server, or something between, closed it.
    Closed,
    /// The server rejects the user, password or database.
    Login,
    /// The server sent a reply that matches no request.
    Unexplained,
    /// Its path was dead: a reply was late while the server answered on another connection, or sent bytes were not
    /// acknowledged.
    Stalled,
}

/// The label of each error.
const ERROR_LABELS: [(UpstreamError, &str); 11] = [
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

/// The error codes of the server that have a label of their own. All others are `other`: a server, a module or a script can
/// invent codes.
const SERVER_ERROR_LABELS: [(&[u8], &str); 14] = [
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

/// The label of a refusal that concerns no record.
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
        let (open, opened, label) = match side {
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
            received: counter(&RECEIVED_BYTES, &[label]),
            sent: counter(&SENT_BYTES, &[label]),
        }
    }

    /// Counts a connection that was opened.
    pub fn opened(&self) {
        self.open.increment(1.0);
        self.opened.increment(1);
    }

    /// Counts a connection that was closed.
    pub fn closed(&self) {
        self.open.decrement(1.0);
    }

    /// Counts received bytes.
    #[inline]
    pub fn received(&self, bytes: usize) {
        self.received.increment(bytes as u64);
    }

    /// Counts sent bytes.
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
    disconnects: [(DisconnectReason, Counter); 4],
    buffered: Gauge,
    tls_failures: Counter,
    too_large: Counter,
    errors: Vec<(UpstreamError, Counter)>,
    server_errors: [(&'static [u8], Counter); 14],
    other_server_errors: Counter,
    /// Created on first use: refusals are rare, and there are thousands of combinations.
    refused: Mutex<HashMap<RefusalCounter, Counter>>,
    scripts: [(&'static str, Counter); 6],
    carried_out: WorkCounters,
    retries: WorkCounters,
    /// By pattern and reason; created on first use.
    messages_dropped: Mutex<HashMap<(String, &'static str), Counter>>,
    names_left_out: [(&'static str, Counter); 4],
    ready: Gauge,
    suspects: Gauge,
    switches: Counter,
}

impl TrafficMetrics {
    /// Creates the handles.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it registers with the recorder")]
    pub fn new() -> Self {
        let errors =
            ERROR_LABELS.map(|(error, label)| (error, counter(&UPSTREAM_ERRORS, &[label])));
        Self {
            clients: Arc::new(SideMetrics::new(Side::Client)),
            upstream: Arc::new(SideMetrics::new(Side::Upstream)),
            turned_away: counter(&CLIENT_CONNECTIONS_TURNED_AWAY, &[]),
            disconnects: DISCONNECT_LABELS
                .map(|(reason, label)| (reason, counter(&CLIENT_CONNECTIONS_CUT, &[label]))),
            buffered: gauge(&CLIENT_BUFFER_BYTES, &[]),
            tls_failures: counter(&CLIENT_TLS_FAILURES, &[]),
            too_large: counter(&REPLIES_TOO_LARGE, &[]),
            errors: errors.into(),
            server_errors: SERVER_ERROR_LABELS
                .map(|(code, label)| (code, counter(&SERVER_ERRORS, &[label]))),
            other_server_errors: counter(&SERVER_ERRORS, &["other"]),
            refused: Mutex::default(),
            scripts: SCRIPT_COMMANDS
                .map(|command| (command, counter(&SCRIPTS_FORWARDED, &[command]))),
            carried_out: WorkCounters::new(&CARRIED_OUT),
            retries: WorkCounters::new(&CARRIED_OUT_RETRIES),
            messages_dropped: Mutex::default(),
            names_left_out: LEFT_OUT_REASONS
                .map(|reason| (reason, counter(&NAMES_LEFT_OUT, &[reason]))),
            ready: gauge(&READY, &[]),
            switches: counter(&UPSTREAM_SWITCHES, &[]),
            suspects: gauge(&UPSTREAM_CONNECTIONS_SUSPECT, &[]),
        }
    }

    /// Counts a client that was turned away.
    pub fn turned_away(&self) {
        self.turned_away.increment(1);
    }

    /// Counts a client's connection that the proxy closed.
    pub fn disconnected(&self, reason: DisconnectReason) {
        self.disconnected_many(reason, 1);
    }

    /// Counts several connections that the proxy closed for one reason.
    pub fn disconnected_many(&self, reason: DisconnectReason, count: usize) {
        if let Some((_, counter)) = self.disconnects.iter().find(|(it, _)| *it == reason) {
            counter.increment(count as u64);
        }
    }

    /// Sets the approximate number of reply bytes that clients have not read.
    pub fn set_buffered(&self, bytes: usize) {
        self.buffered.set(bytes as f64);
    }

    /// Counts a client's TLS handshake that failed.
    pub fn tls_failed(&self) {
        self.tls_failures.increment(1);
    }

    /// Counts a reply whose values were too large to be opened.
    pub fn reply_too_large(&self) {
        self.too_large.increment(1);
    }

    /// Counts an error reply of the server to a client, by its error code.
    pub fn server_error(&self, code: &[u8]) {
        let known = self.server_errors.iter().find(|(known, _)| *known == code);
        let counter = known.map_or(&self.other_server_errors, |(_, counter)| counter);
        counter.increment(1);
    }

    /// Counts a connection to the server that failed to open, or ended.
    pub fn upstream_failed(&self, error: UpstreamError) {
        if let Some((_, counter)) = self.errors.iter().find(|(it, _)| *it == error) {
            counter.increment(1);
        }
    }

    /// Counts a request that was refused, or that was forwarded in a trial and would be refused without it: its command (`None`
    /// if the table of commands does not have it), the reason, and the pattern of the record, with its index and configured name.
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

    /// Counts a forwarded script or function.
    pub fn script_forwarded(&self, command: &str) {
        if let Some((_, counter)) = self.scripts.iter().find(|(it, _)| *it == command) {
            counter.increment(1);
        }
    }

    /// Counts a request that the proxy carries out with requests of its own.
    pub fn carried_out(&self, work: OwnWork) {
        self.carried_out.count(work);
    }

    /// Counts an attempt at such a request that changed nothing.
    pub fn retried(&self, work: OwnWork) {
        self.retries.count(work);
    }

    /// Counts a message in a channel of the pattern with this configured name that was not delivered.
    pub fn message_dropped(&self, pattern: &str, reason: &'static str) {
        let dropped = self.messages_dropped.lock();
        let mut dropped = dropped.unwrap_or_else(PoisonError::into_inner);
        let new = || counter(&MESSAGES_DROPPED, &[pattern, reason]);
        let entry = dropped.entry((pattern.to_owned(), reason));
        entry.or_insert_with(new).increment(1);
    }

    /// Counts names that were left out of a reply for this reason.
    pub fn names_left_out(&self, reason: &str, count: u64) {
        let counters = self.names_left_out.iter();
        if let Some((_, counter)) = counters.into_iter().find(|(other, _)| *other == reason) {
            counter.increment(count);
        }
    }

    /// Sets the number of shared connections to the server on which a reply is late.
    pub fn set_suspects(&self, count: usize) {
        self.suspects.set(count as f64);
    }

    /// Counts that all connections to the server are replaced.
    pub fn upstream_switched(&self) {
        self.switches.increment(1);
    }

    /// Sets whether a new client would be served now.
    pub fn set_ready(&self, ready: bool) {
        self.ready.set(if ready { 1.0 } else { 0.0 });
    }
}

/// The labels of a refusal.
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
    fn every_label_value_is_in_the_table() {
        for (_, label) in ERROR_LABELS {
            assert!(UPSTREAM_ERRORS.allows("kind", label), "{label}");
        }
        for (_, label) in DISCONNECT_LABELS {
            assert!(CLIENT_CONNECTIONS_CUT.allows("cause", label), "{label}");
        }
        for (code, label) in SERVER_ERROR_LABELS {
            assert!(SERVER_ERRORS.allows("kind", label), "{label}");
            assert!(code.eq_ignore_ascii_case(label.as_bytes()), "{label}");
        }
    }
}
