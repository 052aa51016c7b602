//! What becomes of each key and when: decided from the ring, the time and what is known about the
//! values, and nothing else. Carried out above.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use waxseal_core::KeyId;

use crate::keyring_document::{Entry, ProtectedScope};
use crate::ring::Ring;
use crate::state::KeyState;

/// How long after a sweep that left values under an old key the next one begins, in refresh
/// intervals.
const BETWEEN_SWEEPS: u64 = 10;

/// A step of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Publish a new key, after this one.
    Add(KeyId),
    /// Let a pending key seal.
    Promote(KeyId),
    /// Bring everything under the sealing key, and count what is left under others.
    Sweep,
    /// Put a key aside under which nothing was found.
    Archive(KeyId),
    /// Give a key up.
    Destroy(KeyId),
}

/// What a decision needs to know besides the ring.
#[derive(Clone, Debug, Default)]
pub struct Facts<'a> {
    /// The time, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// How many values were sealed under the sealing key, by all processes together.
    pub seals: u64,
    /// For how long this process has seen the pending key in the ring, by a clock that only runs
    /// forward. `None` for a process that has not watched: then the document's times alone decide.
    pub pending_watched: Option<Duration>,
    /// The newest audit.
    pub audit: Option<&'a Audit>,
}

/// What an audit of the protected records found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// When it began, in milliseconds since the Unix epoch.
    pub began_ms: u64,
    /// Values under each key, by the key's id.
    pub values: BTreeMap<String, u64>,
    /// Values that the pass before it brought from each key under the sealing one, by the key's id.
    #[serde(default)]
    pub resealed: BTreeMap<String, u64>,
    /// Values in quarantine under each key, by the key's id: they open again if they are put back.
    #[serde(default)]
    pub quarantined: BTreeMap<String, u64>,
    /// Protected records of other processes that it could not look at.
    pub uncovered: Vec<ProtectedScope>,
    /// Values that do not open, and do not name their key.
    pub unreadable: u64,
    /// Records that could not be read, or not to their end: whatever key they are under.
    #[serde(default)]
    pub unseen: u64,
    /// Whether the classic format, whose values name no key, is written or was found.
    pub classic: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationPlan {
    /// The step that is due now.
    pub due: Option<Step>,
    /// The next steps and when they are due, the soonest first.
    pub upcoming: Vec<(Step, u64)>,
    /// What keeps keys from being retired.
    pub blocked: Vec<Block>,
}

/// What keeps a key from being retired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// There are still values under it.
    InUse {
        /// The key.
        id: KeyId,
        /// How many.
        values: u64,
    },
    /// There are values in quarantine under it.
    Quarantined {
        /// The key.
        id: KeyId,
        /// How many.
        values: u64,
    },
    /// Records that another process protects were not looked at.
    Uncovered {
        /// The key.
        id: KeyId,
        /// Which records.
        protected_scope: ProtectedScope,
    },
    /// There are values that might be under it and cannot be opened.
    Unreadable {
        /// The key.
        id: KeyId,
        /// How many.
        values: u64,
    },
}

/// The pending key that seals next, once it is known long enough: the newest, of several with one time
/// that with the greatest id.
#[must_use]
pub fn next_to_seal(ring: &Ring) -> Option<&Entry> {
    let pending = ring.in_state(KeyState::Pending);
    pending.max_by_key(|entry| (entry.activates, entry.id))
}

/// What is to be done about a ring.
#[must_use]
pub fn plan(ring: &Ring, facts: &Facts<'_>) -> RotationPlan {
    let mut plan = RotationPlan {
        due: None,
        upcoming: Vec::new(),
        blocked: Vec::new(),
    };
    plan.exchange(ring, facts);
    for entry in ring.keys() {
        match entry.state {
            KeyState::DecryptOnly => plan.retire(ring, facts, entry, Retirement::Archive),
            KeyState::Archived => plan.retire(ring, facts, entry, Retirement::Destroy),
            _ => {}
        }
    }
    plan.upcoming.sort_by_key(|(_, at)| *at);
    plan.upcoming.dedup();
    plan
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Retirement {
    Archive,
    Destroy,
}

impl RotationPlan {
    /// The first step that is due is the one that is done; the others come up again.
    fn at(&mut self, step: Step, at_ms: u64, now_ms: u64) {
        if at_ms > now_ms {
            self.upcoming.push((step, at_ms));
        } else {
            self.due = self.due.or(Some(step));
        }
    }

    /// The exchange of the sealing key: add, wait, promote.
    fn exchange(&mut self, ring: &Ring, facts: &Facts<'_>) {
        let settings = ring.effective_settings(facts.now_ms);
        if let Some(pending) = next_to_seal(ring) {
            let watched = facts.pending_watched.map_or(u64::MAX, millis);
            let missing = settings.propagation_ms.saturating_sub(watched);
            let at = pending.activates.max(facts.now_ms.saturating_add(missing));
            self.at(Step::Promote(pending.id), at, facts.now_ms);
            return;
        }
        let sealing = ring.sealing();
        if facts.seals >= settings.seals {
            self.at(Step::Add(sealing.id), facts.now_ms, facts.now_ms);
        } else if let Some(every) = settings.every_ms {
            let at = sealing.created.saturating_add(every);
            self.at(Step::Add(sealing.id), at, facts.now_ms);
        }
    }

    /// The way out of a key that does not seal any more.
    fn retire(&mut self, ring: &Ring, facts: &Facts<'_>, entry: &Entry, way: Retirement) {
        let settings = ring.effective_settings(facts.now_ms);
        let id = entry.id;
        let (wait, step) = match way {
            // Processes that are behind may still seal under it.
            Retirement::Archive => (settings.settling_ms(), Step::Archive(id)),
            Retirement::Destroy => (settings.retention_ms, Step::Destroy(id)),
        };
        let ready = entry.changed.saturating_add(wait);
        if ready > facts.now_ms {
            let upcoming = match way {
                Retirement::Archive => Step::Sweep,
                Retirement::Destroy => step,
            };
            self.at(upcoming, ready, facts.now_ms);
            return;
        }
        let Some(audit) = facts.audit.filter(|audit| audit.began_ms >= ready) else {
            self.at(Step::Sweep, ready, facts.now_ms);
            return;
        };
        let again = settings.refresh_ms.saturating_mul(BETWEEN_SWEEPS);
        let again = audit.began_ms.saturating_add(again);
        let blocks = audit.blocks(ring, entry);
        let found = audit.resealed.get(&id.to_string()).copied();
        if blocks.is_empty() && way == Retirement::Destroy && found.is_some_and(|it| it > 0) {
            // The server may lose what was brought away a moment ago: looked at once more, later.
            let later = audit.began_ms.saturating_add(settings.settling_ms());
            self.at(Step::Sweep, later, facts.now_ms);
        } else if blocks.is_empty() {
            self.at(step, facts.now_ms, facts.now_ms);
        } else {
            self.blocked.extend(blocks);
            self.at(Step::Sweep, again, facts.now_ms);
        }
    }
}

impl Audit {
    /// What it found that keeps this key from being retired.
    #[must_use]
    pub fn blocks(&self, ring: &Ring, entry: &Entry) -> Vec<Block> {
        let id = entry.id;
        let mut blocks = Vec::new();
        let values = self
            .values
            .get(&id.to_string())
            .copied()
            .unwrap_or_default();
        if values > 0 {
            blocks.push(Block::InUse { id, values });
        }
        let quarantined = self.quarantined.get(&id.to_string()).copied();
        if let Some(values) = quarantined.filter(|values| *values > 0) {
            blocks.push(Block::Quarantined { id, values });
        }
        let nameless = match self.classic || entry.adopted {
            true => self.unreadable,
            false => 0,
        };
        let values = nameless.saturating_add(self.unseen);
        if values > 0 {
            blocks.push(Block::Unreadable { id, values });
        }
        let known = self.uncovered.iter();
        for protected_scope in
            known.filter(|protected_scope| ring.protected_scopes().contains(protected_scope))
        {
            blocks.push(Block::Uncovered {
                id,
                protected_scope: protected_scope.clone(),
            });
        }
        blocks
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
