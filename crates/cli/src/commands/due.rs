//! Carries out the steps of a rotation that are due, once.

use waxseal_keys::rotation::Step;
use waxseal_keys::{ChangeError, RingError};
use waxseal_service::Failure;
use waxseal_service::resources::{Resources, guard, scopes};
use waxseal_sweep::Stop;
use waxseal_upkeep::{RotationEvent, UpkeepError};

use crate::output::{self, thousands};

/// Carries out the steps that are due, unless another process leads.
pub(crate) async fn carry_out(resources: &Resources, stop: &Stop) -> Result<(), Failure> {
    let store = resources.open_store().await?;
    guard::check_key_and_mark(resources, &store).await?;
    // An embedded store can be open only once.
    drop(store);
    let upkeep = scopes::upkeep(resources, "operator").await?;
    let mut watch = |event: &RotationEvent| {
        if let Some(text) = describe(event) {
            resources.trail.add_count("steps", 1);
            output::stderr_line(&format!("waxseal: {text}"));
        }
    };
    match upkeep.once(false, stop, &mut watch).await {
        Ok(_) => Ok(()),
        // Resealing needs no correct clock.
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

fn describe(event: &RotationEvent) -> Option<String> {
    Some(match event {
        RotationEvent::StepStarted(_) | RotationEvent::StepDone(Step::Sweep) => return None,
        RotationEvent::StepDone(Step::Add(_)) => "a new key is pending".to_owned(),
        RotationEvent::StepDone(Step::Promote(id)) => format!("key {id} seals from now on"),
        RotationEvent::StepDone(Step::Archive(id)) => {
            format!("key {id} is archived: nothing is under it")
        }
        RotationEvent::StepDone(Step::Destroy(id)) => format!("key {id} is destroyed"),
        RotationEvent::Swept { resealed, .. } => match resealed.done {
            1 => "1 value was resealed under the sealing key".to_owned(),
            values => format!(
                "{} values were resealed under the sealing key",
                thousands(values)
            ),
        },
    })
}
