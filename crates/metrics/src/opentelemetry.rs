//! The body of one OpenTelemetry export: a snapshot in OTLP's JSON encoding, with the same numbers that `/metrics`
//! shows. It does no I/O.

use serde_json::{Value as Json, json};

use crate::metric::{Kind, Metric};
use crate::snapshot::{Labels, Series, Snapshot, Value};

/// OTLP's code for totals that count from the start of the process (`AGGREGATION_TEMPORALITY_CUMULATIVE`).
const CUMULATIVE: u8 = 2;

/// The process that an export is about, and the time that its numbers cover.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The name of the service.
    pub service: &'a str,
    /// Distinguishes processes of one service.
    pub instance: &'a str,
    /// The version of this program.
    pub version: &'a str,
    /// The start of counting, in nanoseconds since the Unix epoch.
    pub since_ns: u128,
    /// The current time, in nanoseconds since the Unix epoch.
    pub now_ns: u128,
}

/// The body of an export of all metrics of this process; `None` if our recorder is not installed.
#[must_use]
pub fn export(origin: Origin<'_>) -> Option<String> {
    Some(body(&Snapshot::take()?, origin))
}

fn body(snapshot: &Snapshot, origin: Origin<'_>) -> String {
    let families = snapshot.families();
    let metrics: Vec<Json> = families
        .map(|(metric, series)| metric_json(metric, series, origin))
        .collect();
    json!({"resourceMetrics": [{
        "resource": {"attributes": [
            attribute("service.name", origin.service),
            attribute("service.instance.id", origin.instance),
            attribute("service.version", origin.version),
        ]},
        "scopeMetrics": [{"scope": {"name": "waxseal"}, "metrics": metrics}],
    }]})
    .to_string()
}

fn metric_json(metric: &Metric, series: &[Series], origin: Origin<'_>) -> Json {
    let points: Vec<Json> = series.iter().map(|it| point(metric, it, origin)).collect();
    let (kind, data) = match metric.kind {
        Kind::Counter => (
            "sum",
            json!({"dataPoints": points, "aggregationTemporality": CUMULATIVE, "isMonotonic": true}),
        ),
        Kind::Gauge => ("gauge", json!({"dataPoints": points})),
        Kind::Histogram => (
            "histogram",
            json!({"dataPoints": points, "aggregationTemporality": CUMULATIVE}),
        ),
    };
    json!({
        "name": metric.name, "description": metric.help, "unit": unit(metric), (kind): data,
    })
}

/// One data point. OTLP's JSON encodes integers of 64 bits as strings.
fn point(metric: &Metric, series: &Series, origin: Origin<'_>) -> Json {
    let mut point = json!({
        "attributes": attributes(series.labels()),
        "startTimeUnixNano": origin.since_ns.to_string(),
        "timeUnixNano": origin.now_ns.to_string(),
    });
    match series.exact() {
        Value::Counter(total) => point["asInt"] = total.to_string().into(),
        Value::Gauge(value) => point["asDouble"] = double(*value),
        Value::Histogram(samples) => {
            let buckets = samples.buckets.iter().map(u64::to_string);
            point["count"] = samples.count().to_string().into();
            point["sum"] = double(samples.sum);
            point["bucketCounts"] = buckets.collect::<Vec<_>>().into();
            point["explicitBounds"] = metric.buckets.into();
        }
    }
    point
}

fn attributes(labels: &Labels) -> Vec<Json> {
    labels
        .iter()
        .map(|(name, value)| attribute(name, value))
        .collect()
}

fn attribute(name: &str, value: &str) -> Json {
    json!({"key": name, "value": {"stringValue": value}})
}

/// A number, or the string that OTLP's JSON has for a number that JSON cannot express.
fn double(value: f64) -> Json {
    match value {
        value if value.is_nan() => "NaN".into(),
        value if value == f64::INFINITY => "Infinity".into(),
        value if value == f64::NEG_INFINITY => "-Infinity".into(),
        value => value.into(),
    }
}

/// The unit as OpenTelemetry writes it; counts have none.
fn unit(metric: &Metric) -> &'static str {
    match metric.unit {
        "seconds" | "seconds since the Unix epoch" => "s",
        "bytes" => "By",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposition::parse::read;
    use crate::names::CUSTODIAN_CALL_DURATION;

    const TEXT: &str = "# HELP waxseal_plain_values_total Plain.\n\
        # TYPE waxseal_plain_values_total counter\n\
        waxseal_plain_values_total{pattern=\"a \\\"b\\\\c\\n,}\"} 18446744073709551615\n\n\
        waxseal_keyring_next_step_seconds +Inf\n\
        waxseal_ready 1\n\
        waxseal_not_of_the_table 1\n\
        waxseal_custodian_call_duration_seconds_bucket{scheme=\"env\",operation=\"wrap\",le=\"0.001\"} 2\n\
        waxseal_custodian_call_duration_seconds_bucket{scheme=\"env\",operation=\"wrap\",le=\"0.005\"} 2\n\
        waxseal_custodian_call_duration_seconds_bucket{scheme=\"env\",operation=\"wrap\",le=\"+Inf\"} 5\n\
        waxseal_custodian_call_duration_seconds_sum{scheme=\"env\",operation=\"wrap\"} 0.5\n\
        waxseal_custodian_call_duration_seconds_count{scheme=\"env\",operation=\"wrap\"} 5\n";

    #[test]
    fn the_numbers_are_encoded_as_otlp_json() {
        let origin = Origin {
            service: "s",
            instance: "i",
            version: "v",
            since_ns: 1,
            now_ns: 2,
        };
        let body: Json = serde_json::from_str(&body(&read(TEXT), origin)).unwrap();
        let metrics = &body["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
        let named = |name: &str| {
            let metrics = metrics.as_array().unwrap().iter();
            let mut found = metrics.filter(|it| it["name"] == name);
            found.next().cloned().unwrap_or_default()
        };
        let plain = named("waxseal_plain_values_total");
        let point = &plain["sum"]["dataPoints"][0];
        assert_eq!(point["asInt"], "18446744073709551615");
        assert_eq!(
            point["attributes"][0]["value"]["stringValue"],
            "a \"b\\c\n,}"
        );
        assert_eq!(
            (&point["startTimeUnixNano"], &point["timeUnixNano"]),
            (&"1".into(), &"2".into())
        );
        let next = named("waxseal_keyring_next_step_seconds");
        assert_eq!(next["gauge"]["dataPoints"][0]["asDouble"], "Infinity");
        assert_eq!(next["unit"], "s");
        assert_eq!(
            named("waxseal_ready")["gauge"]["dataPoints"][0]["asDouble"],
            1.0
        );
        let duration = named("waxseal_custodian_call_duration_seconds");
        let point = &duration["histogram"]["dataPoints"][0];
        let buckets = point["bucketCounts"].as_array().unwrap();
        let bounds = CUSTODIAN_CALL_DURATION.buckets;
        assert_eq!(
            (&buckets[0], buckets.last()),
            (&"2".into(), Some(&"3".into()))
        );
        assert_eq!(buckets.len(), bounds.len() + 1);
        assert_eq!(point["explicitBounds"], json!(bounds));
        assert_eq!((&point["count"], &point["sum"]), (&"5".into(), &0.5.into()));
        assert_eq!(point["attributes"].as_array().unwrap().len(), 2);
        assert_eq!(named("waxseal_not_of_the_table"), Json::Null);
    }
}
