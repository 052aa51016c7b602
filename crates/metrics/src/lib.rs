//! The metrics of Waxseal: the table of all of them, handles that are created once and kept where events happen, and
//! snapshots of the current values. Without a recorder a handle does nothing. This crate knows no key, value, record name
//! or user: callers pass label values of the table, and numbers.

mod coverage;
mod decoys;
pub mod document;
mod exposition;
mod handles;
mod hooks;
mod metric;
pub mod names;
#[cfg(feature = "opentelemetry")]
pub mod opentelemetry;
mod process;
mod recorder;
mod ring;
mod snapshot;
mod sweeps;
mod traffic;
mod values;

pub use coverage::{CoverageCounts, CoverageMetrics};
pub use decoys::{DecoyOpener, decoys_opened_counter};
pub use hooks::before_snapshot;
pub use metric::{Kind, Label, LabelValues, Metric};
pub use metrics::{Counter, Gauge, Histogram};
pub use names::TABLE;
pub use process::{ProcessMetrics, set_certificate_expiry, set_mode};
pub use recorder::{InstallError, install};
pub use ring::{
    CacheMetrics, RingMetrics, RingState, record_custodian_call, set_hung_custodian_threads,
};
pub use snapshot::{Series, Snapshot};
pub use sweeps::{SweepMetrics, Verdicts, quarantined_counter};
pub use traffic::{DisconnectReason, OwnWork, Side, SideMetrics, TrafficMetrics, UpstreamError};
pub use values::{Format, KeyName, OpenOutcome, SealOutcome, ValueMetrics};

/// All metrics of this process in Prometheus' text format; `None` if our recorder is not installed, as in an application
/// that has a recorder of its own.
#[must_use]
pub fn render() -> Option<String> {
    Some(Snapshot::take()?.to_text())
}
