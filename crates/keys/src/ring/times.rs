//! Times in a ring's document that no right clock can have written: found, and set right.

use waxseal_core::KeyId;

use super::Ring;
use crate::clock::{MAX_OFFSET, millis};
use crate::keyring_document::KeyringDocument;
use crate::state::KeyState;

/// A time in a ring's document that no right clock can have written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongTime {
    /// The key that it is about; `None` for the times of the rotation.
    pub key: Option<KeyId>,
    /// What should have happened, or is to happen, at that time.
    pub what: &'static str,
    /// The time, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// What it would be now.
    pub instead_ms: u64,
}

impl Ring {
    /// The times of the document that are too far in the future, seen from now.
    #[must_use]
    pub fn wrong_times(&self, now_ms: u64) -> Vec<WrongTime> {
        let mut document = self.document.clone();
        repair(&mut document, now_ms)
    }

    /// The ring with these times set to the nearest that can be right; `None` where all can be.
    #[must_use]
    pub fn with_repaired_times(&self, now_ms: u64) -> Option<Self> {
        let mut next = self.next();
        let wrong = repair(&mut next.document, now_ms);
        if wrong.is_empty() {
            return None;
        }
        next.authenticate();
        Some(next)
    }
}

/// Sets every wrong time right, and returns what was wrong.
fn repair(document: &mut KeyringDocument, now_ms: u64) -> Vec<WrongTime> {
    let latest = now_ms.saturating_add(millis(MAX_OFFSET));
    let longer = document.previous.as_ref();
    let held = longer.map_or(0, |it| it.propagation_ms);
    let propagation = document.rotation.propagation_ms.max(held);
    let mut wrong = Vec::new();
    let mut set = |key, what, time: &mut u64, most: u64, instead: u64| {
        if *time > most {
            wrong.push(WrongTime {
                key,
                what,
                at_ms: *time,
                instead_ms: instead,
            });
            *time = instead;
        }
    };
    for entry in &mut document.keys {
        let id = Some(entry.id);
        let is_pending = entry.state == KeyState::Pending;
        // A key that was promoted early seals before that time.
        let most = latest.saturating_add(propagation);
        let instead = now_ms.saturating_add(if is_pending { propagation } else { 0 });
        set(id, "was made", &mut entry.created, latest, now_ms);
        set(id, "changed its state", &mut entry.changed, latest, now_ms);
        let what = if is_pending { "may seal" } else { "could seal" };
        set(id, what, &mut entry.activates, most, instead);
    }
    if let Some(longer) = &mut document.previous {
        let most = latest.saturating_add(longer.retention_ms);
        let instead = now_ms.saturating_add(longer.retention_ms);
        let what = "longer times hold until";
        set(None, what, &mut longer.until, most, instead);
    }
    wrong
}
