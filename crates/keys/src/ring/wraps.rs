//! The wraps of a ring: its keys taken out as they are, and wrapped by other custodians. The keys
//! themselves and their states stay.

use std::collections::BTreeMap;
use std::sync::Arc;

#[cfg(feature = "backup")]
use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
#[cfg(feature = "backup")]
use waxseal_core::SecretKey;

use super::{AT_ONCE, NAMES, Ring, wrap};
use crate::custodian::{Context, Custodian, Custodians, Source};
#[cfg(feature = "backup")]
use crate::document::Document;
use crate::document::Wrap;
use crate::error::{ChangeError, CustodianError, RingError};

/// The secrets of a ring as they are: by what each is wrapped as, `names` or the key's id.
#[cfg(feature = "backup")]
pub(crate) struct Secrets(pub(crate) BTreeMap<String, SecretKey>);

#[cfg(feature = "backup")]
#[async_trait]
impl Source for Secrets {
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

/// How the wraps of a ring shall change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rewrap {
    /// Custodians that shall wrap the keys as well.
    pub add: Vec<String>,
    /// Custodians that shall wrap them no more.
    pub remove: Vec<String>,
    /// Whether all others than those that are added are removed.
    pub only: bool,
    /// Whether those that stay wrap them anew, under their newest key.
    pub anew: bool,
}

impl Rewrap {
    fn removes(&self, url: &str) -> bool {
        let is = |other: &String| other == url;
        self.remove.iter().any(is) || (self.only && !self.add.iter().any(is))
    }
}

/// Everything of a ring that is wrapped, by what it is wrapped as.
type Wraps = BTreeMap<String, Vec<Wrap>>;

impl Ring {
    /// What the keys that are there are wrapped as, the ring's own secret first.
    pub(crate) fn wrapped(&self) -> Vec<(String, &[Wrap])> {
        let keys = self.document.keys.iter().filter(|it| !it.wraps.is_empty());
        let keys = keys.map(|entry| (entry.id.to_string(), &entry.wraps[..]));
        let names = (NAMES.to_owned(), &self.document.names[..]);
        std::iter::once(names).chain(keys).collect()
    }

    /// The context of one of them.
    pub(crate) fn context<'a>(&'a self, key: &'a str) -> Context<'a> {
        self.document.context(key)
    }

    /// Asks each custodian of the ring for the ring's own secret: who still holds what it needs?
    pub(crate) async fn ask_each(
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
    pub(crate) fn document(&self) -> &Document {
        &self.document
    }

    /// Takes all keys out: for a backup.
    #[cfg(feature = "backup")]
    pub(crate) async fn secrets(&self, custodians: &Custodians) -> Result<Secrets, RingError> {
        let source = custodians.unwrapping();
        let mut secrets = BTreeMap::new();
        let wrapped = self.wrapped().into_iter();
        let asked: Vec<_> = wrapped.map(|it| self.secret(it, &source)).collect();
        let mut asked = stream::iter(asked).buffer_unordered(AT_ONCE);
        while let Some((key, secret)) = asked.try_next().await? {
            secrets.insert(key, secret);
        }
        Ok(Secrets(secrets))
    }

    #[cfg(feature = "backup")]
    async fn secret(
        &self,
        (key, wraps): (String, &[Wrap]),
        source: &dyn Source,
    ) -> Result<(String, SecretKey), CustodianError> {
        let secret = source.unwrap(wraps, &self.context(&key)).await?;
        Ok((key, secret))
    }

    /// The ring with these keys wrapped by these custodians and no others.
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
        Ok(self.with_wraps(wraps))
    }

    /// The ring with other wraps. Before a custodian is given up, each key is shown to come out of one
    /// that stays. `None` where nothing is left to change.
    pub(crate) async fn with_rewrap(
        &self,
        change: &Rewrap,
        custodians: &Custodians,
    ) -> Result<Option<Self>, RingError> {
        let Some(added) = self.added(change)? else {
            return Ok(None);
        };
        let added = added.into_iter().map(|url| {
            let custodian = custodians.get(url).cloned();
            custodian.ok_or_else(|| CustodianError::NotConfigured {
                custodian: url.to_owned(),
            })
        });
        let added: Vec<Arc<dyn Custodian>> = added.collect::<Result<_, _>>()?;
        let source = custodians.unwrapping();
        let wrapped = self.wrapped().into_iter();
        let asked: Vec<_> = wrapped
            .map(|it| self.rewrapped(it, change, &added, (custodians, &source)))
            .collect();
        let mut asked = stream::iter(asked).buffer_unordered(AT_ONCE);
        let mut wraps = Wraps::new();
        while let Some((key, of_key)) = asked.try_next().await? {
            wraps.insert(key, of_key);
        }
        drop(asked);
        Ok(Some(self.with_wraps(wraps)))
    }

    /// One key with its wraps as they shall be.
    async fn rewrapped(
        &self,
        (key, wraps): (String, &[Wrap]),
        change: &Rewrap,
        added: &[Arc<dyn Custodian>],
        (custodians, source): (&Custodians, &dyn Source),
    ) -> Result<(String, Vec<Wrap>), CustodianError> {
        let context = self.context(&key);
        let mut next = Vec::new();
        for kept in wraps.iter().filter(|it| !change.removes(&it.custodian)) {
            next.push(match change.anew {
                true => anew(kept, custodians, &context).await?,
                false => kept.clone(),
            });
        }
        if !added.is_empty() {
            let secret = source.unwrap(wraps, &context).await?;
            for custodian in added {
                next.push(wrap(&**custodian, &secret, &context).await?);
            }
        }
        check(&next, custodians, &context).await?;
        Ok((key, next))
    }

    /// The custodians that a change adds; `None` where it changes nothing.
    fn added<'a>(&self, change: &'a Rewrap) -> Result<Option<Vec<&'a str>>, ChangeError> {
        let present: Vec<&str> = self.custodians().collect();
        let is_present = |url: &str| present.contains(&url);
        let mut removed = change.remove.iter();
        if let Some(unknown) = removed.find(|url| !is_present(url)) {
            return Err(ChangeError::NoCustodian(unknown.clone()));
        }
        let added = change.add.iter().map(String::as_str);
        let added: Vec<&str> = added
            .filter(|url| !is_present(url) && !change.removes(url))
            .collect();
        let stays = |url: &&&str| !change.removes(url);
        if added.is_empty() && !present.iter().any(|url| stays(&url)) {
            let last = present.last().copied().unwrap_or_default();
            return Err(ChangeError::LastCustodian(last.to_owned()));
        }
        let removes = present.iter().any(|url| change.removes(url));
        let changes = removes || change.anew || !added.is_empty();
        Ok(changes.then_some(added))
    }

    fn with_wraps(&self, mut wraps: Wraps) -> Self {
        let mut next = self.next();
        next.document.names = wraps.remove(NAMES).unwrap_or_default();
        for entry in &mut next.document.keys {
            entry.wraps = wraps.remove(&entry.id.to_string()).unwrap_or_default();
        }
        next.authenticate();
        next
    }
}

async fn anew(
    wrap: &Wrap,
    custodians: &Custodians,
    context: &Context<'_>,
) -> Result<Wrap, CustodianError> {
    let url = &wrap.custodian;
    let custodian = custodians.get(url);
    let custodian = custodian.ok_or_else(|| CustodianError::NotConfigured {
        custodian: url.clone(),
    })?;
    let wrapped = custodian.rewrap(&wrap.to_wrapped(), context).await?;
    Ok(Wrap::new(url, wrapped))
}

/// Whether a key really comes out of what is about to be all that is left of it; never out of the keys
/// that this machine keeps for itself.
async fn check(
    wraps: &[Wrap],
    custodians: &Custodians,
    context: &Context<'_>,
) -> Result<(), CustodianError> {
    let alone = custodians.clone().without_offline();
    alone.unwrapping().unwrap(wraps, context).await.map(drop)
}
