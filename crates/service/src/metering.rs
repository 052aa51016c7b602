//! Turns counting on where something reads the metrics, an admin address or a collector, and exports them to the collector.

#[cfg(feature = "opentelemetry")]
mod collector;
#[cfg(feature = "opentelemetry")]
mod exporter;

use waxseal_metrics::{ProcessMetrics, before_snapshot};

use crate::environment::Environment;
use crate::readiness::Readiness;
use crate::{Failure, panics};

/// OpenTelemetry's variables for the address of a collector.
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const METRICS_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT";

/// The counting of this process.
pub struct Metering {
    is_on: bool,
    #[cfg(feature = "opentelemetry")]
    collector: Option<collector::Collector>,
    #[cfg(feature = "opentelemetry")]
    exporter: Option<exporter::Exporter>,
}

impl Metering {
    /// Installs the recorder if there is an admin address or the environment names a collector. Handles that are created
    /// afterwards count; without a recorder nothing does. `lost_lines` returns the lines that the log has lost so far.
    pub fn start(
        environment: &Environment,
        has_admin: bool,
        lost_lines: fn() -> LostLines,
    ) -> Result<Self, Failure> {
        #[cfg(feature = "opentelemetry")]
        let collector = collector::Collector::read(environment)?;
        #[cfg(feature = "opentelemetry")]
        let is_on = has_admin || collector.is_some();
        #[cfg(not(feature = "opentelemetry"))]
        let is_on = has_admin;
        #[cfg(not(feature = "opentelemetry"))]
        if let Some(name) = collector_variable(|name| environment.variable(name))? {
            crate::notice::warning_with_hint(&not_exported(name), BUILD_HINT);
        }
        if is_on {
            install(lost_lines)?;
        }
        Ok(Self {
            is_on,
            #[cfg(feature = "opentelemetry")]
            collector,
            #[cfg(feature = "opentelemetry")]
            exporter: None,
        })
    }

    /// True if anything is counted.
    pub fn is_on(&self) -> bool {
        self.is_on
    }

    /// Starts the export to the collector, if one is named.
    #[cfg_attr(not(feature = "opentelemetry"), allow(clippy::unused_self, unused_mut))]
    pub fn export(mut self, readiness: &Readiness) -> Result<Self, Failure> {
        #[cfg(feature = "opentelemetry")]
        if let Some(collector) = self.collector.take() {
            self.exporter = Some(exporter::Exporter::start(collector, readiness.clone())?);
        }
        #[cfg(not(feature = "opentelemetry"))]
        let _ = readiness;
        Ok(self)
    }

    /// Exports a last time.
    pub async fn finish(self) {
        #[cfg(feature = "opentelemetry")]
        if let Some(exporter) = self.exporter {
            exporter.finish().await;
        }
    }
}

/// The hint for a collector that this build cannot export to.
#[cfg(any(test, not(feature = "opentelemetry")))]
const BUILD_HINT: &str = "cargo build --release --features opentelemetry makes one that exports; or let Prometheus \
     read /metrics at the address of --admin";

/// The variable that names a collector, if one does.
#[cfg(any(test, not(feature = "opentelemetry")))]
fn collector_variable(
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
fn not_exported(name: &str) -> String {
    format!(
        "{name} is set, and this waxseal was built without opentelemetry: no metrics are exported"
    )
}

/// The number of log lines that were lost since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LostLines {
    /// Lost because the queue was full: the reader is too slow, or stalls.
    pub queue_full: u64,
    /// Lost because writing failed: there is no reader, or the disk is full.
    pub write_failed: u64,
}

impl LostLines {
    /// The sum of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            queue_full: self.queue_full.saturating_add(other.queue_full),
            write_failed: self.write_failed.saturating_add(other.write_failed),
        }
    }

    /// The number of lines, whatever the cause.
    #[must_use]
    pub fn total(self) -> u64 {
        self.queue_full.saturating_add(self.write_failed)
    }
}

fn install(lost_lines: fn() -> LostLines) -> Result<(), Failure> {
    waxseal_metrics::install().map_err(|error| Failure::failed(&error))?;
    let metrics = ProcessMetrics::new();
    before_snapshot(move || {
        let lost = lost_lines();
        metrics.set_lost_lines(lost.queue_full, lost.write_failed);
        metrics.set_panics(panics::count());
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_without_an_exporter_is_reported() {
        let set = |set: &'static str| {
            move |name: &str| Ok((name == set).then(|| "http://127.0.0.1:4318".to_owned()))
        };
        for name in [ENDPOINT, METRICS_ENDPOINT] {
            assert_eq!(collector_variable(set(name)).unwrap(), Some(name));
            assert!(not_exported(name).starts_with(&format!("{name} is set")));
        }
        assert_eq!(collector_variable(set("OTEL_SERVICE_NAME")).unwrap(), None);
        assert!(BUILD_HINT.contains("--features opentelemetry"));
    }
}
