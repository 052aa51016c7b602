//! One poll of the document: adopts a newer one, restores what the store has lost, refuses any other;
//! and stores the last good copy.

use std::sync::Arc;

use tracing::{error, info, warn};

use super::{Inner, KnownRing, Moment, keyring, open_document};
use crate::custodian::{UnwrapSource, sanitize_for_terminal};
use crate::document_store::Document;
use crate::error::RingError;
use crate::ring::Ring;
use crate::sync::lock;

/// The number of polls in a row if another process restored or changed the ring in between.
const MAX_ATTEMPTS: usize = 5;

enum PollOutcome {
    UpToDate,
    /// The store had lost the ring, and another process wrote to it first.
    Contended(RingError),
}

impl Inner {
    /// Polls, and again if another process was faster to restore the ring.
    pub(super) async fn poll(&self) -> Result<(), RingError> {
        let mut outcome = self.poll_once().await?;
        for _ in 1..MAX_ATTEMPTS {
            if matches!(outcome, PollOutcome::UpToDate) {
                break;
            }
            outcome = self.poll_once().await?;
        }
        match outcome {
            PollOutcome::UpToDate => Ok(()),
            PollOutcome::Contended(loss) => Err(loss),
        }
    }

    async fn poll_once(&self) -> Result<PollOutcome, RingError> {
        let asked = self.moment();
        let found = self.store.read(&Document::Ring).await?;
        if found.as_ref() == Some(&self.known().bytes) {
            self.note_confirmed(asked);
            return Ok(PollOutcome::UpToDate);
        }
        // What the copy of this machine has must not be overwritten below.
        self.adopt_copy().await?;
        let known = self.known();
        let Some(bytes) = found else {
            let location = self.store.location();
            let missing = RingError::Missing { location };
            return self.restore(asked, missing, None, None).await;
        };
        if bytes == known.bytes {
            self.note_confirmed(asked);
            return Ok(PollOutcome::UpToDate);
        }
        let opened = open_document(
            &*self.store,
            &bytes,
            &self.custodians,
            &self.options,
            Some(&known.ring),
        );
        match opened.await {
            Ok(ring) => self.compare(asked, &known.ring, ring, bytes).await,
            Err(error) if error.is_loss() => self.restore(asked, error, Some(&bytes), None).await,
            Err(error) => Err(error),
        }
    }

    /// Compares a ring that the store holds with the known one: adopts it, or restores what it lacks.
    async fn compare(
        &self,
        asked: Moment,
        known: &Ring,
        found: Ring,
        bytes: Vec<u8>,
    ) -> Result<PollOutcome, RingError> {
        let now = self.document_ms();
        let location = self.store.location();
        if let Err(error) = found.may_follow(known, &location) {
            if !error.is_loss() {
                return Err(error);
            }
            let merged = known.merged_with(&found, now);
            return self.restore(asked, error, Some(&bytes), merged).await;
        }
        if let Some(merged) = found.merged_with(known, now) {
            let lost = RingError::Lost { location };
            return self.restore(asked, lost, Some(&bytes), Some(merged)).await;
        }
        if found.is_repaired() {
            let damaged = RingError::Damaged { location };
            return self
                .restore(asked, damaged, Some(&bytes), Some(found))
                .await;
        }
        self.take_over(asked, found, bytes).await?;
        Ok(PollOutcome::UpToDate)
    }

    /// Adopts what the last good copy has and this process does not: another process of this machine may
    /// have seen a newer ring.
    async fn adopt_copy(&self) -> Result<(), RingError> {
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
        let location = copy.location();
        let opened = Ring::open(
            &bytes,
            &location,
            &self.options.environment,
            &self.custodians,
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
        let merged = match is_newer {
            true => ring.merged_with(&known.ring, now),
            false => known.ring.merged_with(&ring, now),
        };
        match merged {
            Some(merged) => {
                let bytes = merged.to_bytes();
                self.adopt(merged, bytes)
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
        self.store_copy().await;
        Ok(())
    }

    /// Warns if none of the ring's custodians is configured in this process any more.
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

    /// Makes this the known ring and publishes its keyring.
    fn adopt(&self, ring: Ring, bytes: Vec<u8>) -> Result<(), RingError> {
        let keyring = Arc::new(keyring(&ring, &self.options)?);
        let (version, sealing) = (ring.version(), keyring.sealing_id());
        let changed = sealing != self.keyring.current().sealing_id();
        let before = self.known().ring.clone();
        let ring = Arc::new(ring);
        self.known.store(Arc::new(KnownRing {
            ring: ring.clone(),
            bytes,
        }));
        self.keyring.publish(keyring);
        self.updates.send_replace(ring.clone());
        self.unknown_keys.clear();
        if changed {
            info!("keyring version {version}: key {sealing} seals from now on");
        }
        report_envelopes(&before, &ring);
        Ok(())
    }

    /// Writes the known ring to a store that has lost it, or `merged`, which has what each of them
    /// lacks.
    async fn restore(
        &self,
        asked: Moment,
        loss: RingError,
        found: Option<&[u8]>,
        merged: Option<Ring>,
    ) -> Result<PollOutcome, RingError> {
        let known = self.known();
        let is_current = matches!(loss, RingError::Lost { .. } | RingError::Damaged { .. });
        if !is_current && known.ring.settings().is_lapsed(self.silent_ms()) {
            // Others may know a newer ring, and what is sealed under this one may be lost.
            return Err(RingError::Outdated {
                location: self.store.location(),
                version: known.ring.version(),
            });
        }
        let bytes = match &merged {
            Some(merged) => merged.to_bytes(),
            None => known.bytes.clone(),
        };
        if !self.store.replace(&Document::Ring, found, &bytes).await? {
            return Ok(PollOutcome::Contended(loss));
        }
        // Other processes may not have seen the pending key in the meantime.
        *lock(&self.watched) = None;
        match merged {
            Some(merged) => self.take_over(asked, merged, bytes).await?,
            None => {
                self.note_confirmed(asked);
                self.store_copy().await;
            }
        }
        error!(
            "{loss}: THE KEYRING WAS PUT BACK from the last good copy (version {}); \
             find out who removed or changed it",
            self.known().ring.version()
        );
        Ok(PollOutcome::UpToDate)
    }

    /// Stores the keys under a key of this machine, if one is configured for offline starts.
    pub(super) async fn store_offline(&self) {
        let Some(offline) = self.custodians.offline() else {
            return;
        };
        let ring = self.known().ring.clone();
        let source = self.custodians.unwrapping();
        let wrapped = ring.wrapped();
        for (key, wraps) in &wrapped {
            let context = ring.context(key);
            // A key that this process created was never unwrapped.
            if !offline.contains(&context)
                && let Err(error) = source.unwrap(wraps, &context).await
            {
                warn!("a key of the keyring is not kept for a start without custodians: {error}");
                break;
            }
        }
        let contexts: Vec<_> = wrapped.iter().map(|(key, _)| ring.context(key)).collect();
        offline.persist(&contexts).await;
    }

    pub(super) async fn store_copy(&self) {
        self.store_offline().await;
        let Some(copy) = &self.copy else { return };
        if let Err(error) = copy.store(&self.known().bytes).await {
            warn!("the last good copy of the keyring cannot be kept: {error}");
        }
        copy.touch(self.now_ms(), true).await;
    }
}

/// Logs what a newer ring changes about the versions of the sealed format and the index key that writes.
fn report_envelopes(before: &Ring, ring: &Ring) {
    let version = ring.version();
    let writing = |ring: &Ring| ring.writing().map(|key| key.id);
    if let Some(id) = writing(ring).filter(|_| writing(ring) != writing(before)) {
        info!("keyring version {version}: index key {id} writes from now on");
    }
    let (rules, format) = (ring.envelopes().rules(), ring.format());
    if rules != before.envelopes().rules() || format != before.format() {
        info!(
            "keyring version {version}: document format {format}; version {} of the sealed format is \
             written, and {} is the oldest that opens",
            rules.write, rules.accept
        );
    }
}
