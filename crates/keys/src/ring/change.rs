//! The changes of a ring: each checks its conditions and returns the ring of the next version.

use std::sync::Arc;

use waxseal_core::{KeyId, SecretKey};

use super::Ring;
use crate::custodian::Custodian;
use crate::error::{ChangeError, RingError};
use crate::keyring_document::{Entry, Erasure, PreviousTimes};
use crate::settings::Settings;
use crate::state::KeyState;

impl Ring {
    /// Returns the ring with a new pending key. Refused while another one is pending.
    pub async fn with_new_key(
        &self,
        custodians: &[Arc<dyn Custodian>],
        now_ms: u64,
    ) -> Result<Self, RingError> {
        if let Some(pending) = self.in_state(KeyState::Pending).next() {
            return Err(ChangeError::Pending(pending.id).into());
        }
        let mut next = self.next();
        let key = SecretKey::generate()?;
        let activates = now_ms.saturating_add(self.effective_settings(now_ms).propagation_ms);
        let (id, state) = (self.free_id(), (KeyState::Pending, false));
        next.insert(id, &key, custodians, state, (now_ms, activates))
            .await?;
        next.authenticate();
        Ok(next)
    }

    /// Returns the ring in which this pending key seals, and the previous sealing key is decrypt-only.
    /// Refused before the propagation delay is over, unless `at_once`.
    pub fn with_sealing(&self, id: KeyId, now_ms: u64, at_once: bool) -> Result<Self, ChangeError> {
        let entry = self.data_key(id)?;
        if entry.activates > now_ms && !at_once && entry.state == KeyState::Pending {
            let left_s = (entry.activates - now_ms).div_ceil(1000);
            return Err(ChangeError::Early { id, left_s });
        }
        let previous = self.sealing().id;
        let mut next = self.next();
        // Checked first: the old key stops sealing only for a key that may seal.
        next.transition(id, KeyState::Sealing, now_ms)?;
        next.transition(previous, KeyState::DecryptOnly, now_ms)?;
        next.authenticate();
        Ok(next)
    }

    /// Returns the ring in which this key is archived: nothing was found under it.
    pub fn with_archived(&self, id: KeyId, now_ms: u64) -> Result<Self, ChangeError> {
        self.changed(id, KeyState::Archived, now_ms)
    }

    /// Returns the ring in which this key is destroyed: only its id and its dates are left.
    pub fn with_destroyed(&self, id: KeyId, now_ms: u64) -> Result<Self, ChangeError> {
        self.changed(id, KeyState::Destroyed, now_ms)
    }

    /// Returns the ring in which this key is compromised: it opens values only on request. The sealing key
    /// must be replaced first.
    pub fn with_compromised(&self, id: KeyId, now_ms: u64) -> Result<Self, ChangeError> {
        self.changed(id, KeyState::Compromised, now_ms)
    }

    /// Returns the ring with a user in the ledger, by the user's keyed hash; counted again for a user who is
    /// there already.
    #[must_use]
    pub fn with_erasure(&self, user: &str, now_ms: u64) -> Self {
        let mut next = self.next();
        let erased = &mut next.document.erased;
        match erased.binary_search_by(|erasure| erasure.user.as_str().cmp(user)) {
            Ok(index) => {
                if let Some(erasure) = erased.get_mut(index) {
                    erasure.at = now_ms;
                    erasure.epoch = erasure.epoch.saturating_add(1);
                }
            }
            Err(index) => erased.insert(
                index,
                Erasure {
                    user: user.to_owned(),
                    at: now_ms,
                    epoch: 1,
                },
            ),
        }
        next.authenticate();
        next
    }

    /// Returns the ring with other settings. Processes that have not seen them use the old ones, so lowered
    /// times apply to leaders only after the old retention time, unless `at_once`.
    pub fn with_settings(
        &self,
        settings: Settings,
        now_ms: u64,
        at_once: bool,
    ) -> Result<Self, ChangeError> {
        let settings = settings.checked()?;
        let effective = self.effective_settings(now_ms);
        let lowered = settings.propagation_ms < effective.propagation_ms
            || settings.refresh_ms < effective.refresh_ms
            || settings.retention_ms < effective.retention_ms;
        let mut next = self.next();
        next.document.rotation = settings;
        next.document.previous = (lowered && !at_once).then(|| PreviousTimes {
            propagation_ms: effective.propagation_ms,
            refresh_ms: effective.refresh_ms,
            retention_ms: effective.retention_ms,
            until: now_ms.saturating_add(effective.retention_ms),
        });
        next.authenticate();
        Ok(next)
    }

    /// Returns the change as made by the leader with this token. Refused if a later leader has written.
    pub fn by_leader(mut self, token: u64) -> Result<Self, ChangeError> {
        if self.document.fence > token {
            return Err(ChangeError::Fenced);
        }
        self.document.fence = token;
        self.authenticate();
        Ok(self)
    }

    fn changed(&self, id: KeyId, to: KeyState, now_ms: u64) -> Result<Self, ChangeError> {
        if self.data_key(id)?.id == self.sealing().id {
            return Err(ChangeError::Sealing(id));
        }
        let mut next = self.next();
        next.transition(id, to, now_ms)?;
        next.authenticate();
        Ok(next)
    }

    /// The entry of a data key.
    pub(crate) fn data_key(&self, id: KeyId) -> Result<&Entry, ChangeError> {
        self.entry(id).ok_or(match self.index_entry(id) {
            Some(_) => ChangeError::IndexKey(id),
            None => ChangeError::NoKey(id),
        })
    }

    /// Returns a copy with the next version. The caller computes its authentication code.
    pub(super) fn next(&self) -> Self {
        let mut next = self.clone();
        next.is_repaired = false;
        next.document.version = self.document.version.saturating_add(1);
        next
    }

    fn transition(&mut self, id: KeyId, to: KeyState, now_ms: u64) -> Result<(), ChangeError> {
        let mut keys = self.document.keys.iter_mut();
        let entry: &mut Entry = keys
            .find(|entry| entry.id == id)
            .ok_or(ChangeError::NoKey(id))?;
        if !entry.state.may_become(to) {
            let from = entry.state;
            return Err(ChangeError::Transition { id, from, to });
        }
        entry.state = to;
        entry.changed = now_ms;
        if to == KeyState::Destroyed {
            entry.wraps = Vec::new();
            self.keys.remove(&id);
        }
        Ok(())
    }
}
