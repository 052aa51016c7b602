//! The metrics of the process itself.

use super::NONE;
use crate::metric::{Kind, Label, LabelValues, Metric};

pub static MODE: Metric = Metric {
    name: "waxseal_mode",
    kind: Kind::Gauge,
    unit: "0 or 1",
    help: "The mode of this proxy: 1 for the mode that it was started in, 0 for the others. In mode `off`, and with `--trial`, new values are stored in plaintext.",
    question: "Is there a proxy that seals nothing?",
    labels: &[Label {
        name: "mode",
        values: LabelValues::OneOf(&MODES),
    }],
    ..NONE
};

/// All modes.
pub(crate) const MODES: [&str; 4] = ["off", "on", "required", "trial"];

pub static CERTIFICATE_EXPIRY: Metric = Metric {
    name: "waxseal_certificate_expiry_timestamp_seconds",
    kind: Kind::Gauge,
    unit: "seconds since the Unix epoch",
    help: "Expiry of a certificate that this proxy uses: of its own chain the first to expire, of a file of authorities the last. A certificate that is not configured has no series.",
    question: "Was a certificate renewed in time, and does the proxy use the new one?",
    labels: &[Label {
        name: "certificate",
        values: LabelValues::OneOf(&[
            "listener",
            "client_authority",
            "server_authority",
            "upstream",
        ]),
    }],
    ..NONE
};

pub static LOG_LINES_LOST: Metric = Metric {
    name: "waxseal_log_lines_lost_total",
    unit: "lines",
    help: "Lines for standard error or the file of --log-file that were never written: `queue_full` because the reader is too slow or stalls, `write_failed` because there is no reader or the disk is full. No request waits for the log.",
    question: "Does the log collector keep up?",
    labels: &[Label {
        name: "cause",
        values: LabelValues::OneOf(&["queue_full", "write_failed"]),
    }],
    ..NONE
};

pub static PANICS: Metric = Metric {
    name: "waxseal_panics_total",
    unit: "panics",
    help: "Panics, which are bugs of Waxseal, each of which ended one task: a client's connection, a shared connection or a background task. The log has the location of each; the process continues.",
    question: "Is there a bug to report?",
    ..NONE
};
