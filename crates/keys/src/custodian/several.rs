//! The custodians of a process, and how a key comes out of what several of them wrapped: any one that
//! answers is enough, and one that is down is waited for once and not for each key.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, timeout};
use tracing::{error, warn};
use waxseal_core::SecretKey;

use super::measured::Measured;
use super::{Context, Custodian};
use crate::error::CustodianError;
use crate::keyring_document::Wrap;
use crate::live::lock;
use crate::offline::Offline;

/// How long one custodian is waited for before the next is asked as well.
const HEDGE_DELAY: Duration = Duration::from_secs(2);

/// The custodians that this process was told to use, by their URLs. None is opened because a document
/// names it.
#[derive(Clone, Default)]
pub struct Custodians {
    open: HashMap<String, Arc<dyn Custodian>>,
    /// Where keys are kept for a start without any of them.
    offline: Option<Arc<Offline>>,
}

impl Custodians {
    /// Adds one.
    #[must_use]
    pub fn with(mut self, custodian: Arc<dyn Custodian>) -> Self {
        let url = custodian.url().to_owned();
        self.open.insert(url, Arc::new(Measured(custodian)));
        self
    }

    /// Keeps the keys that they unwrap under a key of this machine as well.
    #[must_use]
    pub fn with_offline(mut self, offline: Arc<Offline>) -> Self {
        self.offline = Some(offline);
        self
    }

    /// The custodian of a URL, if it is known.
    #[must_use]
    pub fn get(&self, url: &str) -> Option<&Arc<dyn Custodian>> {
        self.open.get(url)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The same, without the keys that this machine keeps.
    pub(crate) fn without_offline(mut self) -> Self {
        self.offline = None;
        self
    }

    pub(crate) fn offline(&self) -> Option<&Arc<Offline>> {
        self.offline.as_ref()
    }

    /// For unwrapping the keys of one document.
    pub(crate) fn unwrapping(&self) -> Unwrapping<'_> {
        Unwrapping {
            custodians: self,
            down: Mutex::default(),
            told: AtomicBool::new(false),
        }
    }
}

/// Where the keys of a document come from.
#[async_trait]
pub(crate) trait Source: Send + Sync {
    /// The key in what was wrapped for this context.
    async fn unwrap(
        &self,
        wraps: &[Wrap],
        context: &Context<'_>,
    ) -> Result<SecretKey, CustodianError>;
}

/// The custodians, asked for several keys one after the other.
pub(crate) struct Unwrapping<'a> {
    custodians: &'a Custodians,
    /// Who did not answer: the next key does not wait for them again.
    down: Mutex<HashMap<String, CustodianError>>,
    /// Whether it was said that another one had to be asked.
    told: AtomicBool,
}

impl Unwrapping<'_> {
    async fn ask(&self, wrap: &Wrap, context: &Context<'_>) -> Result<SecretKey, CustodianError> {
        let url = &wrap.custodian;
        if let Some(error) = lock(&self.down).get(url) {
            return Err(error.clone());
        }
        let Some(custodian) = self.custodians.get(url) else {
            return Err(CustodianError::NotConfigured {
                custodian: sanitize_for_terminal(url),
            });
        };
        let unwrapped = custodian.unwrap(&wrap.to_wrapped(), context).await;
        if let Err(error) = &unwrapped
            && !matches!(error, CustodianError::Refused { .. })
        {
            lock(&self.down).insert(url.clone(), error.clone());
        }
        unwrapped
    }

    /// Asks one custodian after the other until one unwraps the key. One that is slow is not waited for alone: the
    /// next is asked meanwhile. Beside the key: what went wrong with others, in their order.
    async fn ask_each(
        &self,
        wraps: &[Wrap],
        context: &Context<'_>,
    ) -> (Option<SecretKey>, Vec<CustodianError>) {
        let mut errors: BTreeMap<usize, CustodianError> = BTreeMap::new();
        let mut not_asked = wraps.iter().enumerate();
        let mut asked = FuturesUnordered::new();
        let mut key = None;
        let mut waits_for: BTreeMap<usize, Instant> = BTreeMap::new();
        while key.is_none() {
            let answer = match (asked.is_empty(), not_asked.len()) {
                (true, 0) => break,
                (true, _) => None,
                (false, 0) => asked.next().await,
                (false, _) => timeout(HEDGE_DELAY, asked.next()).await.ok().flatten(),
            };
            match answer {
                None => {
                    let next = not_asked.next();
                    waits_for.extend(next.iter().map(|(index, _)| (*index, Instant::now())));
                    asked.extend(next.map(|(index, wrap)| async move {
                        (index, self.ask(wrap, context).await)
                    }));
                }
                Some((index, Ok(unwrapped))) => {
                    waits_for.remove(&index);
                    key = Some(unwrapped);
                }
                Some((index, Err(error))) => {
                    waits_for.remove(&index);
                    errors.insert(index, error);
                }
            }
        }
        // Those that had as long as they have, and did not answer: the next key does not wait for them.
        for (index, since) in waits_for {
            if since.elapsed() < HEDGE_DELAY {
                continue;
            }
            if let Some(wrap) = wraps.get(index) {
                let error = CustodianError::Unavailable {
                    custodian: sanitize_for_terminal(&wrap.custodian),
                    cause: format!("no answer within {} s", HEDGE_DELAY.as_secs()),
                };
                let mut down = lock(&self.down);
                down.entry(wrap.custodian.clone())
                    .or_insert_with(|| error.clone());
                errors.insert(index, error);
            }
        }
        (key, errors.into_values().collect())
    }

    /// Says once that custodians failed where another one helped: the ring depends on fewer than it should.
    fn tell_of_others(&self, errors: &[CustodianError], context: &Context<'_>) {
        for error in errors {
            match error {
                CustodianError::NotConfigured { .. } => {}
                // Damaged, or wrapped by a key that the custodian holds no more: told for each key.
                CustodianError::Refused { custodian } => error!(
                    "the custodian {custodian} does not unwrap key {} of the keyring, and another one does: its \
                     secret here is wrong, or what it wrapped is lost; waxseal doctor tells what to do",
                    sanitize_for_terminal(context.key)
                ),
                error if !self.told.swap(true, Ordering::Relaxed) => {
                    warn!("{error}; another custodian opens the keyring");
                }
                _ => {}
            }
        }
    }
}

#[async_trait]
impl Source for Unwrapping<'_> {
    /// Any custodian that answers is enough. Where none can be reached, and only then, the keys that
    /// this machine keeps, if it was told to start with them.
    async fn unwrap(
        &self,
        wraps: &[Wrap],
        context: &Context<'_>,
    ) -> Result<SecretKey, CustodianError> {
        let offline = self.custodians.offline();
        let (key, mut errors) = self.ask_each(wraps, context).await;
        if let Some(key) = key {
            if let Some(offline) = offline {
                offline.remember(&key, context);
            }
            self.tell_of_others(&errors, context);
            return Ok(key);
        }
        let away = |error: &CustodianError| {
            matches!(
                error,
                CustodianError::Unavailable { .. } | CustodianError::NotConfigured { .. }
            )
        };
        let is_outage = errors.iter().any(CustodianError::is_transient);
        if is_outage
            && errors.iter().all(away)
            && let Some(key) = offline.and_then(|offline| offline.recall(context))
        {
            return Ok(key);
        }
        Err(match errors.len() {
            0 => CustodianError::Scheme,
            1 => errors.remove(0),
            _ => CustodianError::Several(errors),
        })
    }
}

/// A text of a document that nobody vouches for, as it may be shown.
pub(crate) fn sanitize_for_terminal(text: &str) -> String {
    let shown = |letter: &char| !letter.is_control();
    text.chars().filter(shown).take(200).collect()
}
