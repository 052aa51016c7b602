//! How values lie in the store, as they were counted last. Knows patterns by their configured names, and
//! no record.

use metrics::Gauge;

use crate::made::gauge;
use crate::names::{COVERAGE_COUNTED, COVERAGE_VALUES};

/// How the values of one pattern lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lying {
    /// In the sealed format.
    pub sealed: u64,
    /// In the classic format.
    pub classic: u64,
    /// Not sealed.
    pub plain: u64,
    /// They do not open.
    pub unreadable: u64,
    /// Empty.
    pub empty: u64,
    /// Of users who were erased.
    pub erased: u64,
    /// Records of types whose values cannot be sealed.
    pub other_type: u64,
}

/// Handles for what was counted.
pub struct CoverageMetrics {
    counted: Gauge,
}

impl CoverageMetrics {
    /// The handles. Made once.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it registers with the recorder")]
    pub fn new() -> Self {
        Self {
            counted: gauge(&COVERAGE_COUNTED, &[]),
        }
    }

    /// A count that began then (milliseconds since the Unix epoch) has found this, by pattern.
    pub fn counted<'p>(&self, began_ms: u64, found: impl IntoIterator<Item = (&'p str, Lying)>) {
        for (pattern, lying) in found {
            let Lying {
                sealed,
                classic,
                plain,
                unreadable,
                empty,
                erased,
                other_type,
            } = lying;
            for (form, count) in [
                ("sealed", sealed),
                ("classic", classic),
                ("plain", plain),
                ("unreadable", unreadable),
                ("empty", empty),
                ("erased", erased),
                ("other_type", other_type),
            ] {
                gauge(&COVERAGE_VALUES, &[pattern, form]).set(count as f64);
            }
        }
        self.counted.set(began_ms as f64 / 1000.0);
    }
}
