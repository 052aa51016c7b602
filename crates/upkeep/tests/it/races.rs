//! Many processes at once: one ring, and one new key.

use std::sync::Arc;

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use waxseal_core::{Binding, Format, Mode, Sealer};
use waxseal_keys::{LiveRing, RingError, Settings};
use waxseal_sweep::Stop;
use waxseal_upkeep::UpkeepError;

use crate::world::{Process, World, calm, now_ms, until};

const MANY: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn of_several_processes_that_create_a_ring_at_once_one_succeeds_and_all_use_that_one() {
    for count in [2, 5] {
        let world = World::new();
        let barrier = Arc::new(Barrier::new(count));
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            let ring = world.create_ring(calm(), &[], now_ms()).await;
            let (place, custodians) = (Arc::new(world.place().await), world.custodians());
            let (options, barrier) = (world.options(), barrier.clone());
            tasks.spawn(async move {
                barrier.wait().await;
                let created =
                    LiveRing::create(place.clone(), &ring, custodians.clone(), options.clone());
                match created.await {
                    Ok(ring) => (true, ring),
                    Err(RingError::Exists { version: 1, .. }) => {
                        let found = LiveRing::open(place, custodians, options).await;
                        (false, found.unwrap())
                    }
                    Err(error) => panic!("{error}"),
                }
            });
        }
        let rings = tasks.join_all().await;
        assert_eq!(rings.iter().filter(|(created, _)| *created).count(), 1);
        let sealers: Vec<_> = rings
            .iter()
            .map(|(_, ring)| Sealer::new(ring.keyring(), Mode::Required, Format::Sealed))
            .collect();
        let place = Binding::record(b"wa:someone");
        for one in &sealers {
            let sealed = one.seal(b"a state", place).unwrap();
            for other in &sealers {
                let opened = other.open(&sealed, place).unwrap().unwrap();
                assert_eq!(opened.value, &b"a state"[..]);
            }
        }
    }
}

/// A ring whose sealing key is old, and processes that all see that at once. A new key stays pending for longer
/// than the test takes.
async fn aged(world: &World) -> Vec<Arc<Process>> {
    let settings = Settings {
        every_ms: Some(300_000),
        propagation_ms: 120_000,
        retention_ms: 600_000,
        ..calm()
    };
    let ring = world.create_ring(settings.checked().unwrap(), &[], now_ms() - 400_000);
    world.put(&ring.await).await;
    let mut processes = Vec::new();
    for _ in 0..MANY {
        processes.push(Arc::new(world.process(false).await));
    }
    processes
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_processes_that_find_the_sealing_key_too_old_add_one_new_key() {
    let world = World::new();
    let processes = aged(&world).await;
    let stop = Stop::default();
    let mut running = JoinSet::new();
    for process in &processes {
        let (process, stop) = (process.clone(), stop.clone());
        running.spawn(async move { process.upkeep.run(&stop).await });
    }
    until("all know the new key and have reported", async || {
        let known = processes.iter().all(|it| it.ring.ring().keys().len() > 1);
        known && processes[0].ring.reports().await.unwrap().processes.len() == MANY
    })
    .await;
    stop.stop();
    running.join_all().await;
    let ring = processes[0].ring.refresh().await.unwrap();
    assert_eq!(ring.keys().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_operators_who_begin_a_rotation_at_once_add_one_new_key() {
    let world = World::new();
    let processes = aged(&world).await;
    let barrier = Arc::new(Barrier::new(MANY));
    let mut running = JoinSet::new();
    for process in &processes {
        let (process, barrier) = (process.clone(), barrier.clone());
        running.spawn(async move {
            barrier.wait().await;
            let done = process
                .upkeep
                .once(true, &Stop::default(), &mut |_| {})
                .await;
            match done {
                Ok(_) => true,
                Err(UpkeepError::Led(_)) => false,
                Err(error) => panic!("{error}"),
            }
        });
    }
    let led = running.join_all().await;
    assert!(led.contains(&true));
    let ring = processes[0].ring.refresh().await.unwrap();
    assert_eq!(ring.keys().len(), 2);
}
