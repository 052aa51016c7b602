//! The table in words: `docs/reference/metrics.md`, written from it, so that what operators read is what is
//! counted. Knows no file; the repository's own chores write and check it.

use std::fmt::Write as _;

use crate::metric::{Kind, Label, LabelValues};
use crate::names::TABLE;

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
        LabelValues::OneOf(words) => {
            let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
        LabelValues::Bounded(how) => how.replace('|', "\\|"),
    }
}

const OPENING: &str = "\
# Metrics

Written by `cargo xtask docs` from the table of the crate `metrics` (`crates/metrics/src/names.rs`). What
is not here is not counted.

With `--admin HOST:PORT` the proxy and the keeper answer `GET /metrics` there in Prometheus' text format; where nobody
can ask, nothing is counted, and nothing is spent on counting. The library counts through the
`metrics` facade: install any recorder before the first `StateManager` is made.

No label holds a record name, a value, a user or the id of a key. A series is there from its first event
on, or from the start with 0.

## OpenTelemetry

Built with `--features opentelemetry`, the proxy and the keeper also send the same numbers to a collector, with `--admin`
or without: OTLP over HTTP in JSON, all of it at every interval and a last time at the end. They do so where an endpoint is
set, in the environment or in the file of `--env-file`:

| variable | |
|---|---|
| `OTEL_EXPORTER_OTLP_ENDPOINT` | the collector, for example `http://127.0.0.1:4318`; `/v1/metrics` is added |
| `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` | the whole URL, in place of it |
| `OTEL_EXPORTER_OTLP_HEADERS` | `NAME=VALUE,NAME=VALUE`, for example credentials; never logged. `OTEL_EXPORTER_OTLP_METRICS_HEADERS` goes before it |
| `OTEL_METRIC_EXPORT_INTERVAL` | milliseconds between two exports; default 60000 |
| `OTEL_SERVICE_NAME` | default `waxseal` |
| `OTEL_EXPORTER_OTLP_PROTOCOL` | if set, `http/json`: nothing else is spoken. `OTEL_EXPORTER_OTLP_METRICS_PROTOCOL` goes before it |

A build without that feature says so at its start where an endpoint is set. Other variables of OpenTelemetry are not read.
`https` trusts the authorities of the system. A collector that is away, slow
or refuses costs no request anything: it is told once, and once when it is back; one export may take 10 s, the last
one 3 s. Names, labels and buckets are those of the tables below; nothing is lost between exports, as all numbers are
sums since the start.

## The metrics

";
