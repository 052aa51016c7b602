//! What is due about the keyring, carried out once.

use waxseal_keys::rotation::Step;
use waxseal_keys::{ChangeError, RingError};
use waxseal_sweep::Stop;
use waxseal_upkeep::{RotationEvent, UpkeepError};

use crate::error::Failure;
use crate::output::{self, thousands};
use crate::setup::Setup;

/// Carries out what is due, unless another process does.
pub(crate) async fn carry_out(setup: &Setup, stop: &Stop) -> Result<(), Failure> {
    let store = setup.open_store().await?;
    setup.check_key_and_mark(&store).await?;
    // An embedded store is open once.
    drop(store);
    let upkeep = setup.upkeep("operator").await?;
    let mut told = |told: &RotationEvent| {
        if let Some(text) = words(told) {
            setup.trail.add_count("steps", 1);
            output::say(&format!("waxseal: {text}"));
        }
    };
    match upkeep.once(false, stop, &mut told).await {
        Ok(_) => Ok(()),
        // What is under older keys can be brought under the present one by any clock.
        Err(error @ UpkeepError::Ring(RingError::Change(ChangeError::Clock { .. }))) => {
            output::complain("warning", &error.to_string());
            if let Some(advice) = Failure::from(error).advice() {
                output::advise(advice);
            }
            Ok(())
        }
        Err(error @ UpkeepError::Led(_)) => {
            output::say(&format!("waxseal: {error}: it carries out what is due"));
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
