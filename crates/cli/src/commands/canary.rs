//! Prints what is left to do about the canary after a rotation or a decryption.

use std::sync::Arc;

use waxseal_service::Failure;
use waxseal_service::canary::{self, CanaryOutcome};
use waxseal_service::resources::Resources;
use waxseal_stores::RecordStore;

use crate::output;

pub(crate) async fn after_rotation(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
) -> Result<(), Failure> {
    match canary::after_rotation(resources, store).await? {
        CanaryOutcome::Done => {}
        CanaryOutcome::StillNeeded => {
            output::warn("other protected records are still under an older key");
            output::hint(if resources.configuration.has_keyring() {
                "rotate those as well: the keyring keeps the key until then"
            } else {
                "keep it in REDIS_ENCRYPTION_PREVIOUS_KEYS, and rotate those as well"
            });
        }
        CanaryOutcome::OfAnotherKey => warn_of_another_key(),
    }
    Ok(())
}

pub(crate) async fn after_decryption(
    resources: &Resources,
    store: &Arc<dyn RecordStore>,
) -> Result<(), Failure> {
    match canary::after_decryption(resources, store).await? {
        CanaryOutcome::Done => {}
        CanaryOutcome::StillNeeded => output::warn("other protected records are still sealed"),
        CanaryOutcome::OfAnotherKey => warn_of_another_key(),
    }
    Ok(())
}

fn warn_of_another_key() {
    output::warn("the canary of another key was left");
    output::hint("if no process has that key any more: redis-cli DEL waxseal:canary");
}
