//! How values lie in the store, as they were counted last. Knows patterns by their configured names, and
//! no record.

use std::collections::BTreeMap;

use metrics::Gauge;

use crate::handles::gauge;
use crate::names::{COVERAGE_COUNTED, COVERAGE_VALUES};

/// How the values of one pattern lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoverageCounts {
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
    /// Plain under excepted names, and records there of types that cannot be sealed.
    pub excepted: u64,
}

impl CoverageCounts {
    /// Each count, by the word of its form in the table.
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
    pub fn counted<'p>(
        &self,
        began_ms: u64,
        found: impl IntoIterator<Item = (&'p str, CoverageCounts)>,
    ) {
        let mut all: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for (pattern, lying) in found {
            for (form, count) in lying.forms() {
                // Patterns may share a name: then they are one series.
                *all.entry((pattern, form)).or_default() += count;
            }
        }
        for ((pattern, form), count) in all {
            gauge(&COVERAGE_VALUES, &[pattern, form]).set(count as f64);
        }
        self.counted.set(began_ms as f64 / 1000.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_a_word_of_the_table() {
        for (form, _) in CoverageCounts::default().forms() {
            assert!(COVERAGE_VALUES.allows("form", form), "{form}");
        }
        assert!(!COVERAGE_VALUES.allows("form", "other"));
    }
}
