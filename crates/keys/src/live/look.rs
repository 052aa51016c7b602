//! A look at the document: takes over a newer one, puts back what the store has lost, refuses any
//! other; and keeps the last good copy.

use std::sync::Arc;

use tracing::{error, info, warn};

use super::{Inner, Known, Moment, keyring, lock, open};
use crate::custodian::{Source, sanitize_for_terminal};
use crate::document_store::Document;
use crate::error::RingError;
use crate::ring::Ring;

/// How often a look is taken anew where somebody else put the ring back, or changed it, in between.
const LOOKS: usize = 5;

/// What a look came to.
enum Seen {
    InOrder,
    /// The store had lost the ring, and somebody else wrote there before this process did.
    Outrun(RingError),
}

impl Inner {
    /// Looks, and again where somebody else was faster to put the ring back.
    pub(super) async fn look(&self) -> Result<(), RingError> {
        let mut seen = self.look_once().await?;
        for _ in 1..LOOKS {
            if matches!(seen, Seen::InOrder) {
                break;
            }
            seen = self.look_once().await?;
        }
        match seen {
            Seen::InOrder => Ok(()),
            Seen::Outrun(why) => Err(why),
        }
    }

    /// One look: takes over a newer document, puts back what the store has lost, refuses any other.
    async fn look_once(&self) -> Result<Seen, RingError> {
        let asked = self.moment();
        let found = self.store.read(&Document::Ring).await?;
        if found.as_ref() == Some(&self.known().bytes) {
            self.note_confirmed(asked);
            return Ok(Seen::InOrder);
        }
        self.learn_from_copy().await?;
        let known = self.known();
        let Some(bytes) = found else {
            let location = self.store.location();
            let missing = RingError::Missing { location };
            return self.put_back(asked, missing, None, None).await;
        };
        if bytes == known.bytes {
            self.note_confirmed(asked);
            return Ok(Seen::InOrder);
        }
        let (store, options) = (&*self.store, &self.options);
        let ring = match open(store, &bytes, &self.custodians, options, Some(&known.ring)).await {
            Ok(ring) => ring,
            Err(error) if error.is_loss() => {
                return self.put_back(asked, error, Some(&bytes), None).await;
            }
            Err(error) => return Err(error),
        };
        let now = self.document_ms();
        match ring.may_follow(&known.ring, &store.location()) {
            Ok(()) => match ring.with_what_it_lacks(&known.ring, now) {
                None if ring.is_repaired() => {
                    let damaged = RingError::Damaged {
                        location: store.location(),
                    };
                    self.put_back(asked, damaged, Some(&bytes), Some(ring))
                        .await
                }
                None => {
                    self.take_over(asked, ring, bytes).await?;
                    Ok(Seen::InOrder)
                }
                Some(whole) => {
                    let lost = RingError::Lost {
                        location: store.location(),
                    };
                    self.put_back(asked, lost, Some(&bytes), Some(whole)).await
                }
            },
            Err(error) if error.is_loss() => {
                let whole = known.ring.with_what_it_lacks(&ring, now);
                self.put_back(asked, error, Some(&bytes), whole).await
            }
            Err(error) => Err(error),
        }
    }

    /// Another process of this machine may know more of the ring than this one: what its copy has is
    /// not to be lost.
    async fn learn_from_copy(&self) -> Result<(), RingError> {
        let known = self.known();
        let Some(copy) = &self.copy else {
            return Ok(());
        };
        let Ok(Some(bytes)) = copy.read().await else {
            return Ok(());
        };
        if bytes == known.bytes {
            return Ok(());
        }
        let location = format!("file:{}", copy.path().display());
        let environment = &self.options.environment;
        let custodians = &self.custodians;
        let opened = Ring::open(
            &bytes,
            &location,
            environment,
            custodians,
            Some(&known.ring),
        );
        let Ok(ring) = opened.await else {
            return Ok(());
        };
        if ring.id() != known.ring.id() {
            return Ok(());
        }
        let now = self.document_ms();
        let is_newer = ring.version() > known.ring.version();
        let whole = match is_newer {
            true => ring.with_what_it_lacks(&known.ring, now),
            false => known.ring.with_what_it_lacks(&ring, now),
        };
        match whole {
            Some(whole) => {
                let bytes = whole.to_bytes();
                self.adopt(whole, bytes)
            }
            None if is_newer => self.adopt(ring, bytes),
            None => Ok(()),
        }
    }

    pub(super) async fn take_over(
        &self,
        asked: Moment,
        ring: Ring,
        bytes: Vec<u8>,
    ) -> Result<(), RingError> {
        self.adopt(ring, bytes)?;
        self.note_confirmed(asked);
        self.warn_if_stranded();
        self.keep_copy().await;
        Ok(())
    }

    /// Says so where the ring went over to custodians that this process was not told of.
    fn warn_if_stranded(&self) {
        let ring = self.known().ring.clone();
        if ring
            .custodians()
            .any(|url| self.custodians.get(url).is_some())
        {
            return;
        }
        let custodians: Vec<_> = ring.custodians().map(sanitize_for_terminal).collect();
        warn!(
            "the keyring is wrapped by {} now, and none of these is configured here: this process goes \
             on, and would not start again",
            custodians.join(", ")
        );
    }

    /// Knows this ring from now on.
    fn adopt(&self, ring: Ring, bytes: Vec<u8>) -> Result<(), RingError> {
        let keyring = Arc::new(keyring(&ring, &self.options)?);
        let (version, sealing) = (ring.version(), keyring.sealing_id());
        let changed = sealing != self.keyring.current().sealing_id();
        let ring = Arc::new(ring);
        self.known.store(Arc::new(Known {
            ring: ring.clone(),
            bytes,
        }));
        self.keyring.publish(keyring);
        self.told.send_replace(ring);
        lock(&self.in_vain).clear();
        if changed {
            info!("keyring version {version}: key {sealing} seals from now on");
        }
        Ok(())
    }

    /// Puts the ring that this process knows where the store has lost it; or one that has what each of
    /// them lacks.
    async fn put_back(
        &self,
        asked: Moment,
        why: RingError,
        found: Option<&[u8]>,
        whole: Option<Ring>,
    ) -> Result<Seen, RingError> {
        let known = self.known();
        let is_current = matches!(why, RingError::Lost { .. } | RingError::Damaged { .. });
        if !is_current && known.ring.settings().is_lapsed(self.silent_ms()) {
            // Others may know a newer one, and what is sealed under this one may be lost.
            return Err(RingError::Outdated {
                location: self.store.location(),
                version: known.ring.version(),
            });
        }
        let bytes = match &whole {
            Some(whole) => whole.to_bytes(),
            None => known.bytes.clone(),
        };
        if !self.store.replace(&Document::Ring, found, &bytes).await? {
            return Ok(Seen::Outrun(why));
        }
        // Others may not have seen it meanwhile.
        *lock(&self.watched) = None;
        match whole {
            Some(whole) => self.take_over(asked, whole, bytes).await?,
            None => {
                self.note_confirmed(asked);
                self.keep_copy().await;
            }
        }
        error!(
            "{why}: THE KEYRING WAS PUT BACK from the last good copy (version {}); \
             find out who removed or changed it",
            self.known().ring.version()
        );
        Ok(Seen::InOrder)
    }

    /// Keeps the keys under a key of this machine, where one was named for that.
    pub(super) async fn keep_offline(&self) {
        let Some(offline) = self.custodians.offline() else {
            return;
        };
        let ring = self.known().ring.clone();
        let source = self.custodians.unwrapping();
        let wrapped = ring.wrapped();
        for (key, wraps) in &wrapped {
            let context = ring.context(key);
            // A key that this process made itself was never unwrapped.
            if !offline.has(&context)
                && let Err(error) = source.unwrap(wraps, &context).await
            {
                warn!("a key of the keyring is not kept for a start without custodians: {error}");
                break;
            }
        }
        let contexts: Vec<_> = wrapped.iter().map(|(key, _)| ring.context(key)).collect();
        offline.keep(&contexts).await;
    }

    pub(super) async fn keep_copy(&self) {
        self.keep_offline().await;
        let Some(copy) = &self.copy else { return };
        if let Err(error) = copy.keep(&self.known().bytes).await {
            warn!("the last good copy of the keyring cannot be kept: {error}");
        }
        copy.renew(self.now_ms(), true).await;
    }
}
