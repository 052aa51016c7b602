//! What must be so before a key is retired: nothing is under it, everywhere that this process knows
//! of.

use waxseal_core::KeyId;
use waxseal_keys::rotation::{Audit, Block};
use waxseal_keys::{ChangeError, Entry, KeyState, Ring};

use crate::commands::recorded::pattern;
use crate::error::Failure;
use crate::output::{self, thousands};
use crate::setup::{Setup, now_ms};
use crate::signals::stop_on_signal;

/// Fails unless this key may come into this state and nothing is left under it.
pub(super) async fn check(setup: &Setup, id: KeyId, to: KeyState) -> Result<(), Failure> {
    let ring = setup.opened_ring()?.ring.ring();
    let entry = ring.entry(id).ok_or(ChangeError::NoKey(id))?;
    let from = entry.state;
    if from == KeyState::Sealing {
        return Err(ChangeError::Sealing(id).into());
    }
    if !from.may_become(to) {
        return Err(ChangeError::Transition { id, from, to }.into());
    }
    wait_for_those_behind(&ring, entry, to)?;
    let upkeep = setup.upkeep("operator").await?;
    let audit = upkeep.audit(&stop_on_signal()?).await?;
    // Others may use it, and status tells it.
    setup.opened_ring()?.ring.report_audit(&audit).await?;
    refuse(&ring, id, &audit)
}

/// A process that is cut off from the ring seals for the whole rest under the key that it knows; one
/// that is merely behind, until new keys are known everywhere.
fn wait_for_those_behind(ring: &Ring, entry: &Entry, to: KeyState) -> Result<(), Failure> {
    let (id, now) = (entry.id, now_ms());
    let settings = ring.effective_settings(now);
    let (who, wait, or) = match to {
        KeyState::Destroyed => (
            "processes that are cut off",
            settings.retention_ms,
            ", or add --force: what is still sealed under it is then lost",
        ),
        _ => ("processes that are behind", settings.settling_ms(), ""),
    };
    let settled = entry.changed.saturating_add(wait);
    if settled <= now {
        return Ok(());
    }
    let until = output::point_in_time(settled);
    Err(
        Failure::failed(format!("{who} may still seal under key {id}"))
            .hint(format!("nothing was changed; wait until {until}{or}")),
    )
}

fn refuse(ring: &Ring, id: KeyId, audit: &Audit) -> Result<(), Failure> {
    let Some(entry) = ring.entry(id) else {
        return Ok(());
    };
    let blocks = audit.blocks(ring, entry);
    let Some(first) = blocks.first() else {
        return Ok(());
    };
    let hint = block_advice(first, entry.state);
    let all: Vec<String> = blocks.iter().map(describe).collect();
    Err(
        Failure::failed(format!("key {id} is still needed: {}", all.join("; ")))
            .hint(format!("nothing was changed; {hint}")),
    )
}

/// What to do about what keeps a key in this state.
pub(crate) fn block_advice(block: &Block, state: KeyState) -> &'static str {
    match block {
        Block::InUse { .. } if state == KeyState::Compromised => {
            "waxseal rotate --open-compromised brings them under the sealing key"
        }
        Block::InUse { .. } => {
            "waxseal rotate brings them under the sealing key; it leaves those of erased users, which \
             waxseal forget deletes"
        }
        Block::Quarantined { .. } => {
            "waxseal quarantine list shows them; the key is kept until they are restored, dropped or expired"
        }
        Block::Unreadable { .. } => "waxseal audit and waxseal inspect tell which they are",
        Block::Uncovered { .. } => {
            "name the store and the pattern with --store and --protect where they are; if they are \
             protected no more, waxseal keyring release forgets them"
        }
    }
}

/// What keeps a key, in words.
pub(super) fn describe(block: &Block) -> String {
    match block {
        Block::InUse { values, .. } => format!("{} values are under it", thousands(*values)),
        Block::Quarantined { values: 1, .. } => "1 value in quarantine is under it".to_owned(),
        Block::Quarantined { values, .. } => {
            format!("{} values in quarantine are under it", thousands(*values))
        }
        Block::Uncovered {
            protected_scope, ..
        } => format!(
            "the records {} at {} were not looked at",
            pattern(&protected_scope.records),
            protected_scope.store
        ),
        Block::Unreadable { values, .. } => format!(
            "{} values could not be read, or do not open and do not name their key",
            thousands(*values)
        ),
    }
}
