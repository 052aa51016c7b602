//! What is counted, as OpenTelemetry wants it: the body of one export in OTLP's JSON form, made from the
//! same numbers that `/metrics` shows, so that both always agree. Sends nothing.

use serde_json::{Value, json};

use crate::metric::{Kind, Metric};
use crate::names::TABLE;
use crate::text::{Sample, samples};

/// The version of OTLP's numbers: all since the start of the process.
const CUMULATIVE: u8 = 2;

/// Whose numbers they are, and of which span of time.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// What the process is called.
    pub service: &'a str,
    /// Tells processes of one name apart.
    pub instance: &'a str,
    /// The version of this program.
    pub version: &'a str,
    /// When the process began to count, in nanoseconds since the Unix epoch.
    pub since_ns: u128,
    /// Now, in the same way.
    pub now_ns: u128,
}

/// The body of an export of all metrics of this process. `None` where no recorder of ours was installed.
#[must_use]
pub fn export(origin: Origin<'_>) -> Option<String> {
    Some(body(&crate::render()?, origin))
}

fn body(text: &str, origin: Origin<'_>) -> String {
    let samples: Vec<Sample<'_>> = samples(text).collect();
    let metrics: Vec<Value> = TABLE
        .iter()
        .filter_map(|metric| metric_of(metric, &samples, origin))
        .collect();
    let attribute = |name: &str, value: &str| json!({"key": name, "value": {"stringValue": value}});
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

impl Sample<'_> {
    /// Its labels but for the bound of a bucket.
    fn own(&self) -> impl Iterator<Item = &(&str, String)> {
        self.labels.iter().filter(|(name, _)| *name != "le")
    }

    fn is_like(&self, other: &Self) -> bool {
        self.own().eq(other.own())
    }

    fn attributes(&self) -> Vec<Value> {
        self.own()
            .map(|(name, value)| json!({"key": name, "value": {"stringValue": value}}))
            .collect()
    }

    /// A count. Numbers of 64 bits are texts in JSON.
    fn count(&self) -> u64 {
        self.value.parse().unwrap_or_default()
    }
}

fn metric_of(metric: &Metric, samples: &[Sample<'_>], origin: Origin<'_>) -> Option<Value> {
    let named = |end: &'static str| {
        samples.iter().filter(move |sample| {
            let rest = sample.name.strip_prefix(metric.name);
            rest == Some(end)
        })
    };
    let point = |sample: &Sample<'_>| {
        json!({
            "attributes": sample.attributes(),
            "startTimeUnixNano": origin.since_ns.to_string(),
            "timeUnixNano": origin.now_ns.to_string(),
        })
    };
    let with = |sample: &Sample<'_>, more: &[(&str, Value)]| {
        let mut point = point(sample);
        for (name, value) in more {
            point[*name] = value.clone();
        }
        point
    };
    let points: Vec<Value> = match metric.kind {
        Kind::Counter => named("")
            .map(|it| with(it, &[("asInt", it.count().to_string().into())]))
            .collect(),
        Kind::Gauge => named("")
            .map(|it| with(it, &[("asDouble", double(it.value))]))
            .collect(),
        Kind::Histogram => named("_count")
            .map(|count| {
                let sum = named("_sum").find(|it| it.is_like(count));
                let mut before = 0;
                let buckets: Vec<String> = named("_bucket")
                    .filter(|it| it.is_like(count))
                    .map(|it| {
                        let inside = it.count().saturating_sub(before);
                        before = it.count();
                        inside.to_string()
                    })
                    .collect();
                with(
                    count,
                    &[
                        ("count", count.value.into()),
                        ("sum", double(sum.map_or("0", |it| it.value))),
                        ("bucketCounts", buckets.into()),
                        ("explicitBounds", metric.buckets.into()),
                    ],
                )
            })
            .collect(),
    };
    let data = match metric.kind {
        _ if points.is_empty() => return None,
        Kind::Counter => json!({"sum": {
            "dataPoints": points, "aggregationTemporality": CUMULATIVE, "isMonotonic": true,
        }}),
        Kind::Gauge => json!({"gauge": {"dataPoints": points}}),
        Kind::Histogram => json!({"histogram": {
            "dataPoints": points, "aggregationTemporality": CUMULATIVE,
        }}),
    };
    let mut told = json!({"name": metric.name, "description": metric.help, "unit": unit(metric)});
    if let (Some(told), Value::Object(data)) = (told.as_object_mut(), data) {
        told.extend(data);
    }
    Some(told)
}

/// A number, or the word that JSON has for one that is none.
fn double(text: &str) -> Value {
    match text {
        "+Inf" | "inf" => "Infinity".into(),
        "-Inf" | "-inf" => "-Infinity".into(),
        _ => text.parse::<f64>().map_or("NaN".into(), Value::from),
    }
}

/// The unit as OpenTelemetry writes it; things that are counted have none.
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

    const TEXT: &str = "# HELP waxseal_plain_values_total Plain.\n\
        # TYPE waxseal_plain_values_total counter\n\
        waxseal_plain_values_total{pattern=\"a \\\"b\\\\c\\n,}\"} 18446744073709551615\n\n\
        waxseal_keyring_next_step_seconds +Inf\n\
        waxseal_ready 1\n\
        waxseal_not_of_the_table 1\n\
        waxseal_custodian_call_duration_seconds_bucket{scheme=\"env\",operation=\"wrap\",le=\"0.001\"} 2\n\
        waxseal_custodian_call_duration_seconds_bucket{scheme=\"env\",operation=\"wrap\",le=\"+Inf\"} 5\n\
        waxseal_custodian_call_duration_seconds_sum{scheme=\"env\",operation=\"wrap\"} 0.5\n\
        waxseal_custodian_call_duration_seconds_count{scheme=\"env\",operation=\"wrap\"} 5\n";

    #[test]
    fn the_numbers_are_those_of_the_text_in_the_words_of_otlp() {
        let origin = Origin {
            service: "s",
            instance: "i",
            version: "v",
            since_ns: 1,
            now_ns: 2,
        };
        let body: Value = serde_json::from_str(&body(TEXT, origin)).unwrap();
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
        assert_eq!(point["bucketCounts"], json!(["2", "3"]));
        assert_eq!((&point["count"], &point["sum"]), (&"5".into(), &0.5.into()));
        assert_eq!(point["attributes"].as_array().unwrap().len(), 2);
        assert_eq!(named("waxseal_not_of_the_table"), Value::Null);
    }
}
