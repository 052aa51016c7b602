//! What Waxseal counts and measures: one table of all metrics, and handles that are made once and kept
//! where things happen. Without a recorder a handle does nothing. Knows no key, no value, no record name
//! and no user: whoever counts hands over words of the table, and numbers.

mod coverage;
mod decoys;
pub mod document;
mod handles;
mod metric;
pub mod names;
#[cfg(feature = "opentelemetry")]
pub mod opentelemetry;
mod process;
#[cfg(feature = "prometheus")]
pub mod prometheus;
mod ring;
#[cfg(feature = "prometheus")]
mod snapshot;
mod sweeps;
#[cfg(feature = "prometheus")]
mod text;
mod traffic;
mod values;

pub use coverage::{CoverageCounts, CoverageMetrics};
pub use decoys::{DecoyOpener, decoys_opened_counter};
pub use metric::{Kind, Label, LabelValues, Metric};
pub use metrics::{Counter, Gauge, Histogram};
pub use names::TABLE;
pub use process::{ProcessMetrics, set_certificate_expiry, set_mode};
pub use ring::{
    CacheMetrics, RingMetrics, RingState, record_custodian_call, set_hung_custodian_threads,
};
#[cfg(feature = "prometheus")]
pub use snapshot::{Series, Snapshot};
pub use sweeps::{SweepMetrics, Verdicts, quarantined_counter};
pub use traffic::{DisconnectReason, Side, SideMetrics, TrafficMetrics, UpstreamError};
pub use values::{Format, KeyName, OpenOutcome, SealOutcome, ValueMetrics};

/// What is done before metrics are shown: bringing up to date what is looked at and not counted.
type Hook = Box<dyn Fn() + Send + Sync>;

static HOOKS: std::sync::Mutex<Vec<Hook>> = std::sync::Mutex::new(Vec::new());

/// Does this each time before metrics are shown, until the process ends: for what is looked at and not
/// counted, such as the age of a key.
pub fn before_render(hook: impl Fn() + Send + Sync + 'static) {
    hooks().push(Box::new(hook));
}

fn hooks() -> std::sync::MutexGuard<'static, Vec<Hook>> {
    HOOKS
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// All metrics of this process in Prometheus' text format. `None` where no recorder of ours was
/// installed: an application that has one of its own asks that.
#[must_use]
pub fn render() -> Option<String> {
    #[cfg(feature = "prometheus")]
    {
        let handle = prometheus::handle()?;
        for hook in &*hooks() {
            hook();
        }
        Some(handle.render())
    }
    #[cfg(not(feature = "prometheus"))]
    None
}
