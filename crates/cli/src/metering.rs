//! Counting, where somebody can ask for it: installs the recorder, keeps its memory bounded, and begins
//! what sends the numbers. What is counted is the business of the crates beneath.

#[cfg(feature = "opentelemetry")]
mod collector;
#[cfg(feature = "opentelemetry")]
mod exporter;

use waxseal_metrics::{ProcessMetrics, before_snapshot};
use waxseal_proxy::Readiness;

use crate::{logging, panics};
use waxseal_service::Failure;
use waxseal_service::environment::Environment;

/// OpenTelemetry's own variables for the address of a collector.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const METRICS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";

/// How this process counts.
pub(crate) struct Metering {
    is_on: bool,
    #[cfg(feature = "opentelemetry")]
    collector: Option<collector::Collector>,
    #[cfg(feature = "opentelemetry")]
    exporter: Option<exporter::Exporter>,
}

impl Metering {
    /// From here on everything is counted whose handles are made afterwards, where it is asked for at an
    /// address or the environment names a collector. Where nobody can ask, nothing is counted.
    pub(crate) fn begin(environment: &Environment, has_admin: bool) -> Result<Self, Failure> {
        #[cfg(feature = "opentelemetry")]
        let collector = collector::Collector::of(environment)?;
        #[cfg(feature = "opentelemetry")]
        let is_on = has_admin || collector.is_some();
        #[cfg(not(feature = "opentelemetry"))]
        let is_on = has_admin;
        #[cfg(not(feature = "opentelemetry"))]
        if let Some(name) = named(|name| environment.variable(name))? {
            crate::output::warn(&unexported(name));
            crate::output::hint(BUILD_IT);
        }
        if is_on {
            count()?;
        }
        Ok(Self {
            is_on,
            #[cfg(feature = "opentelemetry")]
            collector,
            #[cfg(feature = "opentelemetry")]
            exporter: None,
        })
    }

    /// Whether anything is counted.
    pub(crate) fn is_on(&self) -> bool {
        self.is_on
    }

    /// Sends what is counted to the collector, if one is named.
    #[cfg_attr(not(feature = "opentelemetry"), allow(clippy::unused_self, unused_mut))]
    pub(crate) fn export(mut self, readiness: &Readiness) -> Result<Self, Failure> {
        #[cfg(feature = "opentelemetry")]
        if let Some(collector) = self.collector.take() {
            self.exporter = Some(exporter::Exporter::begin(collector, readiness.clone())?);
        }
        #[cfg(not(feature = "opentelemetry"))]
        let _ = readiness;
        Ok(self)
    }

    /// Sends what is not sent yet.
    pub(crate) async fn end(self) {
        #[cfg(feature = "opentelemetry")]
        if let Some(exporter) = self.exporter {
            exporter.end().await;
        }
    }
}

/// The hint where a collector is named and nothing can be sent to it.
#[cfg(any(test, not(feature = "opentelemetry")))]
const BUILD_IT: &str = "cargo build --release --features opentelemetry makes one that exports; or let Prometheus \
     read /metrics at the address of --admin";

/// The variable that names a collector, if one does.
#[cfg(any(test, not(feature = "opentelemetry")))]
fn named(
    read: impl Fn(&str) -> Result<Option<String>, Failure>,
) -> Result<Option<&'static str>, Failure> {
    for name in [METRICS_ENDPOINT, ENDPOINT] {
        if read(name)?.is_some() {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

#[cfg(any(test, not(feature = "opentelemetry")))]
fn unexported(name: &str) -> String {
    format!(
        "{name} is set, and this waxseal was built without opentelemetry: no metrics are exported"
    )
}

fn count() -> Result<(), Failure> {
    waxseal_metrics::install().map_err(|error| Failure::failed(&error))?;
    let metrics = ProcessMetrics::new();
    before_snapshot(move || {
        let lost = logging::lost_lines();
        metrics.set_lost_lines(lost.queue_full, lost.write_failed);
        metrics.set_panics(panics::count());
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_that_nothing_is_sent_to_is_told() {
        let set = |set: &'static str| {
            move |name: &str| Ok((name == set).then(|| "http://127.0.0.1:4318".to_owned()))
        };
        for name in [ENDPOINT, METRICS_ENDPOINT] {
            assert_eq!(named(set(name)).unwrap(), Some(name));
            assert!(unexported(name).starts_with(&format!("{name} is set")));
        }
        assert_eq!(named(set("OTEL_SERVICE_NAME")).unwrap(), None);
        assert!(BUILD_IT.contains("--features opentelemetry"));
    }
}
