//! Merging two documents of one ring: what never leaves a ring is put back where a store has lost it, as a
//! server does that fails over.
//!
//! One document wins: its settings, its states and its protected records are kept. Added to it are keys,
//! erasures and marks of compromised keys that only the other one has. Three rules belong to format 2:
//!
//! - Index keys never leave a ring either. A document of format 1 that lacks some becomes one of format 2,
//!   unless it has them as destroyed keys: then the ring was returned to format 1 on purpose.
//! - Members in one form are believed only if neither an index key nor the knowledge of other forms was lost.
//! - Versions of the sealed format follow the winner. But if the other document has changed them later, the
//!   winner has lost that change: what waits for the last change waits from now, and if the other one accepts
//!   version 2, values may be in it, and the winner accepts it again.

use std::collections::HashSet;

use waxseal_core::{EnvelopeVersion, KeyId};

use super::Ring;
use super::format::tombstone;
use crate::clock::{MAX_OFFSET, millis};
use crate::document_format::DocumentFormat;
use crate::envelope_settings::EnvelopeSettings;
use crate::index_state::IndexKeyState;
use crate::keyring_document::{Entry, Erasure, IndexEntry};
use crate::state::KeyState;

/// What a document lacks that another one of the ring has.
struct Lacking<'a> {
    keys: Vec<&'a Entry>,
    index_keys: Vec<&'a IndexEntry>,
    erasures: Vec<&'a Erasure>,
    compromised: Vec<KeyId>,
    /// A later change of the versions of the sealed format.
    versions: Option<LostChange>,
    /// It has members in one form, of which the other one knows other forms.
    forms: bool,
}

/// What a change of the versions of the sealed format, which a document lost, means for it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LostChange {
    /// What waits for the last change waits again.
    Waits,
    /// Values in version 2 may have been written since, which it refuses.
    AcceptsAgain,
}

impl Lacking<'_> {
    fn is_nothing(&self) -> bool {
        self.keys.is_empty()
            && self.index_keys.is_empty()
            && self.erasures.is_empty()
            && self.compromised.is_empty()
            && self.versions.is_none()
            && !self.forms
    }
}

impl Ring {
    /// Returns the ring with the keys, the erasures and the marks of compromised keys that another document
    /// of it has and this one lacks; `None` if it lacks none. None of them ever leaves a ring, so a store
    /// that lacks one has lost a write, as a server does that fails over. A key that returns this way is
    /// decrypt-only; an index key only reads if another one writes.
    #[must_use]
    pub fn merged_with(&self, other: &Self, now_ms: u64) -> Option<Self> {
        let lacking = self.lacking(other, now_ms);
        if lacking.is_nothing() {
            return None;
        }
        let mut merged = self.clone();
        let version = self.version().max(other.version());
        merged.document.version = version.saturating_add(1);
        merged.add_keys(&lacking.keys, other, now_ms);
        merged.add_index_keys(&lacking.index_keys, other, now_ms);
        if lacking.forms || !lacking.index_keys.is_empty() {
            merged.allow_several_forms(now_ms);
        }
        if let Some(lost) = lacking.versions {
            merged.follow_lost_change(lost, other, now_ms);
        }
        for entry in &mut merged.document.keys {
            if lacking.compromised.contains(&entry.id) {
                entry.state = KeyState::Compromised;
                entry.changed = now_ms;
            }
        }
        merged.document.keys.sort_by_key(|entry| entry.created);
        let erasures = lacking.erasures;
        let erased = &mut merged.document.erased;
        let users: HashSet<&str> = erasures.iter().map(|it| it.user.as_str()).collect();
        erased.retain(|here| !users.contains(here.user.as_str()));
        erased.extend(erasures.into_iter().cloned());
        erased.sort_by(|a, b| a.user.cmp(&b.user));
        merged.authenticate();
        Some(merged)
    }

    fn lacking<'a>(&self, other: &'a Self, now_ms: u64) -> Lacking<'a> {
        let is_unknown = |id| self.entry(id).is_none() && self.index_entry(id).is_none();
        let keys = other.keys().iter().filter(|key| is_unknown(key.id));
        let index_keys = other.index_keys().iter();
        let newer = |erasure: &&Erasure| {
            let here = self.erasure(&erasure.user);
            here.is_none_or(|here| here.epoch < erasure.epoch)
        };
        let is_compromised = |key: &&Entry| {
            let here = self.entry(key.id).map(|here| here.state);
            key.state == KeyState::Compromised
                && here.is_some_and(|here| {
                    here != KeyState::Sealing && here.may_become(KeyState::Compromised)
                })
        };
        let compromised = other.keys().iter().filter(is_compromised);
        Lacking {
            keys: keys.collect(),
            index_keys: index_keys.filter(|key| is_unknown(key.id)).collect(),
            erasures: other.erasures().iter().filter(newer).collect(),
            compromised: compromised.map(|key| key.id).collect(),
            versions: self.lost_change(other, now_ms),
            forms: self.lacks_several_forms(other),
        }
    }

    /// The change of the versions of the sealed format that the other document has and this one lost.
    fn lost_change(&self, other: &Self, now_ms: u64) -> Option<LostChange> {
        let here = self.document.envelopes?;
        let refuses = here.accept > EnvelopeVersion::V2;
        match other.document.envelopes {
            Some(there) if there.since <= here.since || !is_possible(there.since, now_ms) => None,
            Some(there) if refuses && there.accept == EnvelopeVersion::V2 => {
                Some(LostChange::AcceptsAgain)
            }
            Some(_) => Some(LostChange::Waits),
            // It was returned to format 1 from a document with these index keys, and that was lost.
            None => {
                let live = self.index_keys().iter();
                let live = live.filter(|key| key.state != IndexKeyState::Destroyed);
                let returned = live.filter_map(|key| other.entry(key.id));
                let returned = returned.map(|there| there.changed).max()?;
                let is_later = returned > here.since && is_possible(returned, now_ms);
                match refuses {
                    true => Some(LostChange::AcceptsAgain),
                    false => is_later.then_some(LostChange::Waits),
                }
            }
        }
    }

    fn add_keys(&mut self, keys: &[&Entry], other: &Self, now_ms: u64) {
        for entry in keys {
            let state = match entry.state {
                KeyState::Pending | KeyState::Sealing => KeyState::DecryptOnly,
                other => other,
            };
            self.document.keys.push(Entry {
                state,
                changed: now_ms,
                ..(*entry).clone()
            });
            if let Some(key) = other.keys.get(&entry.id) {
                self.keys.insert(entry.id, key.clone());
            }
        }
    }

    fn add_index_keys(&mut self, keys: &[&IndexEntry], other: &Self, now_ms: u64) {
        let is_destroyed = |key: &&IndexEntry| key.state == IndexKeyState::Destroyed;
        if self.format() == DocumentFormat::V1 && keys.iter().copied().all(|it| is_destroyed(&it)) {
            let tombstones = keys.iter().map(|key| tombstone(key, now_ms));
            self.document.keys.extend(tombstones);
            return;
        }
        let writing = match self.writing() {
            Some(here) => Some(here.id),
            None => next_to_write(keys),
        };
        for entry in keys {
            let state = match entry.state {
                _ if Some(entry.id) == writing => IndexKeyState::Writing,
                IndexKeyState::Pending | IndexKeyState::Writing => IndexKeyState::Reading,
                other => other,
            };
            let changed = match state == entry.state {
                true => entry.changed,
                false => now_ms,
            };
            self.document.index_keys.push(IndexEntry {
                state,
                changed,
                ..(*entry).clone()
            });
            if let Some(key) = other.index_keys.get(&entry.id) {
                self.index_keys.insert(entry.id, key.clone());
            }
        }
        let index_keys = &mut self.document.index_keys;
        index_keys.sort_by_key(|entry| entry.created);
        if self.format() == DocumentFormat::V1 {
            self.document.format = DocumentFormat::V2;
            self.document.envelopes = Some(other.envelopes());
            // Processes that knew it in format 1 wrote version 2.
            self.follow_lost_change(LostChange::AcceptsAgain, other, now_ms);
        }
    }

    /// Lets what waits for the last change of versions wait from now on, and accepts version 2 again if values
    /// may be in it.
    fn follow_lost_change(&mut self, lost: LostChange, other: &Self, now_ms: u64) {
        let here = self.envelopes();
        let times = [here.since, other.envelopes().since];
        let times = times
            .into_iter()
            .filter(|since| is_possible(*since, now_ms));
        let latest = times.max().map_or(now_ms, |since| since.saturating_add(1));
        self.document.envelopes = Some(EnvelopeSettings {
            accept: match lost {
                LostChange::AcceptsAgain => EnvelopeVersion::V2,
                LostChange::Waits => here.accept,
            },
            since: latest.max(now_ms),
            ..here
        });
    }
}

/// True if a correct clock can have written a time.
fn is_possible(at_ms: u64, now_ms: u64) -> bool {
    at_ms <= now_ms.saturating_add(millis(MAX_OFFSET))
}

/// The key that is to write where no other one does: the writing one, else the newest pending one, else
/// the newest that reads.
fn next_to_write(keys: &[&IndexEntry]) -> Option<KeyId> {
    let rank = |state| match state {
        IndexKeyState::Writing => 3,
        IndexKeyState::Pending => 2,
        IndexKeyState::Reading => 1,
        IndexKeyState::Destroyed => 0,
    };
    let newest = keys
        .iter()
        .max_by_key(|key| (rank(key.state), key.activates, key.id));
    newest.map(|key| key.id)
}
