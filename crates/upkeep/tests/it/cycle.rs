//! A rotation that finishes without an operator.

use waxseal_keys::KeyState;
use waxseal_sweep::Stop;

use crate::world::{World, compressed, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_goes_from_pending_to_destroyed_by_itself_and_every_value_stays_readable() {
    let world = World::new();
    let first = world.init(compressed()).await.sealing().id;
    let (one, two) = (world.process(false).await, world.process(false).await);
    for user in 0..200 {
        one.write(&user.to_string(), "a state").await;
    }
    let stop = Stop::default();
    let keepers: Vec<_> = [one.upkeep.clone(), two.upkeep.clone()]
        .into_iter()
        .map(|upkeep| {
            let stop = stop.clone();
            tokio::spawn(async move { upkeep.run(&stop).await })
        })
        .collect();
    until("the first key is destroyed", async || {
        for user in 0..200 {
            assert_eq!(two.read(&user.to_string()).await, "a state");
        }
        let ring = one.ring.ring();
        ring.entry(first).unwrap().state == KeyState::Destroyed
    })
    .await;
    stop.stop();
    for keeper in keepers {
        keeper.await.unwrap();
    }
}
