//! The recorder of a program that has none: keeps the numbers, and shows them as Prometheus wants them.
//! Opens no address; whoever has one asks [`render`](crate::render).

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::metric::Kind;
use crate::names::TABLE;

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Another recorder is installed in this process already, or the table cannot be set up.
#[derive(Debug)]
pub struct InstallError(String);

impl std::fmt::Display for InstallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "metrics cannot be kept: {}", self.0)
    }
}

impl std::error::Error for InstallError {}

/// Installs the recorder. Handles that were made before count nothing.
pub fn install() -> Result<(), InstallError> {
    let failed = |error: &dyn std::fmt::Display| InstallError(error.to_string());
    let mut builder = PrometheusBuilder::new();
    for metric in TABLE.iter().filter(|it| it.kind == Kind::Histogram) {
        let matcher = Matcher::Full(metric.name.to_owned());
        let set = builder.set_buckets_for_metric(matcher, metric.buckets);
        builder = set.map_err(|error| failed(&error))?;
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| failed(&error))?;
    // Only who installed the recorder comes here.
    let _ = HANDLE.set(handle);
    Ok(())
}

/// Brings samples of histograms into their buckets. To be called every few seconds where nobody may ask
/// for long: until then each sample is kept.
pub fn upkeep() {
    if let Some(handle) = handle() {
        handle.run_upkeep();
    }
}

pub(crate) fn handle() -> Option<&'static PrometheusHandle> {
    HANDLE.get()
}
