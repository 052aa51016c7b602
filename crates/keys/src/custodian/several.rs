//! The custodians of a process, and how a key comes out of what several of them wrapped: any one that
//! answers is enough, and one that is down is waited for once and not for each key.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tracing::warn;
use waxseal_core::SecretKey;

use super::measured::Measured;
use super::{Context, Custodian};
use crate::document::Wrap;
use crate::error::CustodianError;
use crate::live::lock;
use crate::offline::Offline;

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
                custodian: harmless(url),
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

    /// Says once that custodians failed where another one helped: the ring hangs on fewer than it should.
    fn tell_of_others(&self, errors: &[CustodianError]) {
        let is_here =
            |error: &&CustodianError| !matches!(error, CustodianError::NotConfigured { .. });
        let Some(error) = errors.iter().find(is_here) else {
            return;
        };
        if !self.told.swap(true, Ordering::Relaxed) {
            warn!("{error}; another custodian opens the keyring");
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
        let mut errors = Vec::new();
        for wrap in wraps {
            match self.ask(wrap, context).await {
                Ok(key) => {
                    if let Some(offline) = offline {
                        offline.remember(&key, context);
                    }
                    self.tell_of_others(&errors);
                    return Ok(key);
                }
                Err(error) => errors.push(error),
            }
        }
        let away = |error: &CustodianError| {
            matches!(
                error,
                CustodianError::Unavailable { .. } | CustodianError::NotConfigured { .. }
            )
        };
        let is_outage = errors.iter().any(CustodianError::is_passing);
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
pub(crate) fn harmless(text: &str) -> String {
    let shown = |letter: &char| !letter.is_control();
    text.chars().filter(shown).take(200).collect()
}
