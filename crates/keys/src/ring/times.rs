//! Times in a ring's document that no correct clock can have written: found and corrected.

use waxseal_core::KeyId;

use super::Ring;
use crate::clock::{MAX_OFFSET, millis};
use crate::index_state::IndexKeyState;
use crate::keyring_document::KeyringDocument;
use crate::state::KeyState;

/// A time in a ring's document that no correct clock can have written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongTime {
    /// The key that it belongs to; `None` for a time of the ring itself.
    pub key: Option<KeyId>,
    /// The event at that time, as a verb phrase.
    pub what: &'static str,
    /// The time, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The corrected time.
    pub instead_ms: u64,
}

impl Ring {
    /// The times of the document that are too far in the future, seen from now.
    #[must_use]
    pub fn wrong_times(&self, now_ms: u64) -> Vec<WrongTime> {
        let mut document = self.document.clone();
        repair(&mut document, now_ms)
    }

    /// Returns the ring with these times set to the nearest possible ones; `None` if all are possible.
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

/// Corrects every wrong time, and returns what was wrong.
fn repair(document: &mut KeyringDocument, now_ms: u64) -> Vec<WrongTime> {
    let latest = now_ms.saturating_add(millis(MAX_OFFSET));
    let longer = document.previous.as_ref();
    let previous_ms = longer.map_or(0, |it| it.propagation_ms);
    let propagation = document.rotation.propagation_ms.max(previous_ms);
    let mut wrong = Vec::new();
    let mut set = |key, what, time: &mut u64, max: u64, instead: u64| {
        if *time > max {
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
        let max = latest.saturating_add(propagation);
        let instead = now_ms.saturating_add(if is_pending { propagation } else { 0 });
        set(id, "was created", &mut entry.created, latest, now_ms);
        set(id, "changed its state", &mut entry.changed, latest, now_ms);
        let what = if is_pending { "may seal" } else { "could seal" };
        set(id, what, &mut entry.activates, max, instead);
    }
    for entry in &mut document.index_keys {
        let id = Some(entry.id);
        let is_pending = entry.state == IndexKeyState::Pending;
        // One that was promoted early, or came with the format, writes before that time.
        let max = latest.saturating_add(propagation);
        let waits_ms = if is_pending { propagation } else { 0 };
        let instead = now_ms.saturating_add(waits_ms);
        set(id, "was created", &mut entry.created, latest, now_ms);
        set(id, "changed its state", &mut entry.changed, latest, now_ms);
        let what = if is_pending {
            "may write"
        } else {
            "could write"
        };
        set(id, what, &mut entry.activates, max, instead);
    }
    if let Some(envelopes) = &mut document.envelopes {
        let what = "the versions of the sealed format changed";
        set(None, what, &mut envelopes.since, latest, now_ms);
    }
    for members in document
        .protects
        .iter_mut()
        .filter_map(|it| it.members.as_mut())
    {
        let what = "the forms of members were found";
        set(None, what, members.since_mut(), latest, now_ms);
    }
    if let Some(longer) = &mut document.previous {
        let max = latest.saturating_add(longer.retention_ms);
        let instead = now_ms.saturating_add(longer.retention_ms);
        let what = "longer times hold until";
        set(None, what, &mut longer.until, max, instead);
    }
    wrong
}
