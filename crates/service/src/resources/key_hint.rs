//! Hints where a key is missing or cannot be used. A new key is the remedy only for a store that is not sealed
//! yet; where it is, the key that sealed it must be found, so the store is asked first.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use waxseal_core::Mode;
use waxseal_sessions::{Canary, GuardedRecords, SealedUnder};
use waxseal_stores::{RecordStore, RedisOptions, RedisStore, StoreUrl};

use super::{Resources, open_store};
use crate::Failure;
use crate::configuration::file::ConfigurationFile;
use crate::configuration::protected::{guarded, select};
use crate::configuration::{Flags, store};
use crate::environment::Environment;
use crate::failure::sealed_already;

/// The time that the store has to answer. A process without a key does not wait longer for a hint.
const HINT_TIMEOUT: Duration = Duration::from_secs(5);
/// In a hint of a store: the records that a right is missing for, which the store does not know.
const OPEN_PATTERN: &str = "~PATTERN";
/// Patterns that a hint names, at most.
const MAX_PATTERNS: usize = 4;
/// One attempt: a store that cannot be reached is reported elsewhere.
const OPTIONS: RedisOptions = RedisOptions {
    connect_timeout: Duration::from_secs(2),
    response_timeout: Duration::from_secs(2),
    retries: 0,
    first_pause: Duration::ZERO,
};

/// The state of the store, as far as it is known without keys.
enum StoreState {
    Sealed(SealedUnder),
    NotSealed,
    Unknown,
}

/// Completes the hint of a failure: it fits the store where there is no usable key, and names the configured
/// patterns where a right to records is missing.
pub async fn complete(flags: &Flags, failure: Failure) -> Failure {
    if failure.key_hint().is_none() {
        return with_patterns(flags, failure);
    }
    let state = match configured(flags) {
        Some((url, records)) => store_state(&url, &records).await,
        None => StoreState::Unknown,
    };
    with_key_hint(failure, &state)
}

/// The same for a configuration that was read.
pub async fn complete_for(resources: &Resources, failure: Failure) -> Failure {
    if failure.key_hint().is_none() {
        return failure;
    }
    let state = match resources.configuration.guarded() {
        Ok(records) => store_state(&resources.configuration.store, &records).await,
        Err(_) => StoreState::Unknown,
    };
    with_key_hint(failure, &state)
}

fn with_key_hint(failure: Failure, state: &StoreState) -> Failure {
    let Some(hint) = failure.key_hint() else {
        return failure;
    };
    match state {
        StoreState::Sealed(under) => {
            let text = sealed_already(under);
            failure.hint(format!("{hint}; {text}"))
        }
        StoreState::NotSealed => failure,
        StoreState::Unknown => failure.hint(format!(
            "{hint}; the store could not be asked: where it is sealed already, find the key that sealed it; \
             only for a store that is not, waxseal key generate creates one"
        )),
    }
}

/// The store and its protected records, as far as they are known where the keys cannot be read.
fn configured(flags: &Flags) -> Option<(StoreUrl, Vec<GuardedRecords>)> {
    // A pipe can be read only once.
    let is_pipe = |path: &Path| std::fs::metadata(path).is_ok_and(|it| !it.is_file());
    if flags.env_file.as_deref().is_some_and(is_pipe) {
        return None;
    }
    let environment = Environment::read(flags.env_file.as_deref()).ok()?;
    let file = ConfigurationFile::read(flags.config.as_deref()).ok()?;
    let (url, _) = store(flags, &environment, &file).ok()?;
    let named = select(&flags.protect, &flags.except, &file, true)
        .ok()?
        .protected;
    Some((url, guarded(&named, &file, true, Mode::On).ok()?))
}

/// Fills the rights to the protected records into a hint that leaves their pattern open. The store knows no
/// patterns, and they alone tell which part of a record name is a user.
fn with_patterns(flags: &Flags, failure: Failure) -> Failure {
    let Some(hint) = failure.advice().filter(|hint| hint.contains(OPEN_PATTERN)) else {
        return failure;
    };
    let Some((_, records)) = configured(flags) else {
        return failure;
    };
    let right = |of: &GuardedRecords| {
        let pattern = &of.pattern;
        // A pattern that is the whole name of a record is not shown.
        (pattern.shown() == pattern.as_str()).then(|| format!("~{}", pattern.glob()))
    };
    let rights: Option<Vec<_>> = records.iter().map(right).collect();
    match rights {
        Some(rights) if rights.len() <= MAX_PATTERNS => {
            let hint = hint.replace(OPEN_PATTERN, &rights.join(" "));
            failure.hint(hint)
        }
        _ => failure,
    }
}

async fn store_state(url: &StoreUrl, records: &[GuardedRecords]) -> StoreState {
    let asked = async {
        let store: Arc<dyn RecordStore> = match url {
            StoreUrl::Redis(url) => Arc::new(RedisStore::lazy(url, OPTIONS).ok()?),
            StoreUrl::File(path) if !path.exists() => return None,
            StoreUrl::File(_) => open_store(url).await.ok()?,
        };
        Canary::of(store).sealed_under(records).await.ok()
    };
    match timeout(HINT_TIMEOUT, asked).await {
        Ok(Some(Some(under))) => StoreState::Sealed(under),
        Ok(Some(None)) => StoreState::NotSealed,
        // A file that does not exist yet is not sealed.
        Ok(None) if matches!(url, StoreUrl::File(path) if !path.exists()) => StoreState::NotSealed,
        Ok(None) | Err(_) => StoreState::Unknown,
    }
}
