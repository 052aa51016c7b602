//! The metrics of connections, their traffic and the proxy's readiness.

use super::NONE;
use crate::metric::{Kind, Label, LabelValues, Metric};

const SIDE: Label = Label {
    name: "side",
    values: LabelValues::OneOf(&["client", "upstream"]),
};

pub static CLIENT_CONNECTIONS: Metric = Metric {
    name: "waxseal_client_connections",
    kind: Kind::Gauge,
    unit: "connections",
    help: "Open connections of clients.",
    question: "How close is the limit on connections?",
    ..NONE
};

pub static CLIENT_CONNECTIONS_OPENED: Metric = Metric {
    name: "waxseal_client_connections_opened_total",
    unit: "connections",
    help: "Connections of clients that were accepted; with TLS, after the handshake.",
    question: "Do clients open a connection for each request?",
    ..NONE
};

pub static CLIENT_CONNECTIONS_TURNED_AWAY: Metric = Metric {
    name: "waxseal_client_connections_turned_away_total",
    unit: "connections",
    help: "Connections of clients that were rejected because there were too many.",
    question: "Is --max-connections too small?",
    ..NONE
};

pub static CLIENT_CONNECTIONS_CUT: Metric = Metric {
    name: "waxseal_client_connections_cut_total",
    unit: "connections",
    help: "Connections of clients that the proxy closed: an incomplete request (`half_request`), unread replies (`not_reading`: more than --max-client-buffer; `buffers_full`: more than --max-total-buffer for all clients, and the most for this one), or a request in progress at the end of the grace period (`stopping`; counted while the process ends, and logged).",
    question: "Do clients hang, or is someone trying to exhaust connections?",
    labels: &[Label {
        name: "cause",
        values: LabelValues::OneOf(&["half_request", "not_reading", "buffers_full", "stopping"]),
    }],
    ..NONE
};

pub static CLIENT_BUFFER_BYTES: Metric = Metric {
    name: "waxseal_client_buffer_bytes",
    kind: Kind::Gauge,
    unit: "bytes",
    help: "Replies that clients have not read yet, in steps of 64 KiB for each client.",
    question: "Do clients not read their replies, and how close is --max-total-buffer?",
    ..NONE
};

pub static CLIENT_TLS_FAILURES: Metric = Metric {
    name: "waxseal_client_tls_failures_total",
    unit: "connections",
    help: "TLS handshakes of clients that failed or took too long. A probe that only connects counts as one.",
    question: "Does a client trust another authority, or present a certificate that is not accepted?",
    ..NONE
};

pub static REPLIES_TOO_LARGE: Metric = Metric {
    name: "waxseal_replies_too_large_total",
    unit: "replies",
    help: "Replies with values of protected records that exceed --max-value: the client got an error.",
    question: "Is --max-value too small, or do clients request too much at once?",
    ..NONE
};

pub static SERVER_ERRORS: Metric = Metric {
    name: "waxseal_server_errors_total",
    unit: "replies",
    help: "Error replies of the server to requests of clients, by error code. Errors inside the reply to EXEC are not counted.",
    question: "Is the store full, read-only or loading, or does it refuse requests of clients?",
    labels: &[Label {
        name: "kind",
        values: LabelValues::OneOf(&[
            "oom",
            "readonly",
            "loading",
            "busy",
            "noauth",
            "noperm",
            "moved",
            "ask",
            "clusterdown",
            "tryagain",
            "misconf",
            "masterdown",
            "noreplicas",
            "wrongtype",
            "other",
        ]),
    }],
    ..NONE
};

pub static UPSTREAM_CONNECTIONS: Metric = Metric {
    name: "waxseal_upstream_connections",
    kind: Kind::Gauge,
    unit: "connections",
    help: "Open connections to the server, shared and dedicated.",
    question: "How many of the server's maxclients does the proxy use?",
    ..NONE
};

pub static UPSTREAM_CONNECTIONS_OPENED: Metric = Metric {
    name: "waxseal_upstream_connections_opened_total",
    unit: "connections",
    help: "Connections to the server that were opened.",
    question: "Does the proxy lose its connections to the server?",
    ..NONE
};

pub static UPSTREAM_CONNECTIONS_SUSPECT: Metric = Metric {
    name: "waxseal_upstream_connections_suspect",
    kind: Kind::Gauge,
    unit: "connections",
    help: "Shared connections to the server on which a reply is late by --max-stall.",
    question: "Is a network path to the server dead, or does the server stall?",
    ..NONE
};

pub static UPSTREAM_SWITCHES: Metric = Metric {
    name: "waxseal_upstream_switches_total",
    unit: "switches",
    help: "Number of times that all connections to the server were replaced because it answered READONLY, LOADING or MASTERDOWN.",
    question: "Did the server's role change, or do clients write to a replica?",
    ..NONE
};

pub static UPSTREAM_ERRORS: Metric = Metric {
    name: "waxseal_upstream_errors_total",
    unit: "errors",
    help: "Connections to the server that failed to open, or ended unexpectedly.",
    question: "Is the server unreachable, or does something between it and the proxy fail?",
    labels: &[Label {
        name: "kind",
        values: LabelValues::OneOf(&[
            "refused",
            "timeout",
            "missing",
            "permission",
            "broken_off",
            "tls",
            "other",
            "closed",
            "entrance",
            "unexplained",
            "stalled",
        ]),
    }],
    ..NONE
};

pub static RECEIVED_BYTES: Metric = Metric {
    name: "waxseal_received_bytes_total",
    unit: "bytes",
    help: "Bytes received from clients and from the server, without TLS overhead.",
    question: "How much traffic is there, and how much does sealing add?",
    labels: &[SIDE],
    ..NONE
};

pub static SENT_BYTES: Metric = Metric {
    name: "waxseal_sent_bytes_total",
    unit: "bytes",
    help: "Bytes sent to clients and to the server, without TLS overhead.",
    question: "How much traffic is there, and how much does sealing add?",
    labels: &[SIDE],
    ..NONE
};

pub static READY: Metric = Metric {
    name: "waxseal_ready",
    kind: Kind::Gauge,
    unit: "0 or 1",
    help: "1 if a new client would be served now, as /readyz answers; checked at each scrape.",
    question: "Should clients be sent here?",
    ..NONE
};
