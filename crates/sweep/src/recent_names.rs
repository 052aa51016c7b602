//! The names that a scan gave last. A server whose table of names shrinks under a scan gives some of
//! them once more, and shortly after the first time: these are left out here. Not a promise, since
//! not all names are remembered.

use std::collections::HashSet;

use waxseal_stores::RecordName;

/// So many names at least are remembered, and twice as many at most.
const REMEMBERED: usize = 4_096;

/// The names of the last pages of a scan.
#[derive(Default)]
pub(crate) struct RecentNames {
    older: HashSet<RecordName>,
    newer: HashSet<RecordName>,
}

impl RecentNames {
    /// Leaves only the names that did not come shortly before.
    pub(crate) fn sift(&mut self, names: &mut Vec<RecordName>) {
        names.retain(|name| {
            if self.older.contains(name) || self.newer.contains(name) {
                return false;
            }
            if self.newer.len() >= REMEMBERED {
                self.older = std::mem::take(&mut self.newer);
            }
            self.newer.insert(name.clone())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(numbers: std::ops::Range<usize>) -> Vec<RecordName> {
        numbers
            .map(|n| RecordName::from(format!("wa:{n}")))
            .collect()
    }

    #[test]
    fn leaves_out_what_came_in_this_page_or_shortly_before() {
        let mut seen = RecentNames::default();
        let mut page = [names(0..500), names(400..600)].concat();
        seen.sift(&mut page);
        assert!(page == names(0..600));
        let mut page = names(550..700);
        seen.sift(&mut page);
        assert!(page == names(600..700));
    }

    #[test]
    fn remembers_a_bounded_number_of_names() {
        let mut seen = RecentNames::default();
        for first in (0..50_000).step_by(500) {
            let mut page = names(first..first + 500);
            seen.sift(&mut page);
            assert_eq!(page.len(), 500);
            assert!(seen.older.len() + seen.newer.len() <= 2 * REMEMBERED);
        }
        let mut page = names(50_000 - REMEMBERED..50_000);
        seen.sift(&mut page);
        assert!(page.is_empty());
    }
}
