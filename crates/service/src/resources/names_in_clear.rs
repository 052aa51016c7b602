//! Records whose names are in clear here, and sealed for other processes: these would not be found.

use std::sync::Arc;

use waxseal_stores::{Cursor, NamedStore, RecordPattern, RecordStore, StoreError};
use waxseal_units::thousands;

use super::{Resources, record_names};
use crate::Failure;

/// Pages of names that are looked at in search of sealed names where none should be, and the size of each.
const SAMPLE_PAGES: usize = 10;
const PAGE: usize = 1_000;

/// The store with names as they are stored.
#[must_use]
pub fn stored(store: &Arc<dyn RecordStore>) -> &Arc<dyn RecordStore> {
    store.named().map_or(store, NamedStore::inner)
}

/// Refuses records whose names are in clear here, and some of which have names that are sealed under the configured keys: for
/// a process that would not find these.
pub async fn check(resources: &Resources, store: &Arc<dyn RecordStore>) -> Result<(), Failure> {
    let Some(table) = record_names::as_if_sealed(resources)? else {
        return Ok(());
    };
    let (view, stored) = (table.accepting_all_pads().view(), stored(store));
    let all = resources.configuration.all_protected();
    for protected in all.iter().filter(|it| it.names.is_none()) {
        let pattern = RecordPattern::behind(protected.pattern.name_prefix())?;
        let (mut cursor, mut found) = (Cursor::start(), 0_u64);
        for _ in 0..SAMPLE_PAGES {
            let page = match stored.scan(&pattern, &cursor, PAGE).await {
                // A user without the right to scan relies on the canary.
                Err(StoreError::Denied { .. } | StoreError::NoCommand { .. }) => return Ok(()),
                page => page?,
            };
            let mut logical = Vec::new();
            for name in page.names {
                logical.clear();
                let opened = view.open_any(name.as_bytes(), &mut logical).is_some();
                // A record can have any name where names are in clear, one of another pattern's form as well.
                found += u64::from(opened && protected.pattern.matches(&logical));
            }
            match page.next {
                Some(next) => cursor = next,
                None => break,
            }
        }
        if found > 0 {
            return Err(sealed_names(&protected.pattern, found));
        }
    }
    Ok(())
}

fn sealed_names(pattern: &RecordPattern, found: u64) -> Failure {
    let records = pattern.shown();
    let names = match found {
        1 => "1 of a sample is".to_owned(),
        count => format!("{} of a sample are", thousands(count)),
    };
    Failure::failed(format!(
        "the names of \"{records}\" are in clear here, and {names} sealed: their records would not be found"
    ))
    .hint(
        "nothing was changed; names = \"sealed\" under its [[protect]], as other processes have it; to have the names in clear \
         again, stop all processes and run waxseal decrypt --names --offline --yes with that setting",
    )
}
