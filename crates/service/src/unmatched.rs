//! Patterns that no record matches: a misspelled pattern, another prefix or the wrong database look like
//! success, since nothing plain is found and nothing fails. So the names that the database holds are sampled, and the
//! other databases of the server are searched. Bounded; what cannot be read is reported as unknown.

mod resemblance;

use std::collections::HashSet;
use std::sync::Arc;

use waxseal_page::report::{UNMATCHED_ADVICE, Unmatched};
use waxseal_stores::{Cursor, Matches, Neighbors, RecordName, RecordPattern, RecordStore};

use crate::configuration::protected::{Protected, shown_pattern};
use resemblance::resembling;

/// Records that one request reads.
const PAGE: usize = 1_000;
/// Requests until a record is found that is not Waxseal's own: a store of users' keys holds nothing else.
const MAX_PAGES: usize = 200;
/// Names that are compared with the patterns.
const MAX_NAMES: usize = 10_000;

/// Findings about patterns that nothing matches.
#[derive(Default)]
pub struct Survey {
    /// The patterns.
    pub unmatched: Vec<Unmatched>,
    /// Names that resemble those of each pattern, in words.
    resembling: Vec<Option<String>>,
}

/// The records of this database.
struct Here {
    /// Records that are not Waxseal's own, if that is known.
    records: Option<u64>,
    /// Some of their names.
    names: HashSet<RecordName>,
}

impl Survey {
    /// Searches for the records of these patterns, which nothing here matches.
    pub async fn of(store: &Arc<dyn RecordStore>, patterns: &[&Protected]) -> Self {
        if patterns.is_empty() {
            return Self::default();
        }
        let here = sample_names(&**store).await;
        let globs: Vec<_> = patterns.iter().map(|it| it.pattern.clone()).collect();
        // A failure is reported as unknown: it does not end the command that asked.
        let neighbors = store.neighbors(&globs).await.unwrap_or(Neighbors::Unknown);
        let of = |index: usize, pattern: &RecordPattern| Unmatched {
            records: shown_pattern(pattern.as_str()),
            in_database: here.records,
            other_databases: databases(&neighbors, index),
            looked_everywhere: is_certain(&neighbors, index),
        };
        Self {
            unmatched: globs.iter().enumerate().map(|(i, it)| of(i, it)).collect(),
            resembling: globs.iter().map(|it| resembling(it, &here.names)).collect(),
        }
    }

    /// Each pattern, with its description and what to do about it.
    pub fn findings(&self) -> impl Iterator<Item = (&Unmatched, String, &'static str)> {
        let all = self.unmatched.iter().zip(&self.resembling);
        all.map(|(unmatched, resembling)| {
            let text = match resembling {
                Some(resembling) => format!("{}; {resembling}", unmatched.describe()),
                None => unmatched.describe(),
            };
            (unmatched, text, UNMATCHED_ADVICE)
        })
    }
}

/// Returns the other databases that hold records of the pattern with this index.
#[must_use]
pub fn databases(neighbors: &Neighbors, pattern: usize) -> Vec<u32> {
    let known = neighbors.known().iter();
    let matching = known.filter(|it| it.matches.get(pattern) == Some(&Matches::Some));
    matching.map(|it| it.database).collect()
}

fn is_certain(neighbors: &Neighbors, pattern: usize) -> bool {
    let mut known = neighbors.known().iter();
    *neighbors != Neighbors::Unknown
        && known.all(|it| it.matches.get(pattern) != Some(&Matches::Unknown))
}

async fn sample_names(store: &dyn RecordStore) -> Here {
    let mut names = HashSet::new();
    let Ok(every) = RecordPattern::parse("*") else {
        return Here {
            records: None,
            names,
        };
    };
    let mut cursor = Cursor::start();
    let mut is_whole = false;
    for _ in 0..MAX_PAGES {
        let Ok(page) = store.scan(&every, &cursor, PAGE).await else {
            break;
        };
        let names_here = page.names.into_iter();
        names.extend(names_here.filter(|name| every.matches(name.as_bytes())));
        match page.next {
            Some(next) if names.len() < MAX_NAMES => cursor = next,
            Some(_) => break,
            None => {
                is_whole = true;
                break;
            }
        }
    }
    let counted = names.len() as u64;
    let records = match is_whole {
        true => Some(counted),
        // An estimate: Waxseal's own are among them. A server that does not say reports 0.
        false => {
            let reported = store.status().await.map_or(0, |status| status.records);
            (counted > 0 && reported > 0).then(|| reported.max(counted))
        }
    };
    Here { records, names }
}
