//! The steps of a rotation that are due, carried out once by a command.

use waxseal_keys::rotation::Step;
use waxseal_keys::{ChangeError, RingError};
use waxseal_sweep::Stop;
use waxseal_units::thousands;
use waxseal_upkeep::{RotationEvent, UpkeepError};

use crate::resources::{Resources, guard, scopes};
use crate::{Failure, notice};

/// Carries out the steps that are due, unless another process leads, or the clock of this machine is wrong. Each line
/// about what was done is passed to `report`.
pub async fn carry_out(
    resources: &Resources,
    stop: &Stop,
    report: &mut (dyn FnMut(&str) + Send),
) -> Result<(), Failure> {
    let store = resources.open_store().await?;
    guard::check_key_and_mark(resources, &store).await?;
    // An embedded store can be open only once.
    drop(store);
    let upkeep = scopes::upkeep(resources, "operator").await?;
    let mut watch = |event: &RotationEvent| {
        if let Some(text) = describe(event) {
            resources.trail.add_count("steps", 1);
            report(&text);
        }
    };
    match upkeep.once(false, stop, &mut watch).await {
        Ok(_) => Ok(()),
        // Resealing needs no correct clock.
        Err(error @ UpkeepError::Ring(RingError::Change(ChangeError::Clock { .. }))) => {
            let text = error.to_string();
            match Failure::from(error).advice() {
                Some(hint) => notice::warning_with_hint(&text, hint),
                None => notice::warning(&text),
            }
            Ok(())
        }
        Err(error @ UpkeepError::Led(_)) => {
            report(&format!("{error}: it carries out what is due"));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Describes what was done; `None` for what is not worth a line.
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
