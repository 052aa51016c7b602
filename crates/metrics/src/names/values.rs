//! The metrics of values: seals, opens, decoys, quarantine.

use super::NONE;
use crate::metric::{Kind, Label, LabelValues, Metric};

/// The label for keys, which never has a key's id.
const KEY: Label = Label {
    name: "key",
    values: LabelValues::Bounded(
        "8 hexadecimal characters of the fingerprint of a key's id; `user` for all keys of users together, `none` without a key, `unknown` for keys that the ring does not hold, `other` for keys beyond the first 64 that this process saw",
    ),
};

/// Buckets from one microsecond to ten milliseconds.
const VALUE_DURATIONS: &[f64] = &[
    0.000_001, 0.000_002, 0.000_005, 0.000_010, 0.000_020, 0.000_050, 0.000_100, 0.000_200,
    0.000_500, 0.001, 0.010,
];

pub static SEALS: Metric = Metric {
    name: "waxseal_seals_total",
    unit: "values",
    help: "Values to be sealed, by result. `left` are those that mode `off` stores in plaintext.",
    question: "Is every written value sealed, in which format and under which key?",
    labels: &[
        Label {
            name: "result",
            values: LabelValues::OneOf(&[
                "ok",
                "left",
                "no_key",
                "key_exhausted",
                "too_long",
                "erased",
                "other",
            ]),
        },
        Label {
            name: "format",
            values: LabelValues::OneOf(&["classic", "sealed", "plain"]),
        },
        KEY,
    ],
    ..NONE
};

pub static OPENS: Metric = Metric {
    name: "waxseal_opens_total",
    unit: "values",
    help: "Stored values to be opened, by result. Accepted plain values have result `ok` and format `plain`.",
    question: "Do values fail to open, and why? Is an old key still needed? Is anything still plain?",
    labels: &[
        Label {
            name: "result",
            values: LabelValues::OneOf(&[
                "ok",
                "refused",
                "unknown_key",
                "compromised",
                "plaintext",
                "malformed",
                "erased",
                "other",
            ]),
        },
        Label {
            name: "format",
            values: LabelValues::OneOf(&["classic", "sealed", "plain", "unknown"]),
        },
        KEY,
    ],
    ..NONE
};

pub static PLAIN_VALUES: Metric = Metric {
    name: "waxseal_plain_values_total",
    unit: "values",
    help: "Plain values that were read from protected records, whether mode accepted or refused them.",
    question: "Which records are not migrated yet? Does an application write without the proxy?",
    labels: &[Label {
        name: "pattern",
        values: LabelValues::Bounded(
            "the configured name of the protected pattern, or the pattern",
        ),
    }],
    ..NONE
};

pub static SEALED_TWICE: Metric = Metric {
    name: "waxseal_sealed_twice_total",
    unit: "values",
    help: "Values that clients wrote to protected records and that were already envelopes under a known key: the application encrypts them itself. If only some values are envelopes, not all of these are counted.",
    question: "Does an application behind the proxy still encrypt its values itself?",
    labels: &[Label {
        name: "pattern",
        values: LabelValues::Bounded(
            "the configured name of the protected pattern, or the pattern",
        ),
    }],
    ..NONE
};

pub static SEAL_DURATION: Metric = Metric {
    name: "waxseal_seal_duration_seconds",
    kind: Kind::Histogram,
    unit: "seconds",
    help: "Time to seal a value. Sampled: every 16th value of each thread.",
    question: "What does sealing cost a request?",
    buckets: VALUE_DURATIONS,
    ..NONE
};

pub static OPEN_DURATION: Metric = Metric {
    name: "waxseal_open_duration_seconds",
    kind: Kind::Histogram,
    unit: "seconds",
    help: "Time to open a value. Sampled: every 16th value of each thread.",
    question: "What does opening cost a request?",
    buckets: VALUE_DURATIONS,
    ..NONE
};

pub static KEY_LAST_USE: Metric = Metric {
    name: "waxseal_key_last_use_timestamp_seconds",
    kind: Kind::Gauge,
    unit: "seconds since the Unix epoch",
    help: "Time of the first scrape after this proxy last sealed or opened a value with a key of the ring: late by less than the scrape interval. A key that this process has not used has no series.",
    question: "Is an old key still in use?",
    labels: &[Label {
        name: "key",
        values: LabelValues::Bounded(
            "8 hexadecimal characters of the fingerprint of a key's id, as in `waxseal_opens_total`; keys of users, and keys beyond the first 64 that this process saw, have no series",
        ),
    }],
    ..NONE
};

pub static DECOYS_OPENED: Metric = Metric {
    name: "waxseal_decoys_opened_total",
    unit: "values",
    help: "Opened values of decoys, records that no application reads. Values opened by `waxseal get` and `open` are only in the log and the audit log: those processes end before a scrape.",
    question: "Does someone read records without authorization?",
    labels: &[Label {
        name: "by",
        values: LabelValues::OneOf(&["proxy", "library"]),
    }],
    ..NONE
};

pub static QUARANTINED_VALUES: Metric = Metric {
    name: "waxseal_quarantined_values_total",
    unit: "values",
    help: "Values that the library moved to quarantine because they could not be opened.",
    question: "Is data being damaged?",
    ..NONE
};
