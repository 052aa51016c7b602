//! The metrics of requests that the proxy refused or forwarded.

use super::NONE;
use crate::metric::{Label, LabelValues, Metric};

const REFUSED_COMMAND: Label = Label {
    name: "command",
    values: LabelValues::Bounded(
        "a command of docs/reference/command-policy.md, `xgroup|create` for a subcommand; otherwise `other`",
    ),
};

const REFUSAL_REASON: Label = Label {
    name: "reason",
    values: LabelValues::OneOf(&[
        "computes_on_value",
        "compares_value",
        "compares_element",
        "moves_value",
        "mixes_records",
        "sorts_members",
        "runs_code",
        "script_names_several",
        "script_changed",
        "sealed_names",
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
    help: "Requests that `waxseal proxy --trial` forwarded and that a proxy without `--trial` would refuse.",
    question: "Which commands of an application would not work behind the proxy?",
    labels: &[REFUSED_COMMAND, REFUSAL_REASON, REFUSAL_PATTERN],
    ..NONE
};

pub static MESSAGES_DROPPED: Metric = Metric {
    name: "waxseal_messages_dropped_total",
    unit: "messages",
    help: "Messages in protected channels that the proxy did not deliver to a subscriber, counted for each subscriber.",
    question: "Do messages get lost because they are published in plaintext, or under a key that this proxy does not have?",
    labels: &[
        Label {
            name: "pattern",
            values: LabelValues::Bounded(
                "the configured name of the protected channels, or their pattern",
            ),
        },
        Label {
            name: "reason",
            values: LabelValues::OneOf(&DROP_REASONS),
        },
    ],
    ..NONE
};

/// The reasons why messages are not delivered.
pub(crate) const DROP_REASONS: [&str; 4] = ["plaintext", "not_opened", "too_large", "malformed"];

/// What the proxy does for a request with requests of its own.
pub(crate) const OWN_WORK: [&str; 6] = [
    "computed",
    "transaction",
    "move",
    "script",
    "sort",
    "prelude",
];

const WORK: Label = Label {
    name: "work",
    values: LabelValues::OneOf(&OWN_WORK),
};

pub static CARRIED_OUT: Metric = Metric {
    name: "waxseal_carried_out_requests_total",
    unit: "requests",
    help: "Requests that the proxy carried out with requests of its own: computed commands, transactions with them or with moves, moves, known scripts, sorting; `prelude`: requests that name members, with the script that gives these one form.",
    question: "How much do round trips, scripts and work of the server grow by what is computed, moved or found on sealed values?",
    labels: &[WORK],
    ..NONE
};

pub static CARRIED_OUT_RETRIES: Metric = Metric {
    name: "waxseal_carried_out_retries_total",
    unit: "attempts",
    help: "Attempts at such requests that changed nothing, because what had been read was no longer stored, and that were made again or given up.",
    question: "Do clients wait because several of them, or several proxies, change the same records?",
    labels: &[WORK],
    ..NONE
};

pub static NAMES_LEFT_OUT: Metric = Metric {
    name: "waxseal_names_left_out_total",
    unit: "names",
    help: "Stored names that the proxy left out of replies because clients could not use them, counted for each reply.",
    question: "Are there records under names that do not open, or under plain names where they are sealed?",
    labels: &[Label {
        name: "reason",
        values: LabelValues::OneOf(&LEFT_OUT_REASONS),
    }],
    ..NONE
};

/// The reasons why names are left out of replies.
pub(crate) const LEFT_OUT_REASONS: [&str; 4] = ["junk", "foreign", "stray", "unknown_key"];

pub static SCRIPTS_FORWARDED: Metric = Metric {
    name: "waxseal_scripts_forwarded_total",
    unit: "requests",
    help: "Scripts and functions that the proxy forwarded because they name no protected record, or because forwarding unknown scripts is configured.",
    question: "Could a script write plain values under names that it builds itself?",
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
