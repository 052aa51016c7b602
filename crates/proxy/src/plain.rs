//! Plain values that are read under a protected pattern while the mode seals: they were written past the
//! proxy, by a script that makes up names, or before the migration. The log says so, with the pattern and
//! never the record, at most once an hour for each pattern.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use waxseal_policy::{PatternId, ProtectedNames};

/// How often one pattern is told of.
const INTERVAL: Duration = Duration::from_secs(3600);

/// What has been told.
pub(crate) struct PlainReads {
    start: Instant,
    /// For each pattern, when it is told of next: seconds from the start.
    next: Vec<AtomicU64>,
    /// Scripts that were forwarded.
    scripts: AtomicU64,
}

impl PlainReads {
    /// For so many patterns.
    pub(crate) fn new(patterns: usize) -> Self {
        Self {
            start: Instant::now(),
            next: (0..patterns).map(|_| AtomicU64::new(0)).collect(),
            scripts: AtomicU64::new(0),
        }
    }

    /// A script was forwarded.
    pub(crate) fn script(&self) {
        self.scripts.fetch_add(1, Ordering::Relaxed);
    }

    /// A plain value was read from a record of this pattern.
    pub(crate) fn warn(&self, pattern: PatternId, names: &ProtectedNames) {
        if !self.is_due(pattern) {
            return;
        }
        let pattern = names.pattern(pattern).shown();
        let scripts = match self.scripts.load(Ordering::Relaxed) {
            0 => "no script was forwarded since the start".to_owned(),
            1 => "1 script was forwarded since the start".to_owned(),
            count => format!("{count} scripts were forwarded since the start"),
        };
        tracing::warn!(
            "a plain value was read under {pattern}: it was written past the proxy, by a script that \
             makes up names ({scripts}), or before the migration; `waxseal audit` counts them, \
             `waxseal migrate` seals them"
        );
    }

    fn is_due(&self, pattern: PatternId) -> bool {
        let Some(next) = self.next.get(pattern.index()) else {
            return false;
        };
        let now = self.start.elapsed().as_secs();
        let due = next.load(Ordering::Relaxed);
        let after = now.saturating_add(INTERVAL.as_secs());
        // Of several threads one tells.
        now >= due
            && next
                .compare_exchange(due, after, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use waxseal_policy::RecordPattern;

    use super::*;

    #[test]
    fn each_pattern_is_told_of_once_in_a_while() {
        let parse = |text| RecordPattern::parse(text).unwrap();
        let names = ProtectedNames::new(vec![parse("wa:*"), parse("sess:*")]);
        let reads = PlainReads::new(2);
        for (id, _) in names.iter() {
            assert!(reads.is_due(id) || id.index() > 1);
            assert!(!reads.is_due(id));
            if id.index() == 1 {
                break;
            }
        }
    }
}
