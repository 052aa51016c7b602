//! Advice where a key is missing or cannot be used. A new key is the remedy only for a store that is not
//! sealed yet; where it is, the key that sealed it has to be found, so the store is asked first.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use waxseal_core::Mode;
use waxseal_service::failure::sealed_already;
use waxseal_sessions::{Canary, GuardedRecords, SealedUnder};
use waxseal_stores::{RecordStore, RedisOptions, RedisStore, StoreUrl};

use super::protected::{choose, guarded};
use super::{Setup, open_store};
use crate::args::Common;
use crate::config::Config;
use crate::environment::Environment;
use crate::error::Failure;

/// Who has no key waits no longer than this for advice.
const ADVICE_TIMEOUT: Duration = Duration::from_secs(5);
/// How a store's hint leaves open which records a right is missing for.
const OPEN_PATTERN: &str = "~PATTERN";
/// Patterns that a hint names, at most.
const MAX_PATTERNS: usize = 4;
/// One attempt: that the store cannot be reached is no news here.
const OPTIONS: RedisOptions = RedisOptions {
    connect_timeout: Duration::from_secs(2),
    response_timeout: Duration::from_secs(2),
    retries: 0,
    first_pause: Duration::ZERO,
};

/// What the store says about its keys, without any.
enum Answer {
    Sealed(SealedUnder),
    NotSealed,
    Unknown,
}

/// The failure of a command, with advice that fits the store where there is no usable key, and the configured
/// patterns where a right to records is missing.
pub(crate) async fn advise(common: &Common, failure: Failure) -> Failure {
    if failure.key_hint().is_none() {
        return with_patterns(common, failure);
    }
    let answer = match configured(common) {
        Some((url, records)) => ask(&url, &records).await,
        None => Answer::Unknown,
    };
    advice(failure, &answer)
}

impl Setup {
    /// The same, for what is configured.
    pub(crate) async fn advise(&self, failure: Failure) -> Failure {
        if failure.key_hint().is_none() {
            return failure;
        }
        let answer = match self.guarded() {
            Ok(records) => ask(&self.url, &records).await,
            Err(_) => Answer::Unknown,
        };
        advice(failure, &answer)
    }
}

fn advice(failure: Failure, answer: &Answer) -> Failure {
    let Some(what) = failure.key_hint() else {
        return failure;
    };
    match answer {
        Answer::Sealed(under) => {
            let text = sealed_already(under);
            failure.hint(format!("{what}; {text}"))
        }
        Answer::NotSealed => failure,
        Answer::Unknown => failure.hint(format!(
            "{what}; the store could not be asked: where it is sealed already, find the key that sealed it; \
             only for a store that is not, waxseal key generate makes one"
        )),
    }
}

/// The store and its protected records, as far as they can be told where the keys cannot be read.
fn configured(common: &Common) -> Option<(StoreUrl, Vec<GuardedRecords>)> {
    // A pipe can be read only once.
    let is_piped = |path: &Path| std::fs::metadata(path).is_ok_and(|it| !it.is_file());
    if common.env_file.as_deref().is_some_and(is_piped) {
        return None;
    }
    let environment = Environment::read(common.env_file.as_deref()).ok()?;
    let config = Config::read(common.config.as_deref()).ok()?;
    let url = Setup::url(common, &environment, &config).ok()?;
    let named = choose(&common.protect, &common.except, &config, true)
        .ok()?
        .protected;
    Some((url, guarded(&named, &config, true, Mode::On).ok()?))
}

/// Names the rights to the protected records where a hint leaves their pattern open. The store knows
/// no patterns, and which part of a record name is a user only they tell.
fn with_patterns(common: &Common, failure: Failure) -> Failure {
    let Some(hint) = failure.advice().filter(|hint| hint.contains(OPEN_PATTERN)) else {
        return failure;
    };
    let Some((_, records)) = configured(common) else {
        return failure;
    };
    let told = |of: &GuardedRecords| {
        let pattern = &of.pattern;
        // One that is the whole name of a record is not told.
        (pattern.shown() == pattern.as_str()).then(|| format!("~{}", pattern.glob()))
    };
    let rights: Option<Vec<_>> = records.iter().map(told).collect();
    match rights {
        Some(rights) if rights.len() <= MAX_PATTERNS => {
            let hint = hint.replace(OPEN_PATTERN, &rights.join(" "));
            failure.hint(hint)
        }
        _ => failure,
    }
}

async fn ask(url: &StoreUrl, records: &[GuardedRecords]) -> Answer {
    let asked = async {
        let store: Arc<dyn RecordStore> = match url {
            StoreUrl::Redis(url) => Arc::new(RedisStore::lazy(url, OPTIONS).ok()?),
            StoreUrl::File(path) if !path.exists() => return None,
            StoreUrl::File(_) => open_store(url).await.ok()?,
        };
        Canary::of(store).sealed_under(records).await.ok()
    };
    match timeout(ADVICE_TIMEOUT, asked).await {
        Ok(Some(Some(under))) => Answer::Sealed(under),
        Ok(Some(None)) => Answer::NotSealed,
        // A file that is not there yet is not sealed.
        Ok(None) if matches!(url, StoreUrl::File(path) if !path.exists()) => Answer::NotSealed,
        Ok(None) | Err(_) => Answer::Unknown,
    }
}
