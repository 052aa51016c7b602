//! The document `docs/reference/metrics.md`, generated from the table. `cargo xtask docs` writes it.

use std::fmt::Write as _;

use crate::metric::{Label, LabelValues};
use crate::names::TABLE;

/// The whole document, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(OPENING);
    text.push_str(
        "| name | kind | unit | labels | meaning | answers |\n|---|---|---|---|---|---|\n",
    );
    for metric in TABLE {
        let kind = metric.kind.as_str();
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
    text.push_str("\n## Values of labels\n\n| metric | label | values |\n|---|---|---|\n");
    for metric in TABLE {
        for label in metric.labels {
            let can_be = describe(label);
            let _ = writeln!(text, "| `{}` | `{}` | {can_be} |", metric.name, label.name);
        }
    }
    text
}

fn describe(label: &Label) -> String {
    match label.values {
        LabelValues::OneOf(values) => {
            let values: Vec<_> = values.iter().map(|value| format!("`{value}`")).collect();
            values.join(", ")
        }
        LabelValues::Bounded(description) => description.replace('|', "\\|"),
    }
}

const OPENING: &str = "\
# Metrics

Written by `cargo xtask docs` from the table of the crate `metrics` (`crates/metrics/src/names.rs`). Nothing else is counted.

With `--admin HOST:PORT` the proxy and the keeper answer `GET /metrics` there in Prometheus' text format; without a
reader nothing is counted, and counting costs nothing. The library counts through the
`metrics` facade: install any recorder before you create the first `StateManager`.

No label holds a record name, a value, a user or the id of a key. A series exists from its first event
on, or from the start with the value 0.

## OpenTelemetry

Built with `--features opentelemetry`, the proxy and the keeper also export the same numbers to a collector, with `--admin`
or without: OTLP over HTTP in JSON, everything at every interval and once more at the end. They do so if an endpoint is
set, in the environment or in the file of `--env-file`:

| variable | |
|---|---|
| `OTEL_EXPORTER_OTLP_ENDPOINT` | the collector, for example `http://127.0.0.1:4318`; `/v1/metrics` is added |
| `OTEL_EXPORTER_OTLP_METRICS_ENDPOINT` | the whole URL, in place of it |
| `OTEL_EXPORTER_OTLP_HEADERS` | `NAME=VALUE,NAME=VALUE`, for example credentials; never logged. `OTEL_EXPORTER_OTLP_METRICS_HEADERS` takes precedence |
| `OTEL_METRIC_EXPORT_INTERVAL` | milliseconds between two exports; default 60000 |
| `OTEL_SERVICE_NAME` | default `waxseal` |
| `OTEL_EXPORTER_OTLP_PROTOCOL` | must be `http/json` if it is set. `OTEL_EXPORTER_OTLP_METRICS_PROTOCOL` takes precedence |

A build without that feature warns at its start if an endpoint is set. Other variables of OpenTelemetry are not read.
`https` trusts the system's authorities. A collector that is unreachable, slow
or refuses delays no request: the log has one line when exports begin to fail and one when they succeed again; an export may take 10 s, the last
one 3 s. Names, labels and buckets are those of the tables below; nothing is lost between exports, as all totals
count from the start of the process.

## The metrics

";
