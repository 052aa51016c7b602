//! Checks that the patterns reach the records: patterns that match nothing, other databases of the server, and
//! quarantine. Everything is bounded.

use std::sync::Arc;

use waxseal_stores::{Cursor, Neighbors, RecordName, RecordPattern, RecordStore, Slot, StoreError};

use super::Findings;
use crate::commands::unmatched::{self, Survey};
use crate::output::thousands;
use crate::setup::{Protected, Setup};

/// Requests until enough names are found.
const MAX_PAGES: usize = 200;
/// Records that one request looks at.
const PAGE: usize = 500;
/// Fields or elements of one record.
const MAX_SLOTS: usize = 5;

/// Advice where a sample does not tell.
pub(super) const COUNT_ALL: &str = "waxseal audit looks at all of them";

/// Some names that match a pattern.
pub(super) struct Sample {
    pub(super) names: Vec<RecordName>,
    /// True if every record was looked at.
    pub(super) is_whole: bool,
}

/// Takes a sample of the names that match: the first page of a scan need not have any.
pub(super) async fn sample(
    store: &dyn RecordStore,
    pattern: &RecordPattern,
    most: usize,
) -> Result<Sample, StoreError> {
    let mut names: Vec<RecordName> = Vec::new();
    let mut cursor = Cursor::start();
    for _ in 0..MAX_PAGES {
        let page = store.scan(pattern, &cursor, PAGE).await?;
        let matching = page.names.into_iter();
        names.extend(matching.filter(|name| pattern.matches(name.as_bytes())));
        let is_whole = page.next.is_none();
        match page.next {
            Some(next) if names.len() < most => cursor = next,
            _ => {
                names.sort_unstable();
                names.dedup();
                names.truncate(most);
                return Ok(Sample { names, is_whole });
            }
        }
    }
    Ok(Sample {
        names,
        is_whole: false,
    })
}

/// Some values of a hash or list record. One that is gone, or of another type by now, has none.
pub(super) async fn some_slots(
    store: &dyn RecordStore,
    name: &RecordName,
) -> Result<Vec<(Slot, Vec<u8>)>, StoreError> {
    match store.read_slots(name, &Cursor::start(), MAX_SLOTS).await {
        Ok(mut page) => {
            page.slots.truncate(MAX_SLOTS);
            Ok(page.slots)
        }
        Err(StoreError::WrongType) => Ok(Vec::new()),
        Err(error) if error.may_be_of_one_record() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The finding where a sample of a large database holds nothing.
pub(super) fn not_among(protected: &Protected) -> String {
    format!(
        "no record matches {} among the first {} that were looked at",
        protected.pattern.shown(),
        thousands((MAX_PAGES * PAGE) as u64)
    )
}

/// Patterns that match nothing, other databases where they match, and quarantine.
pub(super) async fn check(
    setup: &Setup,
    store: &Arc<dyn RecordStore>,
    unmatched: &[&Protected],
    findings: &mut Findings,
) {
    let survey = Survey::of(store, unmatched).await;
    for (unmatched, text, advice) in survey.findings() {
        if !unmatched.other_databases.is_empty() {
            findings.problem("records", text, advice);
        } else if unmatched.may_be_misconfigured() {
            findings.warn("records", text, advice);
        } else {
            findings.ok("records", text);
        }
    }
    check_neighbors(setup, &**store, unmatched, findings).await;
    check_quarantine(&**store, findings).await;
    check_users(setup, findings);
}

/// Databases that hold records of the same patterns as well: each is protected for itself.
async fn check_neighbors(
    setup: &Setup,
    store: &dyn RecordStore,
    unmatched: &[&Protected],
    findings: &mut Findings,
) {
    let is_unmatched = |it: &&Protected| unmatched.iter().any(|other| other.pattern == it.pattern);
    let matched = setup.protected.iter().filter(|it| !is_unmatched(it));
    let patterns: Vec<_> = matched.map(|it| it.pattern.clone()).collect();
    if patterns.is_empty() {
        return;
    }
    let neighbors = store
        .neighbors(&patterns)
        .await
        .unwrap_or(Neighbors::Unknown);
    let mut others: Vec<u32> = (0..patterns.len())
        .flat_map(|index| unmatched::databases(&neighbors, index))
        .collect();
    others.sort_unstable();
    others.dedup();
    if others.is_empty() {
        return;
    }
    let numbers: Vec<_> = others.iter().map(u32::to_string).collect();
    findings.recommend(
        "databases",
        format!(
            "records that match are also in other databases of this server: {}",
            numbers.join(", ")
        ),
        "each database is a store of its own: what was checked here says nothing about them. Run \
         waxseal doctor with the URL of each (redis://HOST:PORT/3)",
    );
}

/// Values that were moved aside are in no count of protected records.
async fn check_quarantine(store: &dyn RecordStore, findings: &mut Findings) {
    let Ok(pattern) = RecordPattern::of_own("waxseal:quarantine:*") else {
        return;
    };
    let Ok(found) = sample(store, &pattern, MAX_PAGES * PAGE).await else {
        return;
    };
    let number = found.names.len() as u64;
    let values = match number {
        0 => return,
        1 => "1 value is".to_owned(),
        _ => format!("{} values are", thousands(number)),
    };
    findings.warn(
        "quarantine",
        format!("{values} in quarantine, and in no count of records"),
        "waxseal quarantine list tells since when and why",
    );
}

/// An erasure reaches only what says whose it is.
fn check_users(setup: &Setup, findings: &mut Findings) {
    if !setup.protected.iter().any(|it| it.per_user) {
        return;
    }
    let is_nobodys = |it: &&Protected| !it.pattern.names_user();
    let others = setup.protected.iter().filter(is_nobodys);
    let others: Vec<_> = others.map(|it| it.pattern.shown()).collect();
    if !others.is_empty() {
        findings.recommend(
            "erasure",
            format!("waxseal forget does not reach {}", others.join(", ")),
            "write {user} for the part of the record name that is the user, where there is one",
        );
    }
}
