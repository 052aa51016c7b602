//! The stored values by form, as last counted. Patterns are known by their configured names; records are not known.

use std::collections::BTreeMap;

use metrics::Gauge;

use crate::handles::gauge;
use crate::names::{COVERAGE_COUNTED, COVERAGE_VALUES};

/// The stored values of one pattern by form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoverageCounts {
    /// In the sealed format.
    pub sealed: u64,
    /// In the classic format.
    pub classic: u64,
    /// Not sealed.
    pub plain: u64,
    /// Sealed, and they cannot be opened.
    pub unreadable: u64,
    /// Empty.
    pub empty: u64,
    /// Of users who were erased.
    pub erased: u64,
    /// Records of types whose values cannot be sealed.
    pub other_type: u64,
    /// Plain under excepted names, and records there of types that cannot be sealed.
    pub excepted: u64,
}

impl CoverageCounts {
    /// Each count with its value of the label `form`.
    fn forms(self) -> [(&'static str, u64); 8] {
        [
            ("sealed", self.sealed),
            ("classic", self.classic),
            ("plain", self.plain),
            ("unreadable", self.unreadable),
            ("empty", self.empty),
            ("erased", self.erased),
            ("other_type", self.other_type),
            ("excepted", self.excepted),
        ]
    }
}

/// Handles for the stored values.
pub struct CoverageMetrics {
    counted: Gauge,
}

impl CoverageMetrics {
    /// Creates the handles.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "it registers with the recorder")]
    pub fn new() -> Self {
        Self {
            counted: gauge(&COVERAGE_COUNTED, &[]),
        }
    }

    /// Sets the result of a count that began at `began_ms` (milliseconds since the Unix epoch), by pattern.
    pub fn set<'p>(
        &self,
        began_ms: u64,
        counts: impl IntoIterator<Item = (&'p str, CoverageCounts)>,
    ) {
        let mut sums: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for (pattern, counts) in counts {
            for (form, count) in counts.forms() {
                // Patterns may share a name, and are one series then.
                *sums.entry((pattern, form)).or_default() += count;
            }
        }
        for ((pattern, form), count) in sums {
            gauge(&COVERAGE_VALUES, &[pattern, form]).set(count as f64);
        }
        self.counted.set(began_ms as f64 / 1000.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_a_label_value_of_the_table() {
        for (form, _) in CoverageCounts::default().forms() {
            assert!(COVERAGE_VALUES.allows("form", form), "{form}");
        }
        assert!(!COVERAGE_VALUES.allows("form", "other"));
    }
}
