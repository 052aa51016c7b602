//! The collector that OpenTelemetry's variables name: its URL, headers and export interval. No text repeats a value, since
//! headers are credentials, and a path may be one.

use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::{ENDPOINT, METRICS_ENDPOINT};
use crate::Failure;
use crate::environment::Environment;

const HEADERS: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    "OTEL_EXPORTER_OTLP_HEADERS",
];
const PROTOCOL: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
];
const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";
const SERVICE: &str = "OTEL_SERVICE_NAME";
/// The supported protocol: OTLP over HTTP, in JSON.
const SUPPORTED_PROTOCOL: &str = "http/json";
/// The default of the specification.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

/// A collector.
pub(super) struct Collector {
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) interval: Duration,
    pub(super) service: String,
}

impl Collector {
    /// Reads the collector from the environment; `None` if it names none.
    pub(super) fn read(environment: &Environment) -> Result<Option<Self>, Failure> {
        let variable = |name: &str| environment.variable(name);
        let first = |names: [&'static str; 2]| -> Result<Option<(&'static str, String)>, Failure> {
            for name in names {
                if let Some(value) = variable(name)? {
                    return Ok(Some((name, value)));
                }
            }
            Ok(None)
        };
        let url = match (variable(METRICS_ENDPOINT)?, variable(ENDPOINT)?) {
            (Some(text), _) => url(METRICS_ENDPOINT, &text)?,
            (None, Some(text)) => {
                let text = format!("{}/v1/metrics", text.trim_end_matches('/'));
                url(ENDPOINT, &text)?
            }
            (None, None) => return Ok(None),
        };
        if let Some((name, protocol)) = first(PROTOCOL)?
            && protocol != SUPPORTED_PROTOCOL
        {
            return Err(
                Failure::usage(format!("{name} can only be {SUPPORTED_PROTOCOL} here"))
                    .hint("collectors take it at the same port as http/protobuf"),
            );
        }
        let headers = match first(HEADERS)? {
            Some((name, text)) => headers(name, &text)?,
            None => HeaderMap::new(),
        };
        let interval = match variable(INTERVAL)? {
            Some(text) => interval(&text)?,
            None => DEFAULT_INTERVAL,
        };
        let service = variable(SERVICE)?.unwrap_or_else(|| "waxseal".to_owned());
        Ok(Some(Self {
            url,
            headers,
            interval,
            service,
        }))
    }

    /// Its address for the log, without possible credentials.
    pub(super) fn location(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or_default();
        format!("{}://{host}:{port}", self.url.scheme())
    }
}

fn url(name: &str, text: &str) -> Result<Url, Failure> {
    let url = Url::parse(text).ok();
    let url = url.filter(|it| ["http", "https"].contains(&it.scheme()) && it.has_host());
    url.ok_or_else(|| {
        Failure::usage(format!("{name} is not the URL of a collector"))
            .hint("for example http://127.0.0.1:4318")
    })
}

fn interval(text: &str) -> Result<Duration, Failure> {
    match text.parse() {
        Ok(ms @ 1_u64..) => Ok(Duration::from_millis(ms)),
        _ => Err(
            Failure::usage(format!("{INTERVAL} is not a number of milliseconds"))
                .hint("for example 60000: once a minute"),
        ),
    }
}

/// Reads `name=value,name=value`; values are percent-encoded where they must be.
fn headers(name: &str, text: &str) -> Result<HeaderMap, Failure> {
    let wrong = || {
        Failure::usage(format!("{name} cannot be read"))
            .hint("it reads NAME=VALUE,NAME=VALUE; other characters of a value are percent-encoded, as %20")
    };
    let mut headers = HeaderMap::new();
    for pair in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
        let (header, value) = pair.split_once('=').ok_or_else(wrong)?;
        let header: HeaderName = header.trim().parse().map_err(|_| wrong())?;
        let value = percent_decoded(value.trim()).ok_or_else(wrong)?;
        let mut value = HeaderValue::from_bytes(&value).map_err(|_| wrong())?;
        value.set_sensitive(true);
        headers.append(header, value);
    }
    Ok(headers)
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                let digits = std::str::from_utf8(&digits).ok()?;
                u8::from_str_radix(digits, 16).ok()?
            }
            other => other,
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_pairs_with_percent_encoded_values() {
        let read = headers("X", "authorization=Basic%20abc=, x-scope = a%2Cb ,").unwrap();
        assert_eq!(read["authorization"], "Basic abc=");
        assert_eq!(read["x-scope"], "a,b");
        for text in [
            "s3cret",
            "a b=s3cret",
            "a=s3cret%",
            "a=s3cret%zz",
            "a=s3cret%0a",
        ] {
            let failure = headers("X", text).unwrap_err();
            assert!(!failure.text().contains("s3cret"), "{}", failure.text());
        }
    }

    #[test]
    fn a_collector_is_at_a_url_and_intervals_are_milliseconds() {
        assert!(url("X", "http://127.0.0.1:4318/v1/metrics").is_ok());
        for text in ["", "127.0.0.1:4318", "file:///x", "grpc://h"] {
            assert!(url("X", text).is_err(), "{text}");
        }
        assert_eq!(interval("1500").unwrap(), Duration::from_millis(1500));
        for text in ["", "0", "-1", "1s"] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
