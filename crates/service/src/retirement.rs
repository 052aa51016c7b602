//! The check before a key is archived or destroyed: nothing is sealed under it, everywhere that this process knows of.

use waxseal_core::KeyId;
use waxseal_keys::rotation::Audit;
use waxseal_keys::{ChangeError, Entry, KeyState, Ring};
use waxseal_sweep::Stop;
use waxseal_units::point_in_time;

use crate::keyring_text::{block_hint, block_reason};
use crate::resources::{Resources, scopes};
use crate::{Failure, now_ms};

/// Fails unless this key may change to this state and no value is under it.
pub async fn check(
    resources: &Resources,
    id: KeyId,
    to: KeyState,
    stop: &Stop,
) -> Result<(), Failure> {
    let ring = resources.opened_ring()?.ring.ring();
    let entry = ring.entry(id).ok_or(ChangeError::NoKey(id))?;
    let from = entry.state;
    if from == KeyState::Sealing {
        return Err(ChangeError::Sealing(id).into());
    }
    if !from.may_become(to) {
        return Err(ChangeError::Transition { id, from, to }.into());
    }
    wait_for_those_behind(&ring, entry, to)?;
    let upkeep = scopes::upkeep(resources, "operator").await?;
    let audit = upkeep.audit(stop).await?;
    // Other processes may use the result, and status shows it.
    resources.opened_ring()?.ring.report_audit(&audit).await?;
    refuse(&ring, id, &audit)
}

/// A process that is cut off from the ring seals for the whole retention under the key that it knows; one
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
    let until = point_in_time(settled);
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
    let hint = block_hint(first, entry.state);
    let all: Vec<String> = blocks.iter().map(block_reason).collect();
    Err(
        Failure::failed(format!("key {id} is still needed: {}", all.join("; ")))
            .hint(format!("nothing was changed; {hint}")),
    )
}
