//! What is due about the keyring, carried out once.

use waxseal_keys::rotation::Step;
use waxseal_keys::{ChangeError, RingError};
use waxseal_service::resources::{Resources, guard, scopes};
use waxseal_sweep::Stop;
use waxseal_upkeep::{RotationEvent, UpkeepError};

use crate::output::{self, thousands};
use waxseal_service::Failure;

/// Carries out what is due, unless another process does.
pub(crate) async fn carry_out(resources: &Resources, stop: &Stop) -> Result<(), Failure> {
    let store = resources.open_store().await?;
    guard::check_key_and_mark(resources, &store).await?;
    // An embedded store is open once.
    drop(store);
    let upkeep = scopes::upkeep(resources, "operator").await?;
    let mut told = |told: &RotationEvent| {
        if let Some(text) = words(told) {
            resources.trail.add_count("steps", 1);
            output::stderr_line(&format!("waxseal: {text}"));
        }
    };
    match upkeep.once(false, stop, &mut told).await {
        Ok(_) => Ok(()),
        // What is under older keys can be brought under the present one by any clock.
        Err(error @ UpkeepError::Ring(RingError::Change(ChangeError::Clock { .. }))) => {
            output::warn(&error.to_string());
            if let Some(advice) = Failure::from(error).advice() {
                output::hint(advice);
            }
            Ok(())
        }
        Err(error @ UpkeepError::Led(_)) => {
            output::stderr_line(&format!("waxseal: {error}: it carries out what is due"));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn words(told: &RotationEvent) -> Option<String> {
    Some(match told {
        RotationEvent::StepStarted(_) | RotationEvent::StepDone(Step::Sweep) => return None,
        RotationEvent::StepDone(Step::Add(_)) => "a new key is pending".to_owned(),
        RotationEvent::StepDone(Step::Promote(id)) => format!("key {id} seals from now on"),
        RotationEvent::StepDone(Step::Archive(id)) => {
            format!("key {id} is archived: nothing is under it")
        }
        RotationEvent::StepDone(Step::Destroy(id)) => format!("key {id} is destroyed"),
        RotationEvent::Swept { resealed, .. } => format!(
            "{} values were brought under the sealing key",
            thousands(resealed.done)
        ),
    })
}
