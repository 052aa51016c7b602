//! The table in words: `docs/metrics.md`, written from it, so that what operators read is what is
//! counted. Knows no file; the repository's own chores write and check it.

use std::fmt::Write as _;

use crate::names::{Allowed, Kind, Label, TABLE};

/// The whole document, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(OPENING);
    text.push_str(
        "| name | kind | unit | labels | meaning | answers |\n|---|---|---|---|---|---|\n",
    );
    for metric in TABLE {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|it| format!("`{}`", it.name))
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| `{}` | {kind} | {} | {} | {} | {} |",
            metric.name,
            metric.unit,
            labels.join(", "),
            metric.help,
            metric.question
        );
    }
    text.push_str("\n## What labels can be\n\n| metric | label | can be |\n|---|---|---|\n");
    for metric in TABLE {
        for label in metric.labels {
            let can_be = in_words(label);
            let _ = writeln!(text, "| `{}` | `{}` | {can_be} |", metric.name, label.name);
        }
    }
    text
}

fn in_words(label: &Label) -> String {
    match label.values {
        Allowed::These(words) => {
            let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
        Allowed::Bounded(how) => how.replace('|', "\\|"),
    }
}

const OPENING: &str = "\
# Metrics

Written by `cargo xtask docs` from the table of the crate `metrics` (`crates/metrics/src/names.rs`). What
is not here is not counted.

With `--admin HOST:PORT` the proxy and the keeper answer `GET /metrics` there in Prometheus' text format; without it
nothing is counted, and nothing is spent on counting. The library counts through the
`metrics` facade: install any recorder before the first `StateManager` is made.

No label holds a record name, a value, a user or the id of a key. A series is there from its first event
on, or from the start with 0.

";
