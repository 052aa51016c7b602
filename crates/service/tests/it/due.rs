//! The steps of a rotation that are due, carried out by a command.

use serde_json::json;
use waxseal_keys::{Change, Settings};
use waxseal_service::resources::Resources;
use waxseal_service::values::stored::{self, Destination};
use waxseal_service::{Ended, due, recorded};
use waxseal_stores::RecordName;
use waxseal_sweep::Stop;

use super::World;

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
    let settings = Settings {
        propagation_ms: 1,
        refresh_ms: 1,
        ..Settings::default()
    };
    world.create_keyring(settings).await;
    let resources = world.open().await;
    assert_eq!(carried_out(&resources).await, [""; 0]);
    let destination = Destination {
        name: RecordName::from("wa:1"),
        field: None,
        replaces: false,
        ttl: None,
    };
    stored::put(&resources, &destination, || Ok(b"a state".to_vec()))
        .await
        .unwrap();
    let ring = &resources.opened_ring().unwrap().ring;
    let instead_of = ring.ring().sealing().id;
    ring.change(&Change::Add { instead_of }).await.unwrap();
    let lines = carried_out(&resources).await;
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
    let ended = world.entries().pop().unwrap();
    assert_eq!(
        (&ended[0], &ended[2], &ended[3]["steps"]),
        (&json!("rotate"), &json!("done"), &json!(lines.len()))
    );
}
