//! The steps of a rotation that are due, carried out by a command.

use std::time::Duration;

use serde_json::json;
use waxseal_keys::Change;
use waxseal_service::resources::Resources;
use waxseal_service::{Ended, due, recorded};
use waxseal_sweep::Stop;

use super::{World, put_state, quick};

const STATES: &str = "[[protect]]\nrecords = \"wa:*\"\nformat = \"sealed\"\n";

/// Carries out what is due as an operation that is recorded.
async fn carried_out(resources: &Resources) -> Vec<String> {
    let mut lines = Vec::new();
    let work = async {
        let mut report = |line: &str| lines.push(line.to_owned());
        due::carry_out(resources, &Stop::default(), &mut report).await?;
        Ok(Ended::Done)
    };
    let operation = Some(recorded::rotate(resources, false));
    let recorded = resources.trail.record_operation(operation, work);
    recorded.await.unwrap();
    lines
}

#[tokio::test]
async fn a_key_that_may_seal_is_promoted_values_are_resealed_and_each_step_is_counted() {
    let world = World::with_keyring(STATES);
    world.create_keyring(quick()).await;
    let resources = world.open().await;
    assert_eq!(carried_out(&resources).await, [""; 0]);
    put_state(&resources).await;
    let ring = &resources.opened_ring().unwrap().ring;
    let instead_of = ring.ring().sealing().id;
    ring.change(&Change::Add { instead_of }).await.unwrap();
    let mut lines = Vec::new();
    // The values may be resealed 2 ms after the promotion: a fast run ends before that step is due.
    for _ in 0..100 {
        let done = carried_out(&resources).await;
        let ended = world.entries().pop().unwrap();
        assert_eq!((&ended[0], &ended[2]), (&json!("rotate"), &json!("done")));
        let steps = match done.len() {
            0 => json!(null),
            steps => json!(steps),
        };
        assert_eq!(ended[3]["steps"], steps);
        lines.extend(done);
        if lines.len() > 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let sealing = ring.ring().sealing().id;
    assert_ne!(sealing, instead_of);
    assert_eq!(
        lines[..2],
        [
            format!("key {sealing} seals from now on"),
            // The state and the canary.
            "2 values were resealed under the sealing key".to_owned()
        ],
        "{lines:?}"
    );
}
