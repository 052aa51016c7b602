//! The metrics of sweeps and of the stored values as counted.

use super::NONE;
use crate::metric::{Kind, Label, LabelValues, Metric};

const TASK: Label = Label {
    name: "task",
    values: LabelValues::OneOf(&["migrate", "rotate", "decrypt", "audit", "other"]),
};

pub static SWEEP_RECORDS: Metric = Metric {
    name: "waxseal_sweep_records_total",
    unit: "values",
    help: "Values processed by sweeps, by verdict; records for `skipped`. `done` of an audit is never written.",
    question: "Does a sweep progress, and what does it find?",
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
    help: "Progress of the latest sweep; 1 after its end.",
    question: "How long will a sweep take?",
    labels: &[TASK],
    ..NONE
};

pub static SWEEP_LAST_RUN: Metric = Metric {
    name: "waxseal_sweep_last_run_timestamp_seconds",
    kind: Kind::Gauge,
    unit: "seconds since the Unix epoch",
    help: "Time at which the last sweep of this process was completed; 0 before the first.",
    question: "When were the records last checked?",
    labels: &[TASK],
    ..NONE
};

pub static COVERAGE_VALUES: Metric = Metric {
    name: "waxseal_coverage_values",
    kind: Kind::Gauge,
    unit: "values",
    help: "Stored values by form, as last counted by this process; for `other_type`, records whose values cannot be sealed. `excepted` counts values and records that stay plain under excepted names; no other form includes them.",
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
    help: "Start time of the count that waxseal_coverage_values shows; 0 before the first.",
    question: "How old are the counts of stored values?",
    ..NONE
};
