//! The canary after a rotation or a decryption: it is resealed or deleted after the last record. A command over some
//! patterns says nothing about the others, so these are counted first.

use std::sync::Arc;

use waxseal_sessions::CanaryState;
use waxseal_stores::RecordStore;

use crate::Failure;
use crate::audit::count_not_swept;
use crate::resources::{Resources, guard, keys};

/// The result for the canary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CanaryOutcome {
    /// The canary was resealed or deleted, or there is none.
    Done,
    /// Records that were not swept still need it.
    StillNeeded,
    /// The canary is of another key, and was not changed.
    OfAnotherKey,
}

impl From<CanaryState> for CanaryOutcome {
    fn from(state: CanaryState) -> Self {
        match state {
            CanaryState::Differs(_) => Self::OfAnotherKey,
            _ => Self::Done,
        }
    }
}

/// Reseals the canary, unless records that were not rotated are still under an older key.
pub async fn after_rotation(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
) -> Result<CanaryOutcome, Failure> {
    let sealing = keys::current(resources)?.sealing_id();
    let is_older = |key: Option<_>| key.is_some_and(|key| key != sealing);
    if count_not_swept(resources, store, is_older).await? > 0 {
        return Ok(CanaryOutcome::StillNeeded);
    }
    let canary = guard::canary(resources, store);
    Ok(canary.renew(&keys::canary_sealer(resources)).await?.into())
}

/// Deletes the canary, unless records that were not decrypted are still sealed.
pub async fn after_decryption(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
) -> Result<CanaryOutcome, Failure> {
    if count_not_swept(resources, store, |_| true).await? > 0 {
        return Ok(CanaryOutcome::StillNeeded);
    }
    let canary = guard::canary(resources, store);
    Ok(canary.remove(&keys::canary_sealer(resources)).await?.into())
}
