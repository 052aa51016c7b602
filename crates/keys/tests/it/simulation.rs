//! The protocol in a simulated world: processes with wrong clocks that crash, are suspended and
//! disconnected, and a document store that loses documents. After every event all invariants must hold.
//! Rings, documents, decisions, leases and the rule which document may follow which are the real ones;
//! time, the stores and the records are simulated.

use std::sync::Arc;

use waxseal_core::SecretKey;
use waxseal_keys::{Custodian, KeyState, LocalCustodian};

mod faults;
mod following;
mod invariants;
mod leading;
mod opened;
mod operator;
mod orders;
mod process;
mod promises;
mod random;
mod reporting;
mod rules;
mod using;
mod world;

use rules::{HOUR, Rules};
use world::{Violation, World};

const SCHEDULES: u64 = 10_000;

/// One process has a clock that is far off, and the document store loses nothing.
const FAR_CLOCK: Rules = Rules {
    store_fails: false,
    far_clock: true,
    ..Rules::ALL
};

fn custodian() -> Arc<dyn Custodian> {
    let secret = SecretKey::generate().unwrap();
    Arc::new(LocalCustodian::new("env:SIMULATION", &secret).unwrap())
}

/// Runs one schedule: faults first, and then the whole life of a key without any.
fn run(seed: u64, rules: Rules, custodian: &Arc<dyn Custodian>) -> Result<u64, Violation> {
    let mut world = World::new(seed, rules, custodian)?;
    world.run(world.faults_until, &|_| false)?;
    world.heal();
    let settings = world.newest.ring.settings().clone();
    let sealing = world.newest.ring.sealing().id;
    // Each wait, twice if it may have started over; and time for sweeps and leases.
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
    world.check_all_index_keys()?;
    Ok(world.seals)
}

/// The first seeds that violate an invariant.
fn violations(seeds: std::ops::Range<u64>, rules: Rules, max: usize) -> Vec<(u64, Violation)> {
    let custodian = custodian();
    let violations = seeds.filter_map(|seed| Some((seed, run(seed, rules, &custodian).err()?)));
    violations.take(max).collect()
}

#[test]
fn ten_thousand_schedules_violate_no_invariant() {
    // Half of them with a store that loses documents, also while no process knows the newest one.
    let halves = [true, false].map(|store_fails| {
        let rules = Rules {
            store_fails,
            forks: store_fails,
            ..Rules::ALL
        };
        std::thread::spawn(move || violations(0..SCHEDULES / 2, rules, 3))
    });
    let [fails, holds] = halves.map(|half| half.join().unwrap());
    assert!(
        fails.is_empty() && holds.is_empty(),
        "seeds, if the store fails: {fails:#?}, if it does not: {holds:#?}"
    );
}

#[test]
fn a_process_whose_clock_is_hundreds_of_days_off_violates_no_invariant() {
    let violations = violations(0..SCHEDULES / 4, FAR_CLOCK, 3);
    assert!(violations.is_empty(), "seeds: {violations:#?}");
}

#[test]
fn a_leader_whose_clock_is_hundreds_of_days_ahead_is_noticed() {
    let rules = Rules {
        compare_clocks: false,
        operator: false,
        ..FAR_CLOCK
    };
    // Keys are destroyed too early, and others stay pending.
    let violations = violations(0..SCHEDULES / 4, rules, 100);
    for invariant in ["after it was archived", "after all faults were over"] {
        let is_noticed = violations
            .iter()
            .any(|(_, violation)| violation.contains(invariant));
        assert!(is_noticed, "{invariant}: {violations:#?}");
    }
}

/// Asserts that some schedules under other rules than the protocol's violate this invariant.
fn assert_violates(rules: Rules, invariant: &str) {
    let violations = violations(0..SCHEDULES / 2, rules, 1);
    let (seed, violation) = violations
        .first()
        .expect("no invariant notices the missing rule");
    assert!(violation.contains(invariant), "seed {seed}: {violation}");
}

#[test]
fn keys_that_seal_before_all_processes_have_them_are_noticed() {
    let rules = Rules {
        propagation: false,
        ..Rules::DATA_KEYS
    };
    assert_violates(rules, "cannot open at once");
}

#[test]
fn values_sealed_under_a_ring_that_was_not_confirmed_are_noticed() {
    let rules = Rules {
        confirm: false,
        ..Rules::DATA_KEYS
    };
    assert_violates(rules, "which version");
}

#[test]
fn a_ring_that_counts_as_confirmed_from_a_late_answer_on_is_noticed() {
    let rules = Rules {
        confirmed_when_asked: false,
        ..Rules::DATA_KEYS
    };
    assert_violates(rules, "which version");
}

#[test]
fn a_watch_that_continues_despite_a_loss_is_noticed() {
    let rules = Rules {
        restart_watch: false,
        ..Rules::DATA_KEYS
    };
    assert_violates(rules, "was not to be seen");
}

#[test]
fn leaders_that_start_below_the_fence_after_a_loss_are_noticed() {
    let rules = Rules {
        observes_fence: false,
        ..Rules::DATA_KEYS
    };
    assert_violates(rules, "after all faults were over");
}

#[test]
fn index_keys_that_a_merge_does_not_restore_are_noticed() {
    let rules = Rules {
        restores_index_keys: false,
        forks: true,
        ..Rules::ALL
    };
    assert_violates(rules, "is lost");
}

#[test]
fn former_builds_that_are_left_behind_are_noticed() {
    let rules = Rules {
        asks_reports: false,
        ..Rules::ALL
    };
    assert_violates(rules, "of a former build is reported");
}

#[test]
fn version_3_that_is_written_before_all_processes_have_the_index_key_is_noticed() {
    let rules = Rules {
        write_waits: false,
        ..Rules::ALL
    };
    assert_violates(rules, "cannot open at once");
}

#[test]
fn version_2_that_is_refused_while_a_process_may_write_it_is_noticed() {
    let rules = Rules {
        accept_waits: false,
        store_fails: false,
        ..Rules::ALL
    };
    assert_violates(rules, "which version");
}

#[test]
fn version_2_that_is_written_again_before_all_processes_accept_it_is_noticed() {
    let rules = Rules {
        return_waits: false,
        ..Rules::ALL
    };
    assert_violates(rules, "cannot open at once");
}

#[test]
fn format_1_without_a_trace_of_index_keys_is_noticed() {
    let rules = Rules {
        tombstones: false,
        store_fails: false,
        ..Rules::ALL
    };
    assert_violates(rules, "nobody ordered it");
}

#[test]
fn members_that_count_as_stored_in_one_form_too_early_are_noticed() {
    let rules = Rules {
        one_form_waits: false,
        ..Rules::ALL
    };
    assert_violates(rules, "looks members up in one form");
}
