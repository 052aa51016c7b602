//! The metrics of the keyring, its custodians and the cache of users' keys.

use super::NONE;
use crate::metric::{Kind, Label, LabelValues, Metric};

const SCHEME: Label = Label {
    name: "scheme",
    // Those of `waxseal_keys::CustodianScheme`, which a test there holds against these; `other` for a custodian that an
    // application provides.
    values: LabelValues::OneOf(&["env", "file", "pkcs11", "awskms", "vault", "other"]),
};

const OPERATION: Label = Label {
    name: "operation",
    values: LabelValues::OneOf(&["wrap", "unwrap", "rewrap"]),
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
    help: "Time for which the sealing key has been sealing.",
    question: "Are keys rotated as often as they should be?",
    ..NONE
};

pub static KEYRING_NEXT_STEP: Metric = Metric {
    name: "waxseal_keyring_next_step_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    help: "Time until the next step of the rotation of the sealing key, by the keyring's settings: a new key is published, or the pending one begins to seal. 0 if it is due, +Inf if none is planned.",
    question: "When is the next rotation, and is one overdue?",
    ..NONE
};

pub static KEYRING_KEYS: Metric = Metric {
    name: "waxseal_keyring_keys",
    kind: Kind::Gauge,
    unit: "keys",
    help: "Keys of the keyring by state.",
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
    help: "1 if the keyring document cannot be used, so that the last good one is in use.",
    question: "Does this process learn of new keys?",
    ..NONE
};

pub static CUSTODIAN_CALLS: Metric = Metric {
    name: "waxseal_custodian_calls_total",
    unit: "calls",
    help: "Calls of custodians to wrap and unwrap keys. Sealing and opening values calls none.",
    question: "Is the key service unreachable, or does it deny access?",
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

pub static CUSTODIAN_CALL_DURATION: Metric = Metric {
    name: "waxseal_custodian_call_duration_seconds",
    kind: Kind::Histogram,
    unit: "seconds",
    help: "Duration of calls of a custodian, successful or not.",
    question: "Is the key service slow?",
    labels: &[SCHEME, OPERATION],
    buckets: &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0],
};

pub static CUSTODIAN_THREADS_HUNG: Metric = Metric {
    name: "waxseal_custodian_threads_hung",
    kind: Kind::Gauge,
    unit: "threads",
    help: "Threads in a call of a PKCS#11 module that did not return in time.",
    question: "Does a hardware module hang?",
    ..NONE
};

pub static KEYRING_CLOCK_OFFSET: Metric = Metric {
    name: "waxseal_keyring_clock_offset_seconds",
    kind: Kind::Gauge,
    unit: "seconds",
    help: "Offset of this process's clock from that of the server that holds the keyring; positive if it is ahead.",
    question: "Is a clock wrong, so that this process does not rotate keys?",
    ..NONE
};

pub static USER_KEY_CACHE_ENTRIES: Metric = Metric {
    name: "waxseal_user_key_cache_entries",
    kind: Kind::Gauge,
    unit: "users",
    help: "Users in the cache of users' keys, those without a key included.",
    question: "Is the cache full?",
    ..NONE
};

pub static USER_KEY_CACHE_LOOKUPS: Metric = Metric {
    name: "waxseal_user_key_cache_lookups_total",
    unit: "lookups",
    help: "Lookups in the cache of users' keys.",
    question: "How often is a user's key read from the store?",
    labels: &[Label {
        name: "result",
        values: LabelValues::OneOf(&["hit", "miss"]),
    }],
    ..NONE
};
