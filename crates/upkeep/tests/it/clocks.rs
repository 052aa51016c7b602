//! Clocks that are ten minutes off, ahead and behind, those of leaders and those of others.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use waxseal_keys::{Change, ChangeError, KeyState, RingError, Settings};
use waxseal_sweep::Stop;
use waxseal_upkeep::UpkeepError;

use crate::world::{Clock, Process, Start, World, calm, compressed_once, now_ms, until};

const MINUTE: u64 = 60_000;
const USERS: usize = 50;
/// The factor by which time passes faster in tests where ten minutes must be short.
const SPEED: u64 = 2_000;

async fn write_all(processes: &[&Process]) {
    for user in 0..USERS {
        let writer = processes[user % processes.len()];
        writer.write(&user.to_string(), "a state").await;
    }
}

async fn read_all(processes: &[&Process]) {
    for user in 0..USERS {
        for reader in processes {
            assert_eq!(reader.read(&user.to_string()).await, "a state");
        }
    }
}

/// A leader with a wrong clock leads alone; the clocks of the others are right.
async fn a_leader_off_by(minutes: i64) {
    let world = World::new();
    let first = world.init(compressed_once()).await.sealing().id;
    let clock = Clock::off_by_minutes(minutes);
    let leader = world.process_with(world.start().clock(&clock)).await;
    let other = world.process(false).await;
    write_all(&[&leader, &other]).await;
    let stop = Stop::default();
    leader.upkeep.once(true, &stop, &mut |_| {}).await.unwrap();
    let (upkeep, stopped) = (leader.upkeep.clone(), stop.clone());
    let running = tokio::spawn(async move { upkeep.run(&stopped).await });
    until("the first key is destroyed", async || {
        write_all(&[&other, &leader]).await;
        read_all(&[&leader, &other]).await;
        let ring = other.ring.refresh().await.unwrap();
        ring.entry(first).unwrap().state == KeyState::Destroyed
    })
    .await;
    stop.stop();
    running.await.unwrap();
    read_all(&[&leader, &other, &world.process(false).await]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_ten_minutes_ahead_of_all_others_completes_a_rotation_and_nothing_is_unreadable() {
    a_leader_off_by(10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_ten_minutes_behind_all_others_completes_a_rotation_and_nothing_is_unreadable() {
    a_leader_off_by(-10).await;
}

/// Fast time by a wrong clock.
fn fast(world: &World, base: Instant, start_ms: u64, minutes: i64) -> Start {
    let mut start = world.start();
    start.options.now_ms = Arc::new(move || {
        let passed = u64::try_from(base.elapsed().as_millis()).unwrap() * SPEED;
        (start_ms + passed).saturating_add_signed(minutes * 60_000)
    });
    start
}

/// Delays that are longer than the difference of the clocks, as by default.
fn longer_than_clocks_differ() -> Settings {
    let settings = Settings {
        every_ms: None,
        seals: 1 << 32,
        propagation_ms: 20 * MINUTE,
        refresh_ms: 200,
        retention_ms: 60 * MINUTE,
    };
    settings.checked().unwrap()
}

/// Three processes lead in turn, one right, one ahead and one behind; `begins` is the index of the first one.
async fn leaders_in_turn(begins: usize) {
    let world = World::new();
    let (base, start_ms) = (Instant::now(), now_ms());
    let ring = world
        .create_ring(longer_than_clocks_differ(), &[], start_ms)
        .await;
    world.put(&ring).await;
    let mut processes = Vec::new();
    for minutes in [0, 10, -10] {
        processes.push(
            world
                .process_with(fast(&world, base, start_ms, minutes))
                .await,
        );
    }
    let all: Vec<&Process> = processes.iter().collect();
    write_all(&all).await;
    let stop = Stop::default();
    let first = ring.sealing().id;
    let beginner = all[begins];
    beginner
        .upkeep
        .once(true, &stop, &mut |_| {})
        .await
        .unwrap();
    let mut turn = begins;
    until("the first key is destroyed", async || {
        turn += 1;
        let leader = all[turn % all.len()];
        leader.upkeep.once(false, &stop, &mut |_| {}).await.unwrap();
        write_all(&all).await;
        read_all(&all).await;
        let ring = leader.ring.refresh().await.unwrap();
        ring.entry(first).unwrap().state == KeyState::Destroyed
    })
    .await;
    for process in &all {
        process.ring.refresh().await.unwrap();
    }
    read_all(&all).await;
    assert_eq!(all[0].ring.ring().keys().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_whose_clocks_differ_by_twenty_minutes_complete_a_rotation_that_one_ahead_began() {
    leaders_in_turn(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_whose_clocks_differ_by_twenty_minutes_complete_a_rotation_that_one_behind_began() {
    leaders_in_turn(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_ahead_does_not_promote_a_new_key_before_others_know_it() {
    let world = World::new();
    let settings = Settings {
        propagation_ms: 2_000,
        retention_ms: 3_000,
        ..compressed_once()
    };
    world.init(settings.checked().unwrap()).await;
    let right = world.process(false).await;
    let clock = Clock::off_by_minutes(10);
    let ahead = world.process_with(world.start().clock(&clock)).await;
    let instead_of = right.ring.ring().sealing().id;
    let began = Instant::now();
    right
        .ring
        .change(&Change::Add { instead_of })
        .await
        .unwrap();
    let stop = Stop::default();
    let (upkeep, stopped) = (ahead.upkeep.clone(), stop.clone());
    let running = tokio::spawn(async move { upkeep.run(&stopped).await });
    let mut watched = right.ring.watch();
    while watched.borrow_and_update().sealing().id == instead_of {
        watched.changed().await.unwrap();
    }
    assert!(began.elapsed() >= Duration::from_millis(2_000));
    stop.stop();
    running.await.unwrap();
}

/// Settings with an archive time of an hour, and short times before.
fn archived_for_long() -> Settings {
    let settings = Settings {
        retention_ms: 60 * MINUTE,
        ..compressed_once()
    };
    settings.checked().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_whose_clock_is_hundreds_of_days_off_changes_no_key_and_lets_others_lead() {
    const DAYS: i64 = 24 * 60;
    let world = World::new();
    let first = world.init(archived_for_long()).await.sealing().id;
    let right = world.process_with(world.start().comparing_clocks()).await;
    let mut off = Vec::new();
    for minutes in [400 * DAYS, -400 * DAYS] {
        let clock = Clock::off_by_minutes(minutes);
        let start = world.start().clock(&clock).comparing_clocks();
        off.push(world.process_with(start).await);
    }
    let stop = Stop::default();
    let refused = |error: &UpkeepError| {
        matches!(
            error,
            UpkeepError::Ring(RingError::Change(ChangeError::Clock { .. }))
        )
    };
    for process in &off {
        let error = process.upkeep.once(true, &stop, &mut |_| {}).await;
        assert!(refused(&error.unwrap_err()));
        let instead_of = first;
        let error = process.ring.change(&Change::Add { instead_of }).await;
        let error = error.err().expect("no key by a wrong clock");
        assert!(error.to_string().contains("400 days"), "{error}");
    }
    assert_eq!(right.ring.refresh().await.unwrap().keys().len(), 1);
    // They run beside one with the right time, which leads nevertheless.
    let running: Vec<_> = off
        .iter()
        .map(|process| {
            let (upkeep, stopped) = (process.upkeep.clone(), stop.clone());
            tokio::spawn(async move { upkeep.run(&stopped).await })
        })
        .collect();
    right.write("someone", "a state").await;
    right.upkeep.once(true, &stop, &mut |_| {}).await.unwrap();
    until("the first key is archived", async || {
        right.upkeep.once(false, &stop, &mut |_| {}).await.unwrap();
        right.ring.ring().entry(first).unwrap().state == KeyState::Archived
    })
    .await;
    // By a clock that is ahead, its time has long passed.
    for _ in 0..10 {
        off[0].ring.refresh().await.unwrap();
        assert_eq!(
            off[0].ring.ring().entry(first).unwrap().state,
            KeyState::Archived
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stop.stop();
    for task in running {
        task.await.unwrap();
    }
    for process in &off {
        let error = process
            .upkeep
            .once(false, &Stop::default(), &mut |_| {})
            .await;
        assert!(refused(&error.unwrap_err()));
    }
    assert_eq!(right.ring.refresh().await.unwrap().keys().len(), 2);
}

#[tokio::test]
async fn times_that_a_wrong_clock_wrote_are_found_and_corrected() {
    let world = World::new();
    // A key that was promoted early is not a sign of a wrong clock.
    let calm = world.create_ring(calm(), &[], now_ms()).await;
    let custodians = [world.custodian()];
    let pending = calm.with_new_key(&custodians, now_ms()).await.unwrap();
    let id = pending.in_state(KeyState::Pending).next().unwrap().id;
    let early = pending.with_sealing(id, now_ms(), true).unwrap();
    assert_eq!(early.wrong_times(now_ms()), []);
    let ahead = now_ms() + 400 * 24 * 60 * MINUTE;
    let ring = world.create_ring(compressed_once(), &[], ahead).await;
    world.put(&ring).await;
    let process = world.process_with(world.start().comparing_clocks()).await;
    let wrong = process.ring.ring().wrong_times(process.ring.now_ms());
    let times: Vec<_> = wrong.iter().map(|time| time.what).collect();
    assert_eq!(times, ["was created", "changed its state", "could seal"]);
    process.ring.change(&Change::RepairTimes).await.unwrap();
    let ring = process.ring.ring();
    assert_eq!(ring.wrong_times(process.ring.now_ms()), []);
    assert!(ring.sealing().created <= now_ms());
    // There is nothing left to do, and nothing is written.
    process.ring.change(&Change::RepairTimes).await.unwrap();
    assert_eq!(process.ring.ring().version(), ring.version());
}
