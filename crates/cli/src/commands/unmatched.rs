//! Patterns that no record matches: a misspelled pattern, another prefix or the wrong database look like
//! success, since nothing plain is found and nothing fails. Looks at what the database holds instead, and
//! whether the records are in another database of the server. Bounded; what cannot be seen is told as
//! unknown.

mod resemblance;

use std::collections::HashSet;
use std::sync::Arc;

use waxseal_page::report::{UNMATCHED_ADVICE, Unmatched};
use waxseal_stores::{Cursor, Matches, Neighbors, RecordName, RecordPattern, RecordStore};

use super::recorded;
use crate::output;
use crate::setup::Protected;
use resemblance::resembling;

/// Records that one request looks at.
const PAGE: usize = 1_000;
/// Requests until a record is found that is not Waxseal's own: a store of users' keys holds nothing else.
const MAX_PAGES: usize = 200;
/// Names that are compared with the patterns.
const MAX_NAMES: usize = 10_000;

/// Findings about patterns that nothing matches.
#[derive(Default)]
pub(crate) struct Survey {
    pub(crate) unmatched: Vec<Unmatched>,
    /// Names that look like those of each pattern, in words.
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
    /// Looks for the records of these patterns, which nothing here matches.
    pub(crate) async fn of(store: &Arc<dyn RecordStore>, patterns: &[&Protected]) -> Self {
        if patterns.is_empty() {
            return Self::default();
        }
        let here = look_here(&**store).await;
        let globs: Vec<_> = patterns.iter().map(|it| it.pattern.clone()).collect();
        // It is told as unknown: what was asked for is done.
        let neighbors = store.neighbors(&globs).await.unwrap_or(Neighbors::Unknown);
        let of = |index: usize, pattern: &RecordPattern| Unmatched {
            records: recorded::pattern(pattern.as_str()),
            in_database: here.records,
            other_databases: databases(&neighbors, index),
            looked_everywhere: is_certain(&neighbors, index),
        };
        Self {
            unmatched: globs.iter().enumerate().map(|(i, it)| of(i, it)).collect(),
            resembling: globs.iter().map(|it| resembling(it, &here.names)).collect(),
        }
    }

    /// Each pattern in words, with what to do about it; whether it leaves any doubt.
    pub(crate) fn findings(&self) -> impl Iterator<Item = (&Unmatched, String, &'static str)> {
        let all = self.unmatched.iter().zip(&self.resembling);
        all.map(|(unmatched, resembling)| {
            let text = match resembling {
                Some(resembling) => format!("{}; {resembling}", unmatched.describe()),
                None => unmatched.describe(),
            };
            (unmatched, text, UNMATCHED_ADVICE)
        })
    }

    /// Says it on stderr, behind this word: what leaves no doubt is never an error.
    pub(crate) fn say(&self, word: &str) {
        for (unmatched, text, advice) in self.findings() {
            let word = match unmatched.may_be_misconfigured() {
                true => word,
                false => "warning",
            };
            output::complain(word, &text);
            if unmatched.may_be_misconfigured() {
                output::advise(advice);
            }
        }
    }
}

/// Other databases that hold records of the pattern in this place.
pub(crate) fn databases(neighbors: &Neighbors, pattern: usize) -> Vec<u32> {
    let known = neighbors.known().iter();
    let matching = known.filter(|it| it.matches.get(pattern) == Some(&Matches::Some));
    matching.map(|it| it.database).collect()
}

fn is_certain(neighbors: &Neighbors, pattern: usize) -> bool {
    let mut known = neighbors.known().iter();
    *neighbors != Neighbors::Unknown
        && known.all(|it| it.matches.get(pattern) != Some(&Matches::Unknown))
}

async fn look_here(store: &dyn RecordStore) -> Here {
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
        // About: Waxseal's own are among them. A server that does not tell says 0.
        false => {
            let told = store.status().await.map_or(0, |status| status.records);
            (counted > 0 && told > 0).then(|| told.max(counted))
        }
    };
    Here { records, names }
}
