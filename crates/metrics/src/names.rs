//! The table: every metric that Waxseal has, with its labels and what they can be. What is not in it is
//! neither counted nor shown; `docs/reference/metrics.md` is written from it.

#![expect(missing_docs, reason = "each metric says what it tells in its `help`")]

use crate::metric::{Kind, Label, LabelValues, Metric};

mod process;
mod traffic;

pub(crate) use process::MODES;
pub use process::{CERTIFICATE_EXPIRY, LOG_LINES_LOST, MODE, PANICS};
pub use traffic::{
    CLIENT_BUFFER_BYTES, CLIENT_CONNECTIONS, CLIENT_CONNECTIONS_CUT, CLIENT_CONNECTIONS_OPENED,
    CLIENT_CONNECTIONS_TURNED_AWAY, CLIENT_TLS_FAILURES, RECEIVED_BYTES, REPLIES_TOO_LARGE,
    SENT_BYTES, SERVER_ERRORS, UPSTREAM_CONNECTIONS, UPSTREAM_CONNECTIONS_OPENED,
    UPSTREAM_CONNECTIONS_SUSPECT, UPSTREAM_ERRORS, UPSTREAM_SWITCHES,
};

/// What a label of keys can be: never a key's id.
const KEY: Label = Label {
    name: "key",
    values: LabelValues::Bounded(
        "8 hexadecimal characters of the fingerprint of a key's id; `user` for all keys of users together, `none` without a key, `unknown` for keys that the ring does not hold, `other` for keys beyond the first 64 that this process saw",
    ),
};

const SCHEME: Label = Label {
    name: "scheme",
    values: LabelValues::Bounded(
        "the scheme of the custodian's URL (docs/keys/custodians); `other` for a custodian that an application provides",
    ),
};

const OPERATION: Label = Label {
    name: "operation",
    values: LabelValues::OneOf(&["wrap", "unwrap", "rewrap"]),
};

const TASK: Label = Label {
    name: "task",
    values: LabelValues::OneOf(&["migrate", "rotate", "decrypt", "audit", "other"]),
};

const REFUSED_COMMAND: Label = Label {
    name: "command",
    values: LabelValues::Bounded(
        "a command of docs/reference/command-policy.md, `xgroup|create` for a subcommand; else `other`",
    ),
};

const REFUSAL_REASON: Label = Label {
    name: "reason",
    values: LabelValues::OneOf(&[
        "computes_on_value",
        "compares_value",
        "moves_value",
        "runs_code",
        "script_names_several",
        "script_changed",
        "not_yet_sealed",
        "fields_elsewhere",
        "quotes_request",
        "unknown_command",
        "unforeseen_form",
        "replication",
        "writes_own_record",
        "zero_byte",
        "unknown_subcommand",
        "monitoring",
        "means_shared_connections",
        "in_transaction",
        "transaction_too_large",
        "too_large",
        "not_sealed",
        "too_large_for_server",
        "keys_out_of_reach",
    ]),
};

const REFUSAL_PATTERN: Label = Label {
    name: "pattern",
    values: LabelValues::Bounded(
        "the configured name of the protected pattern, or the pattern; `none` if no record is involved",
    ),
};

/// From one microsecond to ten milliseconds.
const OF_VALUES: &[f64] = &[
    0.000_001, 0.000_002, 0.000_005, 0.000_010, 0.000_020, 0.000_050, 0.000_100, 0.000_200,
    0.000_500, 0.001, 0.010,
];

const NONE: Metric = Metric {
    name: "",
    kind: Kind::Counter,
    unit: "",
    help: "",
    question: "",
    labels: &[],
    buckets: &[],
};

pub static SEALS: Metric = Metric {
    name: "waxseal_seals_total",
    unit: "values",
    help: "Values that were to be sealed. `left` are those that mode off stores as they are.",
    question: "Is everything that is written sealed, in which format and under which key?",
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
    help: "Stored values that were to be opened. Plain values that were accepted are result ok, format plain.",
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
    question: "Which records are not migrated yet? Does somebody write past the proxy?",
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
    help: "Values that clients wrote to protected records and that were envelopes under a key of ours already: the application encrypts by itself. Where such values are not all of them, some may not be counted.",
    question: "Does an application behind the proxy still encrypt by itself?",
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
    help: "How long sealing a value took. Sampled: every 16th value of each thread.",
    question: "What does sealing cost a request?",
    buckets: OF_VALUES,
    ..NONE
};

pub static OPEN_DURATION: Metric = Metric {
    name: "waxseal_open_duration_seconds",
    kind: Kind::Histogram,
    unit: "seconds",
    help: "How long opening a value took. Sampled: every 16th value of each thread.",
    question: "What does opening cost a request?",
    buckets: OF_VALUES,
    ..NONE
};

pub static REFUSED_COMMANDS: Metric = Metric {
    name: "waxseal_refused_commands_total",
    unit: "requests",
    help: "Requests that the proxy answered with an error instead of sending them.",
    question: "Which commands does an application use that cannot work on protected records?",
    labels: &[REFUSED_COMMAND, REFUSAL_REASON, REFUSAL_PATTERN],
    ..NONE
};

pub static TRIAL_REFUSALS: Metric = Metric {
    name: "waxseal_trial_refusals_total",
    unit: "requests",
    help: "Requests that `waxseal proxy --trial` forwarded, and a proxy without `--trial` would refuse.",
    question: "What would an application lose behind the proxy?",
    labels: &[REFUSED_COMMAND, REFUSAL_REASON, REFUSAL_PATTERN],
    ..NONE
};

pub static SCRIPTS_FORWARDED: Metric = Metric {
    name: "waxseal_scripts_forwarded_total",
    unit: "requests",
    help: "Scripts and functions that the proxy forwarded, because they name no protected record, or because the operator forwards unknown scripts.",
    question: "Could a script write plain values under names that it makes up?",
    labels: &[Label {
        name: "command",
        values: LabelValues::OneOf(&SCRIPT_COMMANDS),
    }],
    ..NONE
};

/// Commands that run code on the server.
pub(crate) const SCRIPT_COMMANDS: [&str; 6] = [
    "eval",
    "eval_ro",
    "evalsha",
    "evalsha_ro",
    "fcall",
    "fcall_ro",
];

pub static DECOYS_OPENED: Metric = Metric {
    name: "waxseal_decoys_opened_total",
    unit: "values",
    help: "Values of decoys, records that no application reads, that were opened. What `waxseal get` and `open` open is in the log and in the audit log only: those processes end before they could be asked.",
    question: "Does somebody read records who should not?",
    labels: &[Label {
        name: "by",
        values: LabelValues::OneOf(&["proxy", "library"]),
    }],
    ..NONE
};

pub static KEY_LAST_USE: Metric = Metric {
    name: "waxseal_key_last_use_timestamp_seconds",
    kind: Kind::Gauge,
    unit: "seconds since the Unix epoch",
    help: "When this proxy last sealed or opened a value with a key of the ring, as the first scrape after it saw it: late by less than the time between two scrapes. A key that this process has not used has no series.",
    question: "Is an old key still in use?",
    labels: &[Label {
        name: "key",
        values: LabelValues::Bounded(
            "8 hexadecimal characters of the fingerprint of a key's id, as in `waxseal_opens_total`; keys of users, and keys beyond the first 64 that this process saw, are not told",
        ),
    }],
    ..NONE
};

pub static READY: Metric = Metric {
    name: "waxseal_ready",
    kind: Kind::Gauge,
    unit: "0 or 1",
    help: "Whether a client that came now would be served, as /readyz answers; found out when asked.",
    question: "Should clients be sent here?",
    ..NONE
};

pub static KEYRING_VERSION: Metric = Metric {
    name: "waxseal_keyring_version",
    kind: Kind::Gauge,
    unit: "number",
    help: "Version of the keyring document that is in use.",
    question: "Do all processes use the same keyring?",
    ..NONE
};

pub static KEYRING_SEALING_AGE: Metric = Metric {
    name: "waxseal_keyring_sealing_key_age_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    help: "For how long the sealing key has sealed.",
    question: "Are keys exchanged as often as they should be?",
    ..NONE
};

pub static KEYRING_NEXT_STEP: Metric = Metric {
    name: "waxseal_keyring_next_step_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    help: "Until the next step of the exchange of the sealing key, a new key published or the pending one sealing, by the times of the keyring; 0 when it is due, +Inf when none is to come.",
    question: "When is the next exchange, and is one overdue?",
    ..NONE
};

pub static KEYRING_KEYS: Metric = Metric {
    name: "waxseal_keyring_keys",
    kind: Kind::Gauge,
    unit: "keys",
    help: "Keys of the keyring by their state.",
    question: "Are old keys retired, and is one compromised?",
    labels: &[Label {
        name: "state",
        values: LabelValues::OneOf(&[
            "pending",
            "sealing",
            "opening",
            "archived",
            "destroyed",
            "compromised",
        ]),
    }],
    ..NONE
};

pub static KEYRING_TROUBLE: Metric = Metric {
    name: "waxseal_keyring_trouble",
    kind: Kind::Gauge,
    unit: "0 or 1",
    help: "Whether something is wrong with the keyring document, so that the last good one is in use.",
    question: "Does this process learn of new keys?",
    ..NONE
};

pub static CUSTODIAN_CALLS: Metric = Metric {
    name: "waxseal_custodian_calls_total",
    unit: "calls",
    help: "Calls of custodians that wrap and unwrap keys. None is made on the way of a value.",
    question: "Is the key service away, or does it deny us something?",
    labels: &[
        SCHEME,
        OPERATION,
        Label {
            name: "outcome",
            values: LabelValues::OneOf(&["ok", "unavailable", "refused", "denied", "other"]),
        },
    ],
    ..NONE
};

pub static CUSTODIAN_THREADS_HUNG: Metric = Metric {
    name: "waxseal_custodian_threads_hung",
    kind: Kind::Gauge,
    unit: "threads",
    help: "Threads in a call of a PKCS#11 module that has not returned in time.",
    question: "Does a hardware module hang?",
    ..NONE
};

pub static KEYRING_CLOCK_OFFSET: Metric = Metric {
    name: "waxseal_keyring_clock_offset_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    help: "How far the clock of this process is ahead of that of the server that holds the keyring.",
    question: "Is a clock wrong, so that this process does not rotate keys?",
    ..NONE
};

pub static CUSTODIAN_CALL_DURATION: Metric = Metric {
    name: "waxseal_custodian_call_duration_seconds",
    kind: Kind::Histogram,
    unit: "seconds",
    help: "How long a call of a custodian took, whatever came of it.",
    question: "Is the key service slow?",
    labels: &[SCHEME, OPERATION],
    buckets: &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0],
};

pub static USER_KEY_CACHE_ENTRIES: Metric = Metric {
    name: "waxseal_user_key_cache_entries",
    kind: Kind::Gauge,
    unit: "users",
    help: "Users whose key, or whose having none, is in the cache.",
    question: "Is the cache full?",
    ..NONE
};

pub static USER_KEY_CACHE_LOOKUPS: Metric = Metric {
    name: "waxseal_user_key_cache_lookups_total",
    unit: "lookups",
    help: "Lookups in the cache of users' keys.",
    question: "How often must the store be asked for a user's key?",
    labels: &[Label {
        name: "result",
        values: LabelValues::OneOf(&["hit", "miss"]),
    }],
    ..NONE
};

pub static SWEEP_RECORDS: Metric = Metric {
    name: "waxseal_sweep_records_total",
    unit: "values",
    help: "Values that passes over the store are done with, by what became of them; records for `skipped`. For an audit, `done` is never written.",
    question: "Does a pass get on, and what does it find?",
    labels: &[
        TASK,
        Label {
            name: "verdict",
            values: LabelValues::OneOf(&[
                "done", "already", "empty", "erased", "raced", "failed", "skipped",
            ]),
        },
    ],
    ..NONE
};

pub static SWEEP_PROGRESS: Metric = Metric {
    name: "waxseal_sweep_progress_ratio",
    kind: Kind::Gauge,
    unit: "0 to 1",
    help: "How much of the store the newest pass has gone through; 1 after its end.",
    question: "How long will a pass take?",
    labels: &[TASK],
    ..NONE
};

pub static SWEEP_LAST_RUN: Metric = Metric {
    name: "waxseal_sweep_last_run_timestamp_seconds",
    kind: Kind::Gauge,
    unit: "seconds since the Unix epoch",
    help: "When a pass of this process went to its end last; 0 before the first did.",
    question: "When were the records looked at last?",
    labels: &[TASK],
    ..NONE
};

pub static QUARANTINED_VALUES: Metric = Metric {
    name: "waxseal_quarantined_values_total",
    unit: "values",
    help: "Values that the library moved aside because they could not be opened.",
    question: "Is data being damaged?",
    ..NONE
};

pub static COVERAGE_VALUES: Metric = Metric {
    name: "waxseal_coverage_values",
    kind: Kind::Gauge,
    unit: "values",
    help: "Stored values by form, as last counted by this process; records for `other_type`, whose values cannot be sealed. `excepted` counts values and records that stay plain under excepted names; no other form counts them.",
    question: "Is every stored value sealed?",
    labels: &[
        Label {
            name: "pattern",
            values: LabelValues::Bounded(
                "the configured name of the protected pattern, or the pattern",
            ),
        },
        Label {
            name: "form",
            values: LabelValues::OneOf(&[
                "sealed",
                "classic",
                "plain",
                "unreadable",
                "empty",
                "erased",
                "other_type",
                "excepted",
            ]),
        },
    ],
    ..NONE
};

pub static COVERAGE_COUNTED: Metric = Metric {
    name: "waxseal_coverage_counted_timestamp_seconds",
    kind: Kind::Gauge,
    unit: "seconds since the Unix epoch",
    help: "When the count began that waxseal_coverage_values tells; 0 before the first.",
    question: "How old are the figures about stored values?",
    ..NONE
};

/// All of them.
pub static TABLE: &[&Metric] = &[
    &SEALS,
    &OPENS,
    &PLAIN_VALUES,
    &SEALED_TWICE,
    &SEAL_DURATION,
    &OPEN_DURATION,
    &KEY_LAST_USE,
    &DECOYS_OPENED,
    &REFUSED_COMMANDS,
    &TRIAL_REFUSALS,
    &SCRIPTS_FORWARDED,
    &CLIENT_CONNECTIONS,
    &CLIENT_CONNECTIONS_OPENED,
    &CLIENT_CONNECTIONS_TURNED_AWAY,
    &CLIENT_CONNECTIONS_CUT,
    &CLIENT_BUFFER_BYTES,
    &CLIENT_TLS_FAILURES,
    &REPLIES_TOO_LARGE,
    &SERVER_ERRORS,
    &UPSTREAM_CONNECTIONS,
    &UPSTREAM_CONNECTIONS_OPENED,
    &UPSTREAM_CONNECTIONS_SUSPECT,
    &UPSTREAM_SWITCHES,
    &UPSTREAM_ERRORS,
    &RECEIVED_BYTES,
    &SENT_BYTES,
    &READY,
    &KEYRING_VERSION,
    &KEYRING_SEALING_AGE,
    &KEYRING_NEXT_STEP,
    &KEYRING_KEYS,
    &KEYRING_TROUBLE,
    &CUSTODIAN_CALLS,
    &CUSTODIAN_CALL_DURATION,
    &CUSTODIAN_THREADS_HUNG,
    &KEYRING_CLOCK_OFFSET,
    &USER_KEY_CACHE_ENTRIES,
    &USER_KEY_CACHE_LOOKUPS,
    &SWEEP_RECORDS,
    &SWEEP_PROGRESS,
    &SWEEP_LAST_RUN,
    &QUARANTINED_VALUES,
    &COVERAGE_VALUES,
    &COVERAGE_COUNTED,
    &MODE,
    &CERTIFICATE_EXPIRY,
    &LOG_LINES_LOST,
    &PANICS,
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_as_prometheus_wants_them_and_each_is_there_once() {
        let names: HashSet<_> = TABLE.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), TABLE.len());
        for metric in TABLE {
            let name = metric.name;
            let fine = |letter: char| letter.is_ascii_lowercase() || letter == '_';
            assert!(
                name.starts_with("waxseal_") && name.chars().all(fine),
                "{name}"
            );
            assert_eq!(
                name.ends_with("_total"),
                metric.kind == Kind::Counter,
                "{name}"
            );
            assert_eq!(
                metric.kind == Kind::Histogram,
                !metric.buckets.is_empty(),
                "{name}"
            );
            assert!(metric.buckets.is_sorted(), "{name}");
            for text in [metric.help, metric.question, metric.unit] {
                assert!(!text.is_empty(), "{name}");
            }
            assert!(
                metric.question.ends_with('?') && metric.help.ends_with('.'),
                "{name}"
            );
        }
    }
}
