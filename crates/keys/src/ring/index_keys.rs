//! The index keys of a ring, and their changes. Exactly one of a ring in format 2 writes.

use std::sync::Arc;

use waxseal_core::{IndexKey, IndexKeyRole, KeyId};

use super::Ring;
use crate::audit::Evidence;
use crate::custodian::Custodian;
use crate::document_format::DocumentFormat;
use crate::error::{ChangeError, GuardedChange, RingError};
use crate::index_state::IndexKeyState;
use crate::keyring_document::IndexEntry;

impl Ring {
    /// All index keys, oldest first: none in format 1.
    #[must_use]
    pub fn index_keys(&self) -> &[IndexEntry] {
        &self.document.index_keys
    }

    /// An index key's entry.
    #[must_use]
    pub fn index_entry(&self, id: KeyId) -> Option<&IndexEntry> {
        self.index_keys().iter().find(|entry| entry.id == id)
    }

    /// The index keys in a state, oldest first.
    pub fn index_keys_in(&self, state: IndexKeyState) -> impl Iterator<Item = &IndexEntry> {
        let keys = self.index_keys().iter();
        keys.filter(move |entry| entry.state == state)
    }

    /// The index key that writes: exactly one in format 2, none in format 1.
    #[must_use]
    pub fn writing(&self) -> Option<&IndexEntry> {
        self.index_keys_in(IndexKeyState::Writing).next()
    }

    /// True if it opens what is under this index key.
    pub(crate) fn holds_index_key(&self, id: KeyId) -> bool {
        self.index_keys.contains_key(&id)
    }

    /// The index keys for sealers, the writing one first.
    pub(super) fn unwrapped_index_keys(&self) -> Vec<(Arc<IndexKey>, IndexKeyRole)> {
        let keys = self.index_keys().iter().filter_map(|entry| {
            let key = self.index_keys.get(&entry.id)?;
            Some((key.key.clone(), entry.state.role()?))
        });
        let mut keys: Vec<_> = keys.collect();
        // Newer ones before older ones: more is under them.
        keys.reverse();
        keys.sort_by_key(|(_, role)| *role);
        keys
    }

    /// Returns the ring with a new pending index key. Refused while another one is pending.
    pub async fn with_new_index_key(
        &self,
        custodians: &[Arc<dyn Custodian>],
        now_ms: u64,
    ) -> Result<Self, RingError> {
        if self.format() == DocumentFormat::V1 {
            return Err(ChangeError::NeedsFormat2 { what: "index keys" }.into());
        }
        self.check_no_sealed_names()?;
        if let Some(pending) = self.index_keys_in(IndexKeyState::Pending).next() {
            return Err(ChangeError::PendingIndexKey(pending.id).into());
        }
        let mut next = self.next();
        let activates = now_ms.saturating_add(self.effective_settings(now_ms).propagation_ms);
        let times = (now_ms, activates);
        next.insert_index_key(IndexKeyState::Pending, custodians, times)
            .await?;
        // Every process knows by the time at which the key may write.
        next.allow_several_forms(now_ms);
        next.authenticate();
        Ok(next)
    }

    /// Returns the ring in which this pending index key writes, and the previous one only reads. Refused before
    /// the propagation delay is over, unless `at_once`.
    pub fn with_writing(&self, id: KeyId, now_ms: u64, at_once: bool) -> Result<Self, ChangeError> {
        let entry = self.index_key(id)?;
        if entry.activates > now_ms && !at_once && entry.state == IndexKeyState::Pending {
            let left_s = (entry.activates - now_ms).div_ceil(1000);
            return Err(ChangeError::EarlyIndexKey { id, left_s });
        }
        self.check_no_sealed_names()?;
        let previous = self.writing().map(|previous| previous.id);
        let mut next = self.next();
        // Checked first: the old key stops writing only for a key that may write.
        next.index_transition(id, IndexKeyState::Writing, now_ms)?;
        if let Some(previous) = previous {
            next.index_transition(previous, IndexKeyState::Reading, now_ms)?;
        }
        next.authenticate();
        Ok(next)
    }

    /// Returns the ring in which this index key, which only reads, is destroyed. Refused until an audit that
    /// began after the last process must have stopped writing under it has found nothing under it.
    pub fn with_destroyed_index_key(
        &self,
        id: KeyId,
        now_ms: u64,
        evidence: Evidence<'_>,
    ) -> Result<Self, ChangeError> {
        let entry = self.index_key(id)?;
        if entry.state == IndexKeyState::Writing {
            return Err(ChangeError::Writing(id));
        }
        let mut next = self.next();
        next.index_transition(id, IndexKeyState::Destroyed, now_ms)?;
        let change = GuardedChange::DestroyIndexKey(id);
        let from_ms = entry.changed.saturating_add(self.lapse_ms(now_ms));
        self.check_proven(change, from_ms, now_ms, evidence, |audit, scopes| {
            audit.gap_for_key(id, scopes)
        })?;
        next.authenticate();
        Ok(next)
    }

    /// The entry of an index key.
    pub(crate) fn index_key(&self, id: KeyId) -> Result<&IndexEntry, ChangeError> {
        self.index_entry(id).ok_or(ChangeError::NoIndexKey(id))
    }

    fn index_transition(
        &mut self,
        id: KeyId,
        to: IndexKeyState,
        now_ms: u64,
    ) -> Result<(), ChangeError> {
        let mut keys = self.document.index_keys.iter_mut();
        let entry = keys.find(|entry| entry.id == id);
        let entry = entry.ok_or(ChangeError::NoIndexKey(id))?;
        if !entry.state.may_become(to) {
            let from = entry.state;
            return Err(ChangeError::IndexTransition { id, from, to });
        }
        entry.state = to;
        entry.changed = now_ms;
        if to == IndexKeyState::Destroyed {
            entry.wraps = Vec::new();
            self.index_keys.remove(&id);
        }
        Ok(())
    }
}
