//! The protected records that a typed name belongs to. A name that belongs to none is mostly one without its
//! prefix, so the failure suggests the record that was meant.

use std::time::Duration;

use tokio::time::timeout;
use waxseal_stores::{Lifetime, RecordName, StoreUrl};

use super::Resources;
use crate::Failure;
use crate::configuration::protected::Protected;

/// The time that the store has to say whether another record exists.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);
/// Characters of a name that are shown.
const SHOWN_CHARACTERS: usize = 3;
/// Names shorter than this are not shown at all.
const MIN_SHOWN_NAME: usize = 8;

/// Returns the protected records that a name belongs to. If it belongs to none, the failure suggests the record
/// that was meant, if that exists.
pub async fn protected_records<'r>(
    resources: &'r Resources,
    name: &[u8],
) -> Result<&'r Protected, Failure> {
    let failure = match resources.configuration.protected_records(name) {
        Ok(protected) => return Ok(protected),
        Err(failure) => failure,
    };
    match timeout(LOOKUP_TIMEOUT, suggestion(resources, name)).await {
        Ok(Some(record)) => Err(failure.hint(format!("did you mean {record}?"))),
        Ok(None) | Err(_) => Err(failure),
    }
}

/// The record with this name behind the prefix of a pattern, if it exists. Its name is not shown in full.
async fn suggestion(resources: &Resources, name: &[u8]) -> Option<String> {
    let configuration = &resources.configuration;
    let candidates = configuration.protected.iter().filter_map(|protected| {
        let pattern = &protected.pattern;
        let candidate = [pattern.prefix().as_bytes(), name].concat();
        (pattern.shown() == pattern.as_str() && pattern.matches(&candidate))
            .then(|| (pattern.prefix(), RecordName::from(candidate)))
    });
    let (prefixes, names): (Vec<_>, Vec<_>) = candidates.unzip();
    if names.is_empty() {
        return None;
    }
    // Opening a file that does not exist would create it.
    if matches!(&configuration.store, StoreUrl::File(path) if !path.exists()) {
        return None;
    }
    let store = resources.open_store().await.ok()?;
    let lifetimes = store.lifetimes(&names).await.ok()?;
    let existing = lifetimes.iter().position(|it| *it != Lifetime::Absent)?;
    let name = std::str::from_utf8(name).unwrap_or_default();
    let shown: String = match name.chars().count() {
        MIN_SHOWN_NAME.. => name.chars().take(SHOWN_CHARACTERS).collect(),
        _ => String::new(),
    };
    Some(format!("{}{shown}…", prefixes.get(existing)?))
}
