//! Clocks that are ten minutes off, ahead and behind, those of leaders and those of others.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use waxseal_keys::{Change, KeyState, Settings};
use waxseal_sweep::Stop;

use crate::world::{Clock, Process, Start, World, compressed_once, now_ms, until};

const MINUTE: u64 = 60_000;
const USERS: usize = 50;
/// How much faster time passes where ten minutes must be short against everything else.
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

/// A leader whose clock is off leads alone; the others' clocks are right.
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

/// Time that passes fast, by a clock that is off.
fn fast(world: &World, base: Instant, start_ms: u64, minutes: i64) -> Start {
    let mut start = world.start();
    start.options.now_ms = Arc::new(move || {
        let passed = u64::try_from(base.elapsed().as_millis()).unwrap() * SPEED;
        (start_ms + passed).saturating_add_signed(minutes * 60_000)
    });
    start
}

/// The delays are longer than the clocks differ, as they are by default.
fn longer_than_clocks_differ() -> Settings {
    let settings = Settings {
        every_ms: None,
        seals: 1 << 32,
        propagation_ms: 20 * MINUTE,
        refresh_ms: 200,
        rest_ms: 60 * MINUTE,
    };
    settings.checked().unwrap()
}

/// Three processes lead in turn, one right, one ahead and one behind; `begins` is who begins.
async fn leaders_in_turn(begins: usize) {
    let world = World::new();
    let (base, start_ms) = (Instant::now(), now_ms());
    let ring = world.made(longer_than_clocks_differ(), &[], start_ms).await;
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
async fn one_ahead_who_has_just_seen_a_new_key_does_not_let_it_seal_before_others_know_it() {
    let world = World::new();
    let settings = Settings {
        propagation_ms: 2_000,
        rest_ms: 3_000,
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
