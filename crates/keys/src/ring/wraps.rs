//! The wraps of a ring: its keys exported for a backup, and wrapped by other custodians. The keys
//! themselves and their states do not change.

use std::collections::{BTreeMap, BTreeSet};
#[cfg(feature = "backup")]
use std::sync::Arc;

#[cfg(feature = "backup")]
use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use waxseal_core::SecretKey;

use super::{MAX_CONCURRENT_UNWRAPS, Ring};
use crate::custodian::{
    Context, Custodian, CustodianError, CustodianScheme, Custodians, UnwrapSource, Wrap, Wrapped,
};
use crate::error::{ChangeError, RingError};
#[cfg(feature = "backup")]
use crate::keyring_document::KeyringDocument;
use crate::keyring_document::NAMES;

/// The unwrapped secrets of a ring, by the name under which each is wrapped: `names` or the key's id.
#[cfg(feature = "backup")]
pub(crate) struct Secrets(pub(crate) BTreeMap<String, SecretKey>);

#[cfg(feature = "backup")]
#[async_trait]
impl UnwrapSource for Secrets {
    async fn unwrap(
        &self,
        _wraps: &[Wrap],
        context: &Context<'_>,
    ) -> Result<SecretKey, CustodianError> {
        let key = self.0.get(context.key).ok_or(CustodianError::Refused {
            custodian: "backup:".to_owned(),
        })?;
        Ok(SecretKey::from_bytes(key.expose_bytes())?)
    }
}

/// A change of the wraps of a ring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrap {
    /// Custodians to add.
    pub add: Vec<String>,
    /// Custodians to remove.
    pub remove: Vec<String>,
    /// Remove all custodians that are not in `add`.
    pub only: bool,
    /// Renew the wraps of the remaining custodians, under their newest key.
    pub renew: bool,
}

impl Rewrap {
    fn removes(&self, url: &str) -> bool {
        let is = |other: &String| other == url;
        self.remove.iter().any(is) || (self.only && !self.add.iter().any(is))
    }
}

/// All wraps of a ring, by the name under which a secret is wrapped.
type Wraps = BTreeMap<String, Vec<Wrap>>;

impl Ring {
    /// The wraps of all secrets, by the name under which each is wrapped; the ring's own secret first.
    pub(crate) fn wrapped(&self) -> Vec<(String, &[Wrap])> {
        self.document.wrapped()
    }

    /// Returns the document with the wraps that a known one has for the same keys, if that makes its
    /// authentication code correct: then only wraps were damaged in its store.
    pub(super) fn with_wraps_of(&self, known: &Self) -> Option<Self> {
        let mut repaired = self.clone();
        let known: BTreeMap<_, _> = known.wrapped().into_iter().collect();
        for (key, wraps) in repaired.document.wrapped_mut() {
            if let Some(known) = known.get(&key) {
                *wraps = known.to_vec();
            }
        }
        repaired.is_repaired = true;
        repaired.is_authentic().then_some(repaired)
    }

    /// True if wraps of its document were damaged, and replaced by those of a known ring.
    pub(crate) fn is_repaired(&self) -> bool {
        self.is_repaired
    }

    /// Keys that a custodian of this process wrapped and no longer unwraps, with its URL.
    pub(crate) async fn refused_wraps(&self, custodians: &Custodians) -> Vec<(String, String)> {
        let custodians = custodians.clone().without_offline();
        let source = custodians.unwrapping();
        let mut refused = Vec::new();
        for (key, wraps) in self.wrapped() {
            let context = self.context(&key);
            for wrap in wraps {
                let alone = std::slice::from_ref(wrap);
                let answer = source.unwrap(alone, &context).await;
                if matches!(answer, Err(CustodianError::Refused { .. })) {
                    refused.push((key.clone(), wrap.custodian.clone()));
                }
            }
        }
        refused
    }

    /// The context that a secret is wrapped for.
    pub(crate) fn context<'a>(&'a self, key: &'a str) -> Context<'a> {
        self.document.context(key)
    }

    /// Asks each custodian of the ring for the ring's own secret.
    pub(crate) async fn check_custodians(
        &self,
        custodians: &Custodians,
    ) -> Vec<(String, Result<(), CustodianError>)> {
        let custodians = custodians.clone().without_offline();
        let context = self.context(NAMES);
        let mut answers = Vec::new();
        for wrap in &self.document.names {
            let source = custodians.unwrapping();
            let answer = source.unwrap(std::slice::from_ref(wrap), &context).await;
            answers.push((wrap.custodian.clone(), answer.map(drop)));
        }
        answers
    }

    /// The document: for a backup.
    #[cfg(feature = "backup")]
    pub(crate) fn document(&self) -> &KeyringDocument {
        &self.document
    }

    /// Keys that are not wrapped by all custodians of the ring, with the custodians that they lack: a key that was
    /// restored after a lost write may have the previous custodians.
    #[must_use]
    pub fn unevenly_wrapped(&self) -> Vec<(String, Vec<String>)> {
        let wrapped = self.wrapped();
        let urls = |wraps: &[Wrap]| -> BTreeSet<String> {
            wraps.iter().map(|wrap| wrap.custodian.clone()).collect()
        };
        let all: BTreeSet<_> = wrapped.iter().flat_map(|(_, wraps)| urls(wraps)).collect();
        let lacking = wrapped.into_iter().map(|(key, wraps)| {
            let lacking = all.difference(&urls(wraps)).cloned().collect();
            (key, lacking)
        });
        lacking
            .filter(|(_, lacking): &(_, Vec<String>)| !lacking.is_empty())
            .collect()
    }

    /// Unwraps all keys: for a backup.
    #[cfg(feature = "backup")]
    pub(crate) async fn secrets(&self, custodians: &Custodians) -> Result<Secrets, RingError> {
        let source = custodians.unwrapping();
        let mut secrets = BTreeMap::new();
        let wrapped = self.wrapped().into_iter();
        let requests: Vec<_> = wrapped.map(|it| self.secret(it, &source)).collect();
        let mut requests = stream::iter(requests).buffer_unordered(MAX_CONCURRENT_UNWRAPS);
        while let Some((key, secret)) = requests.try_next().await? {
            secrets.insert(key, secret);
        }
        Ok(Secrets(secrets))
    }

    #[cfg(feature = "backup")]
    async fn secret(
        &self,
        (key, wraps): (String, &[Wrap]),
        source: &dyn UnwrapSource,
    ) -> Result<(String, SecretKey), CustodianError> {
        let secret = source.unwrap(wraps, &self.context(&key)).await?;
        Ok((key, secret))
    }

    /// Returns the ring with these keys wrapped by these custodians and no others.
    #[cfg(feature = "backup")]
    pub(crate) async fn wrapped_by(
        &self,
        secrets: &Secrets,
        custodians: &[Arc<dyn Custodian>],
    ) -> Result<Self, RingError> {
        let mut wraps = Wraps::new();
        for (key, secret) in &secrets.0 {
            let context = self.context(key);
            let of_key = wraps.entry(key.clone()).or_default();
            for custodian in custodians {
                of_key.push(wrap(&**custodian, secret, &context).await?);
            }
        }
        // What was found of members may have changed since the backup.
        Ok(self.without_member_forms().with_wraps(wraps))
    }

    /// Returns the ring with other wraps; `None` if nothing is left to change. Each new wrap is unwrapped once
    /// before it counts, and each key is unwrapped from a remaining wrap before another is removed.
    pub(crate) async fn with_rewrap(
        &self,
        change: &Rewrap,
        custodians: &Custodians,
    ) -> Result<Option<Self>, RingError> {
        self.check_removed(change)?;
        let of_ring: Vec<&str> = self.custodians().collect();
        let plan = |(key, wraps)| Ok((key, Plan::of(wraps, change, &of_ring)?));
        let plans = self.wrapped().into_iter().map(plan);
        let plans = plans.collect::<Result<Vec<_>, ChangeError>>()?;
        if !plans.iter().any(|(_, plan)| plan.changes()) {
            return Ok(None);
        }
        let source = custodians.unwrapping();
        let requests: Vec<_> = plans
            .into_iter()
            .map(|(key, plan)| self.rewrapped(key, plan, (custodians, &source)))
            .collect();
        let mut requests = stream::iter(requests).buffer_unordered(MAX_CONCURRENT_UNWRAPS);
        let mut wraps = Wraps::new();
        while let Some((key, of_key)) = requests.try_next().await? {
            wraps.insert(key, of_key);
        }
        drop(requests);
        Ok(Some(self.with_wraps(wraps)))
    }

    /// Checks that each custodian to remove wraps something.
    fn check_removed(&self, change: &Rewrap) -> Result<(), ChangeError> {
        let wrapped = self.wrapped();
        let all = wrapped.iter().flat_map(|(_, wraps)| wraps.iter());
        let all: Vec<&str> = all.map(|wrap| wrap.custodian.as_str()).collect();
        let mut removed = change.remove.iter();
        match removed.find(|url| !all.contains(&url.as_str())) {
            Some(unknown) => Err(ChangeError::NoCustodian(shown(unknown))),
            None => Ok(()),
        }
    }

    /// Returns one key with its new wraps.
    async fn rewrapped(
        &self,
        key: String,
        plan: Plan<'_>,
        (custodians, source): (&Custodians, &dyn UnwrapSource),
    ) -> Result<(String, Vec<Wrap>), CustodianError> {
        let context = self.context(&key);
        let mut next: Vec<Wrap> = Vec::new();
        if !plan.renew && plan.added.is_empty() {
            next.extend(plan.kept.into_iter().cloned());
            check(&next, custodians, &context).await?;
            return Ok((key, next));
        }
        let secret = source.unwrap(plan.wraps, &context).await?;
        for kept in plan.kept {
            next.push(match plan.renew {
                true => renew(kept, &secret, custodians, &context).await?,
                false => kept.clone(),
            });
        }
        for url in plan.added {
            next.push(wrap(configured(custodians, url)?, &secret, &context).await?);
        }
        Ok((key, next))
    }

    fn with_wraps(&self, mut wraps: Wraps) -> Self {
        let mut next = self.next();
        for (key, of_key) in next.document.wrapped_mut() {
            *of_key = wraps.remove(&key).unwrap_or_default();
        }
        next.authenticate();
        next
    }
}

/// The change of the wraps of one key. Keys may differ: one that was restored after a lost write may still have
/// the previous wraps.
struct Plan<'a> {
    wraps: &'a [Wrap],
    kept: Vec<&'a Wrap>,
    /// Renew the kept ones.
    renew: bool,
    added: Vec<&'a str>,
}

impl<'a> Plan<'a> {
    fn of(wraps: &'a [Wrap], change: &'a Rewrap, of_ring: &[&'a str]) -> Result<Self, ChangeError> {
        let kept = wraps.iter().filter(|it| !change.removes(&it.custodian));
        let kept: Vec<&Wrap> = kept.collect();
        let added_urls = change.add.iter().map(String::as_str);
        let lacking = of_ring.iter().copied().filter(|_| change.renew);
        let mut added: Vec<&str> = Vec::new();
        for url in added_urls.chain(lacking) {
            let is_present = kept.iter().any(|it| it.custodian == url) || added.contains(&url);
            if !is_present && !change.removes(url) {
                added.push(url);
            }
        }
        if kept.is_empty() && added.is_empty() {
            let last = wraps.last().map(|it| it.custodian.clone());
            return Err(ChangeError::LastCustodian(last.unwrap_or_default()));
        }
        Ok(Self {
            wraps,
            kept,
            renew: change.renew,
            added,
        })
    }

    fn changes(&self) -> bool {
        self.renew || self.kept.len() < self.wraps.len() || !self.added.is_empty()
    }
}

fn configured<'c>(
    custodians: &'c Custodians,
    url: &str,
) -> Result<&'c dyn Custodian, CustodianError> {
    let custodian = custodians.get(url).map(|it| &**it);
    custodian.ok_or_else(|| CustodianError::NotConfigured {
        custodian: url.to_owned(),
    })
}

/// Renews a wrap under its custodian's newest key, and checks that it contains the same key.
async fn renew(
    wrap: &Wrap,
    secret: &SecretKey,
    custodians: &Custodians,
    context: &Context<'_>,
) -> Result<Wrap, CustodianError> {
    let custodian = configured(custodians, &wrap.custodian)?;
    let wrapped = custodian.rewrap(&wrap.to_wrapped(), context).await?;
    check_wrap(custodian, &wrapped, secret, context).await?;
    Ok(Wrap::new(&wrap.custodian, wrapped))
}

/// Checks that a key can be unwrapped from what is about to be all that is left of it. The keys that this
/// machine stores for offline starts do not count.
async fn check(
    wraps: &[Wrap],
    custodians: &Custodians,
    context: &Context<'_>,
) -> Result<(), CustodianError> {
    let alone = custodians.clone().without_offline();
    alone.unwrapping().unwrap(wraps, context).await.map(drop)
}

/// Wraps a key and checks that it can be unwrapped: the wrap may be all that is left of the key one day.
pub(super) async fn wrap(
    custodian: &dyn Custodian,
    key: &SecretKey,
    context: &Context<'_>,
) -> Result<Wrap, CustodianError> {
    let wrapped = custodian.wrap(key, context).await?;
    check_wrap(custodian, &wrapped, key, context).await?;
    Ok(Wrap::new(custodian.url(), wrapped))
}

/// Checks that a custodian wraps and unwraps, before a ring uses it. The trial wrap is discarded.
pub async fn test_custodian(
    custodian: &dyn Custodian,
    environment: &str,
) -> Result<(), CustodianError> {
    let context = Context {
        environment,
        ring: "trial",
        key: "trial",
    };
    wrap(custodian, &SecretKey::generate()?, &context)
        .await
        .map(drop)
}

/// Checks that the wrap contains this key.
async fn check_wrap(
    custodian: &dyn Custodian,
    wrapped: &Wrapped,
    key: &SecretKey,
    context: &Context<'_>,
) -> Result<(), CustodianError> {
    let back = custodian.unwrap(wrapped, context).await?;
    match back.expose_bytes() == key.expose_bytes() {
        true => Ok(()),
        false => Err(CustodianError::Refused {
            custodian: custodian.url().to_owned(),
        }),
    }
}

/// A custodian URL that is not one of the ring's, for an error: it may contain a PIN, or be a secret.
fn shown(url: &str) -> String {
    CustodianScheme::redacted(url).unwrap_or_else(|| "of such a URL".to_owned())
}
