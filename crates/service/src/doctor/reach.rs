//! Checks that the patterns reach the records: patterns that match nothing, other databases of the server, and
//! quarantine. Everything is bounded.

use std::sync::Arc;

use waxseal_stores::{Cursor, Neighbors, RecordName, RecordPattern, RecordStore, Slot, StoreError};
use waxseal_units::thousands;

use super::Findings;
use crate::configuration::protected::Protected;
use crate::resources::Resources;
use crate::unmatched::{self, Survey};

/// The maximum number of requests for a sample.
const MAX_PAGES: usize = 200;
/// Records that one request reads.
const PAGE: usize = 500;
/// Slots of one record in a sample.
const MAX_SLOTS: usize = 5;

/// The hint where a sample does not suffice.
pub(super) const COUNT_ALL: &str = "waxseal audit reads all of them";

/// Some names that match a pattern.
pub(super) struct Sample {
    pub(super) names: Vec<RecordName>,
    /// True if every record was checked.
    pub(super) is_whole: bool,
}

/// Returns a sample of the names that match. The first page of a scan need not have any.
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

/// Returns some values of a record that is not a string; none if it was deleted or changed its type.
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
        Err(error) if error.may_concern_one_record() => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Returns the finding for a large database whose sample is empty.
pub(super) fn not_among(protected: &Protected) -> String {
    format!(
        "no record matches {} among the first {} that were looked at",
        protected.pattern.shown(),
        thousands((MAX_PAGES * PAGE) as u64)
    )
}

/// Checks for patterns that match nothing, for other databases where they match, and for quarantined values.
pub(super) async fn check(
    resources: &Resources,
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
    check_neighbors(resources, &**store, unmatched, findings).await;
    check_quarantine(&**store, findings).await;
    check_users(resources, findings);
}

/// Checks for other databases with records of the same patterns: each is protected separately.
async fn check_neighbors(
    resources: &Resources,
    store: &dyn RecordStore,
    unmatched: &[&Protected],
    findings: &mut Findings,
) {
    let is_unmatched = |it: &&Protected| unmatched.iter().any(|other| other.pattern == it.pattern);
    let matched = resources
        .configuration
        .protected
        .iter()
        .filter(|it| !is_unmatched(it));
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

/// Checks for quarantined values, which no count of protected records includes.
async fn check_quarantine(store: &dyn RecordStore, findings: &mut Findings) {
    let Ok(pattern) = RecordPattern::parse_own("waxseal:quarantine:*") else {
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
        "waxseal quarantine list shows since when and why",
    );
}

/// Checks for patterns without a user: an erasure does not reach their records.
fn check_users(resources: &Resources, findings: &mut Findings) {
    if !resources
        .configuration
        .protected
        .iter()
        .any(|it| it.per_user)
    {
        return;
    }
    let is_nobodys = |it: &&Protected| !it.pattern.names_user();
    let others = resources.configuration.protected.iter().filter(is_nobodys);
    let others: Vec<_> = others.map(|it| it.pattern.shown()).collect();
    if !others.is_empty() {
        findings.recommend(
            "erasure",
            format!("waxseal forget does not reach {}", others.join(", ")),
            "write {user} for the part of the record name that is the user, where there is one",
        );
    }
}
