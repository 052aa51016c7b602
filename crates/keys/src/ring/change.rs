//! The changes of a ring: each checks its conditions and returns the ring of the next version.

use std::collections::HashSet;
use std::sync::Arc;

use waxseal_core::{KeyId, SecretKey};

use super::Ring;
use crate::custodian::Custodian;
use crate::error::{ChangeError, RingError};
use crate::keyring_document::{Entry, Erasure, PreviousTimes, ProtectedScope};
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
        let entry = self.entry(id).ok_or(ChangeError::NoKey(id))?;
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

    /// Returns the ring with these protected records registered; `None` if they all are.
    #[must_use]
    pub fn with_protected_scopes(&self, scopes: &[ProtectedScope]) -> Option<Self> {
        let is_missing = |scope: &&ProtectedScope| !self.protected_scopes().contains(scope);
        let missing: Vec<_> = scopes.iter().filter(is_missing).cloned().collect();
        if missing.is_empty() {
            return None;
        }
        let mut next = self.next();
        next.document.protects.extend(missing);
        next.document.protects.sort();
        next.document.protects.dedup();
        next.authenticate();
        Some(next)
    }

    /// Returns the ring without these protected records: nothing of them needs its keys any more.
    #[must_use]
    pub fn without_protected_scope(&self, scope: &ProtectedScope) -> Option<Self> {
        if !self.protected_scopes().contains(scope) {
            return None;
        }
        let mut next = self.next();
        next.document.protects.retain(|other| other != scope);
        next.authenticate();
        Some(next)
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

    /// Returns the ring with the keys, the erasures and the marks of compromised keys that another document
    /// of it has and this one lacks; `None` if it lacks none. None of them ever leaves a ring, so a store
    /// that lacks one has lost a write, as a server does that fails over. A key that returns this way is
    /// decrypt-only.
    #[must_use]
    pub fn merged_with(&self, other: &Self, now_ms: u64) -> Option<Self> {
        let keys = other.keys().iter();
        let keys: Vec<_> = keys.filter(|key| self.entry(key.id).is_none()).collect();
        let newer = |erasure: &&Erasure| {
            let here = self.erasure(&erasure.user);
            here.is_none_or(|here| here.epoch < erasure.epoch)
        };
        let erasures: Vec<_> = other.erasures().iter().filter(newer).collect();
        let is_compromised = |key: &&Entry| {
            let here = self.entry(key.id).map(|here| here.state);
            key.state == KeyState::Compromised
                && here.is_some_and(|here| {
                    here != KeyState::Sealing && here.may_become(KeyState::Compromised)
                })
        };
        let compromised = other.keys().iter().filter(is_compromised);
        let compromised: Vec<KeyId> = compromised.map(|key| key.id).collect();
        if keys.is_empty() && erasures.is_empty() && compromised.is_empty() {
            return None;
        }
        let mut merged = self.clone();
        let version = self.version().max(other.version());
        merged.document.version = version.saturating_add(1);
        for entry in keys {
            let state = match entry.state {
                KeyState::Pending | KeyState::Sealing => KeyState::DecryptOnly,
                other => other,
            };
            merged.document.keys.push(Entry {
                state,
                changed: now_ms,
                ..entry.clone()
            });
            if let Some(key) = other.keys.get(&entry.id) {
                merged.keys.insert(entry.id, key.clone());
            }
        }
        for entry in &mut merged.document.keys {
            if compromised.contains(&entry.id) {
                entry.state = KeyState::Compromised;
                entry.changed = now_ms;
            }
        }
        merged.document.keys.sort_by_key(|entry| entry.created);
        let erased = &mut merged.document.erased;
        let users: HashSet<&str> = erasures.iter().map(|it| it.user.as_str()).collect();
        erased.retain(|here| !users.contains(here.user.as_str()));
        erased.extend(erasures.into_iter().cloned());
        erased.sort_by(|a, b| a.user.cmp(&b.user));
        merged.authenticate();
        Some(merged)
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
        if self.sealing().id == id {
            return Err(ChangeError::Sealing(id));
        }
        let mut next = self.next();
        next.transition(id, to, now_ms)?;
        next.authenticate();
        Ok(next)
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
