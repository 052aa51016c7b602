//! The rotation plan: which key changes its state, and when. Decided from the ring, the time and what is
//! known about the values, and nothing else. Carried out above.
//!
//! ```text
//! Add ─► pending ──propagation──► Promote ─► sealing ──age or count──► (the next Add)
//!                                               │ when the next key seals
//!                                               ▼
//!           Destroy ◄──retention── archived ◄──settling, clean sweep── decrypt-only
//! ```
//!
//! `Archive` and `Destroy` need an audit that began after the wait was over and found nothing under the
//! key; until then the step is another `Sweep`.

use std::time::Duration;

use waxseal_core::KeyId;

pub use crate::audit::{Audit, AuditGap, Evidence};
use crate::clock::millis;
use crate::keyring_document::Entry;
use crate::protected_scope::ProtectedScope;
use crate::ring::Ring;
use crate::state::KeyState;

/// The time until the next sweep after one that left values under an old key, in refresh intervals.
const SWEEP_INTERVALS: u64 = 10;

/// A step of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Publish a new key that is to follow this one.
    Add(KeyId),
    /// Let a pending key seal.
    Promote(KeyId),
    /// Reseal everything under the sealing key, and count what is left under others.
    Sweep,
    /// Archive a key under which nothing was found.
    Archive(KeyId),
    /// Destroy a key.
    Destroy(KeyId),
}

/// The facts that a decision needs besides the ring.
#[derive(Clone, Debug, Default)]
pub struct Facts<'a> {
    /// The time, in milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// The number of values sealed under the sealing key, by all processes together.
    pub seals: u64,
    /// The time for which this process has seen the pending key in the ring, by a monotonic clock. `None` for a
    /// process that has not watched: then the document's times alone decide.
    pub pending_watched: Option<Duration>,
    /// The newest audit.
    pub audit: Option<&'a Audit>,
}

/// The steps of a rotation that are due or expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationPlan {
    /// The step that is due now.
    pub due: Option<Step>,
    /// The next steps with their times, the soonest first.
    pub upcoming: Vec<(Step, u64)>,
    /// The reasons why keys cannot be retired.
    pub blocked: Vec<Block>,
}

/// A reason why a key cannot be retired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Block {
    /// Values are still under it.
    InUse {
        /// The key.
        id: KeyId,
        /// Their number.
        values: u64,
    },
    /// Values in quarantine are under it.
    Quarantined {
        /// The key.
        id: KeyId,
        /// Their number.
        values: u64,
    },
    /// Records that another process protects were not checked.
    Uncovered {
        /// The key.
        id: KeyId,
        /// The records.
        protected_scope: ProtectedScope,
    },
    /// Values that cannot be opened might be under it.
    Unreadable {
        /// The key.
        id: KeyId,
        /// Their number.
        values: u64,
    },
}

/// The pending key that seals next: the newest, or of several with the same time the one with the greatest
/// id.
#[must_use]
pub fn next_to_seal(ring: &Ring) -> Option<&Entry> {
    let pending = ring.in_state(KeyState::Pending);
    pending.max_by_key(|entry| (entry.activates, entry.id))
}

/// Plans the rotation of a ring.
#[must_use]
pub fn plan(ring: &Ring, facts: &Facts<'_>) -> RotationPlan {
    let mut plan = RotationPlan {
        due: None,
        upcoming: Vec::new(),
        blocked: Vec::new(),
    };
    plan.replace_sealing_key(ring, facts);
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
    /// Adds a step. Of several due steps the first is carried out; the next plan contains the others again.
    fn add(&mut self, step: Step, at_ms: u64, now_ms: u64) {
        if at_ms > now_ms {
            self.upcoming.push((step, at_ms));
        } else {
            self.due = self.due.or(Some(step));
        }
    }

    /// Plans the replacement of the sealing key: add, wait, promote.
    fn replace_sealing_key(&mut self, ring: &Ring, facts: &Facts<'_>) {
        let settings = ring.effective_settings(facts.now_ms);
        if let Some(pending) = next_to_seal(ring) {
            let watched = facts.pending_watched.map_or(u64::MAX, millis);
            let missing = settings.propagation_ms.saturating_sub(watched);
            let at = pending.activates.max(facts.now_ms.saturating_add(missing));
            self.add(Step::Promote(pending.id), at, facts.now_ms);
            return;
        }
        let sealing = ring.sealing();
        if facts.seals >= settings.seals {
            self.add(Step::Add(sealing.id), facts.now_ms, facts.now_ms);
        } else if let Some(every) = settings.every_ms {
            let at = sealing.created.saturating_add(every);
            self.add(Step::Add(sealing.id), at, facts.now_ms);
        }
    }

    /// Plans the retirement of a key that no longer seals.
    fn retire(&mut self, ring: &Ring, facts: &Facts<'_>, entry: &Entry, retirement: Retirement) {
        let settings = ring.effective_settings(facts.now_ms);
        let id = entry.id;
        let (wait, step) = match retirement {
            // Processes with an older document may still seal under it.
            Retirement::Archive => (settings.settling_ms(), Step::Archive(id)),
            Retirement::Destroy => (settings.retention_ms, Step::Destroy(id)),
        };
        let ready = entry.changed.saturating_add(wait);
        if ready > facts.now_ms {
            let step = match retirement {
                Retirement::Archive => Step::Sweep,
                Retirement::Destroy => step,
            };
            self.add(step, ready, facts.now_ms);
            return;
        }
        let Some(audit) = facts.audit.filter(|audit| audit.began_ms >= ready) else {
            self.add(Step::Sweep, ready, facts.now_ms);
            return;
        };
        let pause_ms = settings.refresh_ms.saturating_mul(SWEEP_INTERVALS);
        let next_sweep = audit.began_ms.saturating_add(pause_ms);
        let blocks = audit.blocks(ring, entry);
        let resealed = audit.resealed.get(&id.to_string()).copied();
        if blocks.is_empty()
            && retirement == Retirement::Destroy
            && resealed.is_some_and(|count| count > 0)
        {
            // The server may lose writes of a moment ago: swept once more, later.
            let repeat = audit.began_ms.saturating_add(settings.settling_ms());
            self.add(Step::Sweep, repeat, facts.now_ms);
        } else if blocks.is_empty() {
            self.add(step, facts.now_ms, facts.now_ms);
        } else {
            self.blocked.extend(blocks);
            self.add(Step::Sweep, next_sweep, facts.now_ms);
        }
    }
}

impl Audit {
    /// Its results that keep this key from being retired.
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
        // Of records whose names were sealed before there was a keyring.
        if let Some(values) = self.names_under(id).filter(|names| *names > 0) {
            blocks.push(Block::InUse { id, values });
        }
        let quarantined = self.quarantined.get(&id.to_string()).copied();
        if let Some(values) = quarantined.filter(|values| *values > 0) {
            blocks.push(Block::Quarantined { id, values });
        }
        let unnamed = match self.classic || entry.adopted {
            true => self.unreadable,
            false => 0,
        };
        let values = unnamed.saturating_add(self.unseen);
        if values > 0 {
            blocks.push(Block::Unreadable { id, values });
        }
        let of_ring = ring.protected_scopes();
        let is_known = |scope: &&ProtectedScope| of_ring.iter().any(|it| it.is_same_as(scope));
        for protected_scope in self.uncovered.iter().filter(is_known) {
            blocks.push(Block::Uncovered {
                id,
                protected_scope: protected_scope.clone(),
            });
        }
        blocks
    }
}
