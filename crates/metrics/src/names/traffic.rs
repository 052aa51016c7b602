//! The part of the table about connections and what passes on them.

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
    help: "Connections of clients that are open.",
    question: "How near is the bound on connections?",
    ..NONE
};

pub static CLIENT_CONNECTIONS_OPENED: Metric = Metric {
    name: "waxseal_client_connections_opened_total",
    unit: "connections",
    help: "Connections of clients that were taken, with TLS after the handshake.",
    question: "Do clients open a connection for each request?",
    ..NONE
};

pub static CLIENT_CONNECTIONS_TURNED_AWAY: Metric = Metric {
    name: "waxseal_client_connections_turned_away_total",
    unit: "connections",
    help: "Connections of clients that were turned away because there were too many.",
    question: "Is --max-connections too small?",
    ..NONE
};

pub static CLIENT_CONNECTIONS_CUT: Metric = Metric {
    name: "waxseal_client_connections_cut_total",
    unit: "connections",
    help: "Connections of clients that the proxy ended: half a request that did not go on, replies that were not read (`not_reading`: more than --max-client-buffer; `buffers_full`: for all clients more than --max-total-buffer, and most for this one), something still under way at the end of the grace period (counted as the process ends: the log has it too).",
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
    help: "Replies that wait in the proxy for clients which have not read them, in steps of 64 KiB for each client.",
    question: "Do clients not read, and how near is --max-total-buffer?",
    ..NONE
};

pub static CLIENT_TLS_FAILURES: Metric = Metric {
    name: "waxseal_client_tls_failures_total",
    unit: "connections",
    help: "Connections of clients that ended before their TLS handshake did, or took too long for it. A probe that only connects is one.",
    question: "Does a client trust another authority, or show a certificate that is not accepted?",
    ..NONE
};

pub static REPLIES_TOO_LARGE: Metric = Metric {
    name: "waxseal_replies_too_large_total",
    unit: "replies",
    help: "Replies with values of protected records that were longer than --max-value allows: the client got an error.",
    question: "Is --max-value too small, or is too much asked for at once?",
    ..NONE
};

pub static SERVER_ERRORS: Metric = Metric {
    name: "waxseal_server_errors_total",
    unit: "replies",
    help: "Error replies of the server to requests of clients, by their first word. Errors inside the reply to EXEC are not counted.",
    question: "Is the store full, read-only, loading, or does it refuse what clients ask for?",
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
    help: "Connections to the server that are open, shared ones and clients' own.",
    question: "How many of the server's maxclients does the proxy take?",
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
    question: "Is a path to the server dead, or does the server stall?",
    ..NONE
};

pub static UPSTREAM_SWITCHES: Metric = Metric {
    name: "waxseal_upstream_switches_total",
    unit: "switches",
    help: "Times that connections to the server were opened again because it answered READONLY, LOADING or MASTERDOWN.",
    question: "Did the server's role change, or do clients write to a replica?",
    ..NONE
};

pub static UPSTREAM_ERRORS: Metric = Metric {
    name: "waxseal_upstream_errors_total",
    unit: "errors",
    help: "Connections to the server that failed to open, or were not ended by their client.",
    question: "Is the server away, or does something between it and the proxy break?",
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
    help: "Bytes that came from clients, and from the server; without what TLS adds.",
    question: "How much traffic is there, and how much longer does sealing make it?",
    labels: &[SIDE],
    ..NONE
};

pub static SENT_BYTES: Metric = Metric {
    name: "waxseal_sent_bytes_total",
    unit: "bytes",
    help: "Bytes that went to clients, and to the server; without what TLS adds.",
    question: "How much traffic is there, and how much longer does sealing make it?",
    labels: &[SIDE],
    ..NONE
};
