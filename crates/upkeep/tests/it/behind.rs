//! Processes that are behind: suspended, without the ring, or without a new key.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use waxseal_core::{Binding, Format, KeyId, Mode, OpenError, Sealer};
use waxseal_keys::{Change, KeyState, LiveRing, RingError, Settings};
use waxseal_sessions::{OnRefused, Options, StateManager};

use crate::gate::GateState;
use crate::world::{Clock, World, calm, key_of, until};

/// Settings under which no process polls the document during a test without a reason.
fn rare_polls() -> Settings {
    Settings {
        every_ms: None,
        refresh_ms: 60 * 60_000,
        ..Settings::default()
    }
}

/// Replaces the sealing key by a new one at once.
async fn replace_sealing_key(ring: &LiveRing) -> KeyId {
    let instead_of = ring.ring().sealing().id;
    let pending = ring.change(&Change::Add { instead_of }).await.unwrap();
    let id = pending.in_state(KeyState::Pending).next().unwrap().id;
    let at_once = true;
    let ring = ring.change(&Change::Promote { id, at_once }).await.unwrap();
    assert_eq!(ring.sealing().id, id);
    id
}

fn milliseconds(ms: u64) -> i64 {
    i64::try_from(ms).unwrap()
}

#[tokio::test]
async fn a_process_that_was_suspended_reads_the_ring_before_it_seals_under_the_current_key() {
    let world = World::new();
    world.init(calm()).await;
    let (clock, settings) = (Clock::default(), calm());
    let sleeper = world.process_with(world.start().clock(&clock)).await;
    let other = world.process(false).await;
    assert!(sleeper.ring.is_confirmed());
    sleeper.gate.set(GateState::Shut);
    let new = replace_sealing_key(&other.ring).await;
    clock.turn(milliseconds(settings.propagation_ms) + 1);
    // A poll from before the suspension does not count.
    assert!(!sleeper.ring.is_confirmed());
    assert_ne!(sleeper.ring.ring().sealing().id, new);
    sleeper.gate.set(GateState::Open);
    sleeper.ring.confirm().await.unwrap();
    assert!(sleeper.ring.is_confirmed());
    sleeper.write("someone", "a state").await;
    assert_eq!(sleeper.key_of("someone").await, new);
    assert_eq!(other.read("someone").await, "a state");
}

#[tokio::test]
async fn a_poll_that_a_suspension_interrupted_confirms_nothing() {
    let world = World::new();
    world.init(calm()).await;
    let (clock, settings) = (Clock::default(), calm());
    let sleeper = world.process_with(world.start().clock(&clock)).await;
    let other = world.process(false).await;
    // The answer has left the server when the process is suspended; it wakes up and continues with it.
    sleeper.gate.set(GateState::AnswersHeld);
    sleeper.gate.holds_an_answer().await;
    let new = replace_sealing_key(&other.ring).await;
    clock.turn(milliseconds(settings.propagation_ms) + 1);
    sleeper.gate.set(GateState::Shut);
    tokio::task::yield_now().await;
    let asked = timeout(Duration::from_millis(100), sleeper.ring.refresh()).await;
    assert!(asked.is_err(), "the next look waits at the gate");
    assert_ne!(sleeper.ring.ring().sealing().id, new);
    assert!(!sleeper.ring.is_confirmed());
    sleeper.gate.set(GateState::Open);
    sleeper.ring.confirm().await.unwrap();
    assert_eq!(sleeper.ring.ring().sealing().id, new);
}

#[tokio::test]
async fn a_process_without_the_ring_seals_until_its_key_may_be_destroyed_and_again_afterwards() {
    let world = World::new();
    world.init(calm()).await;
    let (clock, settings) = (Clock::default(), calm());
    let process = world.process_with(world.start().clock(&clock)).await;
    process.gate.set(GateState::OutOfReach);
    until("it has noticed", async || process.ring.degraded().is_some()).await;
    clock.turn(milliseconds(settings.propagation_ms) + 1);
    assert!(!process.ring.is_confirmed());
    process.ring.confirm().await.unwrap();
    process.write("someone", "a state").await;
    clock.turn(milliseconds(
        settings.retention_ms - settings.propagation_ms,
    ));
    let lapsed = process.ring.confirm().await;
    assert!(
        matches!(lapsed, Err(RingError::Lapsed { .. })),
        "{lapsed:?}"
    );
    // Stored values stay readable.
    assert_eq!(process.read("someone").await, "a state");
    process.gate.set(GateState::Open);
    process.ring.confirm().await.unwrap();
    assert!(process.ring.is_confirmed() && process.ring.degraded().is_none());
}

#[tokio::test]
async fn a_value_under_an_unknown_key_makes_a_process_read_the_ring() {
    let world = World::new();
    world.init(rare_polls()).await;
    let (stale, other) = (world.process(false).await, world.process(false).await);
    let new = replace_sealing_key(&other.ring).await;
    other.write("someone", "a state").await;
    let stored = stale.stored("someone").await;
    let place = Binding::record(b"wa:someone");
    let unknown = stale.sealer.open(&stored, place).err();
    assert_eq!(unknown, Some(OpenError::UnknownKey { id: new }));
    assert!(stale.ring.learn(new).await);
    let opened = stale.sealer.open(&stored, place).unwrap().unwrap();
    assert_eq!(opened.value, &b"a state"[..]);
    assert_eq!(key_of(&stale.sealer.seal(b"another", place).unwrap()), new);
}

#[tokio::test]
async fn a_key_that_does_not_exist_is_looked_up_at_intervals_and_not_for_each_value() {
    let world = World::new();
    world.init(rare_polls()).await;
    let process = world.process(false).await;
    let reads = || world.server.command_counts()["get"];
    let nowhere = KeyId::from_u32(0x0BAD_CAFE);
    let before = reads();
    for _ in 0..200 {
        assert!(!process.ring.learn(nowhere).await);
    }
    assert!(reads() - before <= 1, "{} reads", reads() - before);
}

#[tokio::test]
async fn the_states_of_an_application_follow_a_ring_that_it_has_not_polled() {
    let world = World::new();
    world.init(rare_polls()).await;
    let (stale, other) = (world.process(false).await, world.process(false).await);
    let mut managers = Vec::new();
    for process in [&stale, &other] {
        let options = Options::default()
            .on_refused(OnRefused::Error)
            .ring(process.ring.clone());
        let sealer = Sealer::new(process.ring.keyring(), Mode::Required, Format::Sealed);
        let manager = StateManager::start(process.store.clone(), sealer, options).await;
        managers.push(Arc::new(manager.unwrap()));
    }
    let new = replace_sealing_key(&other.ring).await;
    managers[1].set("someone", "a state").await.unwrap();
    assert_eq!(other.key_of("someone").await, new);
    assert_ne!(stale.ring.ring().sealing().id, new);
    let state: Option<String> = managers[0].get("someone").await.unwrap();
    assert_eq!(state.as_deref(), Some("a state"));
    assert_eq!(stale.ring.ring().sealing().id, new);
}
