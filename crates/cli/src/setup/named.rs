//! The protected records that a typed name is one of; and what was meant where it is none, which is mostly
//! the name without its prefix.

use std::time::Duration;

use tokio::time::timeout;
use waxseal_stores::{Lifetime, RecordName, StoreUrl};

use super::{Protected, Setup};
use crate::error::Failure;

/// How long the store may take to say whether another record is there.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);
/// Characters of a name that are shown, and how long a name must be for that.
const SHOWN: usize = 3;
const LONG: usize = 8;

impl Setup {
    /// The protected records that a name is one of. Where it is none, the failure names the one that was
    /// meant, if that is there.
    pub(crate) async fn protected_of(&self, name: &[u8]) -> Result<&Protected, Failure> {
        let failure = match self.protected(name) {
            Ok(protected) => return Ok(protected),
            Err(failure) => failure,
        };
        match timeout(ASK_TIMEOUT, self.meant(name)).await {
            Ok(Some(meant)) => Err(failure.hint(format!("did you mean {meant}?"))),
            Ok(None) | Err(_) => Err(failure),
        }
    }

    /// The record whose name is this one behind the prefix of a pattern, if there is one; not in full.
    async fn meant(&self, name: &[u8]) -> Option<String> {
        let candidates = self.protected.iter().filter_map(|protected| {
            let pattern = &protected.pattern;
            let candidate = [pattern.prefix().as_bytes(), name].concat();
            (pattern.shown() == pattern.as_str() && pattern.matches(&candidate))
                .then(|| (pattern.prefix(), RecordName::from(candidate)))
        });
        let (prefixes, names): (Vec<_>, Vec<_>) = candidates.unzip();
        if names.is_empty() {
            return None;
        }
        // Opening one that is not there would make it.
        if matches!(&self.url, StoreUrl::File(path) if !path.exists()) {
            return None;
        }
        let store = self.open_store().await.ok()?;
        let lifetimes = store.lifetimes(&names).await.ok()?;
        let there = lifetimes.iter().position(|it| *it != Lifetime::Absent)?;
        let name = std::str::from_utf8(name).unwrap_or_default();
        let shown: String = match name.chars().count() {
            LONG.. => name.chars().take(SHOWN).collect(),
            _ => String::new(),
        };
        Some(format!("{}{shown}…", prefixes.get(there)?))
    }
}
