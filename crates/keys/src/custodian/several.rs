//! The custodians of a process, and how several of them unwrap a key: any one that answers is
//! enough, and one that is down is waited for once rather than for each key.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, timeout};
use tracing::{error, warn};
use waxseal_core::SecretKey;

use super::instrumented::Instrumented;
use super::{Context, Custodian};
use crate::custodian::CustodianError;
use crate::custodian::Offline;
use crate::custodian::Wrap;
use crate::sync::lock;

/// The time to wait for one custodian before the next is tried as well.
const HEDGE_DELAY: Duration = Duration::from_secs(2);

/// The custodians that this process is configured to use, by their URLs. None is opened because a
/// document names it.
#[derive(Clone, Default)]
pub struct Custodians {
    open: HashMap<String, Arc<dyn Custodian>>,
    /// The store of keys for a start without custodians.
    offline: Option<Arc<Offline>>,
}

impl Custodians {
    /// Adds one.
    #[must_use]
    pub fn with(mut self, custodian: Arc<dyn Custodian>) -> Self {
        let url = custodian.url().to_owned();
        self.open
            .insert(url, Arc::new(Instrumented::new(custodian)));
        self
    }

    /// Also stores the keys that they unwrap, under a key of this machine.
    #[must_use]
    pub fn with_offline(mut self, offline: Arc<Offline>) -> Self {
        self.offline = Some(offline);
        self
    }

    /// The custodian of a URL, if it is configured.
    #[must_use]
    pub fn get(&self, url: &str) -> Option<&Arc<dyn Custodian>> {
        self.open.get(url)
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The same custodians, without the keys stored on this machine.
    pub(crate) fn without_offline(mut self) -> Self {
        self.offline = None;
        self
    }

    pub(crate) fn offline(&self) -> Option<&Arc<Offline>> {
        self.offline.as_ref()
    }

    /// Unwraps the keys of one document.
    pub(crate) fn unwrapping(&self) -> Unwrapping<'_> {
        Unwrapping {
            custodians: self,
            down: Mutex::default(),
            has_warned: AtomicBool::new(false),
        }
    }
}

/// The source of a document's keys.
#[async_trait]
pub(crate) trait UnwrapSource: Send + Sync {
    /// The key that was wrapped for this context.
    async fn unwrap(
        &self,
        wraps: &[Wrap],
        context: &Context<'_>,
    ) -> Result<SecretKey, CustodianError>;
}

/// The custodians, used to unwrap several keys in turn.
pub(crate) struct Unwrapping<'a> {
    custodians: &'a Custodians,
    /// The custodians that did not answer: the next key does not wait for them again.
    down: Mutex<HashMap<String, CustodianError>>,
    /// True once a warning about a failed custodian was logged.
    has_warned: AtomicBool,
}

impl Unwrapping<'_> {
    async fn unwrap_with(
        &self,
        wrap: &Wrap,
        context: &Context<'_>,
    ) -> Result<SecretKey, CustodianError> {
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

    /// Tries one custodian after the other until one unwraps the key. A slow one is not waited for
    /// alone: the next is tried meanwhile. Returns the key and the errors of the others, in their
    /// order.
    async fn unwrap_with_any(
        &self,
        wraps: &[Wrap],
        context: &Context<'_>,
    ) -> (Option<SecretKey>, Vec<CustodianError>) {
        let mut errors: BTreeMap<usize, CustodianError> = BTreeMap::new();
        let mut untried = wraps.iter().enumerate();
        let mut pending = FuturesUnordered::new();
        let mut key = None;
        let mut waiting_since: BTreeMap<usize, Instant> = BTreeMap::new();
        while key.is_none() {
            let answer = match (pending.is_empty(), untried.len()) {
                (true, 0) => break,
                (true, _) => None,
                (false, 0) => pending.next().await,
                (false, _) => timeout(HEDGE_DELAY, pending.next()).await.ok().flatten(),
            };
            match answer {
                None => {
                    let next = untried.next();
                    waiting_since.extend(next.iter().map(|(index, _)| (*index, Instant::now())));
                    pending.extend(next.map(|(index, wrap)| async move {
                        (index, self.unwrap_with(wrap, context).await)
                    }));
                }
                Some((index, Ok(unwrapped))) => {
                    waiting_since.remove(&index);
                    key = Some(unwrapped);
                }
                Some((index, Err(error))) => {
                    waiting_since.remove(&index);
                    errors.insert(index, error);
                }
            }
        }
        // Those that had the whole time and did not answer: the next key does not wait for them.
        for (index, since) in waiting_since {
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

    /// Logs once that custodians failed where another one succeeded: the ring depends on fewer than
    /// it should.
    fn report_failures(&self, errors: &[CustodianError], context: &Context<'_>) {
        for error in errors {
            match error {
                CustodianError::NotConfigured { .. } => {}
                // Damaged, or wrapped by a key that the custodian no longer has: reported for each
                // key.
                CustodianError::Refused { custodian } => error!(
                    "the custodian {custodian} does not unwrap key {} of the keyring, and another one does: its \
                     secret here is wrong, or what it wrapped is lost; waxseal doctor tells what to do",
                    sanitize_for_terminal(context.key)
                ),
                error if !self.has_warned.swap(true, Ordering::Relaxed) => {
                    warn!("{error}; another custodian opens the keyring");
                }
                _ => {}
            }
        }
    }
}

#[async_trait]
impl UnwrapSource for Unwrapping<'_> {
    /// Any custodian that answers is enough. Only if none can be reached, the keys stored on this
    /// machine are used, if this process may start with them.
    async fn unwrap(
        &self,
        wraps: &[Wrap],
        context: &Context<'_>,
    ) -> Result<SecretKey, CustodianError> {
        let offline = self.custodians.offline();
        let (key, mut errors) = self.unwrap_with_any(wraps, context).await;
        if let Some(key) = key {
            if let Some(offline) = offline {
                offline.add(&key, context);
            }
            self.report_failures(&errors, context);
            return Ok(key);
        }
        let is_unreachable = |error: &CustodianError| {
            matches!(
                error,
                CustodianError::Unavailable { .. } | CustodianError::NotConfigured { .. }
            )
        };
        let is_outage = errors.iter().any(CustodianError::is_transient);
        if is_outage
            && errors.iter().all(is_unreachable)
            && let Some(key) = offline.and_then(|offline| offline.load(context))
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

/// An untrusted text of a document, as it may be shown.
pub(crate) fn sanitize_for_terminal(text: &str) -> String {
    let shown = |letter: &char| !letter.is_control();
    text.chars().filter(shown).take(200).collect()
}
