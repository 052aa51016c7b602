//! The protocol in a simulated world: some processes with clocks that are off, that crash, are suspended
//! and cut off, and a place that loses its papers; after every event what was promised must hold. What
//! goes into the files is real (rings, documents, decisions, leases, the rule which document may
//! follow which); time, place and store are made up.

use std::sync::Arc;

use waxseal_core::SecretKey;
use waxseal_keys::{Custodian, KeyState, LocalCustodian};

mod faults;
mod following;
mod leading;
mod process;
mod random;
mod rules;
mod using;
mod world;

use rules::{HOUR, Rules};
use world::{Broken, World};

const SCHEDULES: u64 = 10_000;

/// One process has a clock that is far off, and the place holds.
const FAR_CLOCK: Rules = Rules {
    place_fails: false,
    far_clock: true,
    ..Rules::ALL
};

fn custodian() -> Arc<dyn Custodian> {
    let secret = SecretKey::generate().unwrap();
    Arc::new(LocalCustodian::new("env:SIMULATION", &secret).unwrap())
}

/// One schedule: faults first, and then a whole life of a key without any.
fn run(seed: u64, rules: Rules, custodian: &Arc<dyn Custodian>) -> Result<u64, Broken> {
    let mut world = World::new(seed, rules, custodian)?;
    world.run(world.faults_until, &|_| false)?;
    world.heal();
    let settings = world.newest.ring.settings().clone();
    let sealing = world.newest.ring.sealing().id;
    // Each wait, twice where something may have begun anew; and time for sweeps and leases.
    let bound = 2 * settings.every_ms.unwrap()
        + 3 * settings.propagation_ms
        + settings.settling_ms()
        + settings.retention_ms
        + 30 * settings.refresh_ms
        + 4 * HOUR;
    let until = world.now + bound;
    let is_destroyed = |world: &World| {
        let entry = world.newest.ring.entry(sealing);
        entry.is_some_and(|entry| entry.state == KeyState::Destroyed)
    };
    if !world.run(until, &is_destroyed)? {
        let state = world.newest.ring.entry(sealing).map(|entry| entry.state);
        return Err(format!(
            "key {sealing} is {state:?} {} h after all faults were over",
            bound / HOUR
        ));
    }
    Ok(world.seals)
}

/// The first seeds that break an invariant.
fn broken(seeds: std::ops::Range<u64>, rules: Rules, most: usize) -> Vec<(u64, Broken)> {
    let custodian = custodian();
    let broken = seeds.filter_map(|seed| Some((seed, run(seed, rules, &custodian).err()?)));
    broken.take(most).collect()
}

#[test]
fn ten_thousand_schedules_keep_every_promise() {
    // Half of them with a place that loses its papers, also when nobody who knows them is there.
    let halves = [true, false].map(|place_fails| {
        let rules = Rules {
            place_fails,
            forks: place_fails,
            ..Rules::ALL
        };
        std::thread::spawn(move || broken(0..SCHEDULES / 2, rules, 3))
    });
    let [fails, holds] = halves.map(|half| half.join().unwrap());
    assert!(
        fails.is_empty() && holds.is_empty(),
        "seeds, where the place fails: {fails:#?}, where it does not: {holds:#?}"
    );
}

#[test]
fn a_process_whose_clock_is_hundreds_of_days_off_breaks_no_promise() {
    let broken = broken(0..SCHEDULES / 4, FAR_CLOCK, 3);
    assert!(broken.is_empty(), "seeds: {broken:#?}");
}

#[test]
fn a_leader_whose_clock_is_hundreds_of_days_ahead_is_noticed() {
    let rules = Rules {
        compare_clocks: false,
        ..FAR_CLOCK
    };
    // Keys are destroyed before their time, and others are pending until nobody's time comes.
    let broken = broken(0..SCHEDULES / 4, rules, 100);
    for promise in ["after it was archived", "after all faults were over"] {
        let is_noticed = broken.iter().any(|(_, broken)| broken.contains(promise));
        assert!(is_noticed, "{promise}: {broken:#?}");
    }
}

/// Of schedules under other rules than the protocol's, some must break a promise: this one.
fn breaks(rules: Rules, promise: &str) {
    let broken = broken(0..SCHEDULES / 2, rules, 1);
    let (seed, broken) = broken
        .first()
        .expect("no invariant notices the missing rule");
    assert!(broken.contains(promise), "seed {seed}: {broken}");
}

#[test]
fn keys_that_seal_before_they_are_known_are_noticed() {
    let rules = Rules {
        propagation: false,
        ..Rules::ALL
    };
    breaks(rules, "cannot open at once");
}

#[test]
fn values_sealed_under_a_ring_that_was_not_confirmed_are_noticed() {
    let rules = Rules {
        confirm: false,
        ..Rules::ALL
    };
    breaks(rules, "which version");
}

#[test]
fn a_ring_that_counts_as_confirmed_from_a_late_answer_on_is_noticed() {
    let rules = Rules {
        confirmed_when_asked: false,
        ..Rules::ALL
    };
    breaks(rules, "which version");
}

#[test]
fn a_watch_that_goes_on_over_a_loss_is_noticed() {
    let rules = Rules {
        watch_anew: false,
        ..Rules::ALL
    };
    breaks(rules, "was not to be seen");
}

#[test]
fn leaders_that_begin_below_the_fence_after_a_loss_are_noticed() {
    let rules = Rules {
        observes_fence: false,
        ..Rules::ALL
    };
    breaks(rules, "after all faults were over");
}
