//! The names that a scan returned last. A server whose hash table shrinks during a scan returns some names again, shortly
//! after the first time: these are removed here. This is no guarantee, since not all names are remembered.

use std::collections::HashSet;

use waxseal_stores::RecordName;

/// The number of names that are remembered at least; at most twice as many are.
const MIN_REMEMBERED: usize = 4_096;

/// The names of the last pages of a scan.
#[derive(Default)]
pub(crate) struct RecentNames {
    older: HashSet<RecordName>,
    newer: HashSet<RecordName>,
}

impl RecentNames {
    /// Removes names that were returned shortly before.
    pub(crate) fn remove_repeated(&mut self, names: &mut Vec<RecordName>) {
        names.retain(|name| {
            if self.older.contains(name) || self.newer.contains(name) {
                return false;
            }
            if self.newer.len() >= MIN_REMEMBERED {
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
    fn removes_names_of_this_page_and_of_recent_ones() {
        let mut recent = RecentNames::default();
        let mut page = [names(0..500), names(400..600)].concat();
        recent.remove_repeated(&mut page);
        assert!(page == names(0..600));
        let mut page = names(550..700);
        recent.remove_repeated(&mut page);
        assert!(page == names(600..700));
    }

    #[test]
    fn remembers_a_bounded_number_of_names() {
        let mut recent = RecentNames::default();
        for first in (0..50_000).step_by(500) {
            let mut page = names(first..first + 500);
            recent.remove_repeated(&mut page);
            assert_eq!(page.len(), 500);
            assert!(recent.older.len() + recent.newer.len() <= 2 * MIN_REMEMBERED);
        }
        let mut page = names(50_000 - MIN_REMEMBERED..50_000);
        recent.remove_repeated(&mut page);
        assert!(page.is_empty());
    }
}
