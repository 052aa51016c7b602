//! The table of all metrics, with their labels and the values these can have. A metric that is not in it is neither
//! counted nor shown; `docs/reference/metrics.md` is written from it.

#![expect(missing_docs, reason = "each metric is described by its `help`")]

use crate::metric::{Kind, Metric};

mod keyring;
mod process;
mod requests;
mod sweeps;
mod traffic;
mod values;

pub use keyring::{
    CUSTODIAN_CALL_DURATION, CUSTODIAN_CALLS, CUSTODIAN_THREADS_HUNG, KEYRING_CLOCK_OFFSET,
    KEYRING_KEYS, KEYRING_NEXT_STEP, KEYRING_SEALING_AGE, KEYRING_TROUBLE, KEYRING_VERSION,
    USER_KEY_CACHE_ENTRIES, USER_KEY_CACHE_LOOKUPS,
};
pub(crate) use process::MODES;
pub use process::{CERTIFICATE_EXPIRY, LOG_LINES_LOST, MODE, PANICS};
pub use requests::{
    CARRIED_OUT, CARRIED_OUT_RETRIES, MESSAGES_DROPPED, NAMES_LEFT_OUT, REFUSED_COMMANDS,
    SCRIPTS_FORWARDED, TRIAL_REFUSALS,
};
pub(crate) use requests::{LEFT_OUT_REASONS, OWN_WORK, SCRIPT_COMMANDS};
pub use sweeps::{
    COVERAGE_COUNTED, COVERAGE_VALUES, SWEEP_LAST_RUN, SWEEP_PROGRESS, SWEEP_RECORDS,
};
pub use traffic::{
    CLIENT_BUFFER_BYTES, CLIENT_CONNECTIONS, CLIENT_CONNECTIONS_CUT, CLIENT_CONNECTIONS_OPENED,
    CLIENT_CONNECTIONS_TURNED_AWAY, CLIENT_TLS_FAILURES, READY, RECEIVED_BYTES, REPLIES_TOO_LARGE,
    SENT_BYTES, SERVER_ERRORS, UPSTREAM_CONNECTIONS, UPSTREAM_CONNECTIONS_OPENED,
    UPSTREAM_CONNECTIONS_SUSPECT, UPSTREAM_ERRORS, UPSTREAM_SWITCHES,
};
pub use values::{
    DECOYS_OPENED, KEY_LAST_USE, OPEN_DURATION, OPENS, PLAIN_VALUES, QUARANTINED_VALUES,
    SEAL_DURATION, SEALED_TWICE, SEALS,
};

/// The fields that most metrics leave at their default.
const NONE: Metric = Metric {
    name: "",
    kind: Kind::Counter,
    unit: "",
    help: "",
    question: "",
    labels: &[],
    buckets: &[],
};

/// All metrics, in the order of the document.
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
    &CARRIED_OUT,
    &CARRIED_OUT_RETRIES,
    &MESSAGES_DROPPED,
    &NAMES_LEFT_OUT,
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
