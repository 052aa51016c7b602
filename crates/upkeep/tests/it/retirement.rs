//! The conditions that keep a key from being retired, and those that begin a rotation.

use std::sync::Arc;

use waxseal_core::{Binding, Format, KeyId, Keyring, Mode, Sealer, SecretKey};
use waxseal_keys::rotation::{Block, RotationPlan, Step};
use waxseal_keys::{Change, KeyState, ProtectedScope, Settings};
use waxseal_stores::{Expiry, RecordName, Slot};
use waxseal_sweep::Stop;

use crate::world::{Process, World, calm, compressed_once, key_of, name, now_ms, until};

/// Lets another key seal at once.
async fn replace_sealing_key(process: &Process) {
    let instead_of = process.ring.ring().sealing().id;
    let change = Change::Add { instead_of };
    let ring = process.ring.change(&change).await.unwrap();
    let id = ring.in_state(KeyState::Pending).next().unwrap().id;
    let at_once = true;
    process
        .ring
        .change(&Change::Promote { id, at_once })
        .await
        .unwrap();
}

async fn once(process: &Process) -> RotationPlan {
    let stop = Stop::default();
    process
        .upkeep
        .once(false, &stop, &mut |_| {})
        .await
        .unwrap()
}

fn state(process: &Process, id: KeyId) -> KeyState {
    process.ring.ring().entry(id).unwrap().state
}

/// Leads until something blocks, and says what.
async fn blocked(process: &Process) -> Vec<Block> {
    let mut blocks = Vec::new();
    until("a key is kept from being retired", async || {
        blocks = once(process).await.blocked;
        !blocks.is_empty()
    })
    .await;
    blocks
}

async fn until_destroyed(process: &Process, id: KeyId) {
    until("the key is destroyed", async || {
        once(process).await;
        state(process, id) == KeyState::Destroyed
    })
    .await;
}

#[tokio::test]
async fn a_key_stays_while_records_of_another_process_were_not_looked_at() {
    let world = World::new();
    let first = world.init(compressed_once()).await.sealing().id;
    let leader = world.process(false).await;
    let mut elsewhere = world.start();
    elsewhere.pattern = "wb:{user}";
    let other = world.process_with(elsewhere).await;
    leader.upkeep.register().await.unwrap();
    other.upkeep.register().await.unwrap();
    replace_sealing_key(&leader).await;
    let protected_scope = ProtectedScope::new(leader.store.location(), "wb:{user}");
    let expected = Block::Uncovered {
        id: first,
        protected_scope: protected_scope.clone(),
    };
    assert_eq!(blocked(&leader).await, [expected]);
    assert_eq!(state(&leader, first), KeyState::DecryptOnly);
    leader
        .ring
        .change(&Change::Unregister(protected_scope))
        .await
        .unwrap();
    until_destroyed(&leader, first).await;
}

#[tokio::test]
async fn a_key_stays_while_a_value_names_it_that_does_not_open() {
    let world = World::new();
    let first = world.init(compressed_once()).await.sealing().id;
    let leader = world.process(false).await;
    leader.write("someone", "a state").await;
    // As after a renaming: it names the key, and opens at another name only.
    let moved = leader.stored("someone").await;
    leader.put("someone else", &moved).await;
    replace_sealing_key(&leader).await;
    let expected = Block::InUse {
        id: first,
        values: 1,
    };
    assert_eq!(blocked(&leader).await, [expected]);
    assert_eq!(state(&leader, first), KeyState::DecryptOnly);
    assert_eq!(leader.stored("someone else").await, moved);
    // Put back to its name, it is brought under the new key.
    leader.store.delete(&name("someone else")).await.unwrap();
    leader.put("someone", &moved).await;
    until_destroyed(&leader, first).await;
    assert_eq!(leader.read("someone").await, "a state");
}

#[tokio::test]
async fn a_key_stays_while_a_value_in_quarantine_is_under_it() {
    let world = World::new();
    let first = world.init(compressed_once()).await.sealing().id;
    let leader = world.process(false).await;
    leader.write("someone", "a state").await;
    // As the library moves a value.
    let parcel = [
        &b"{\"cause\":\"refused\",\"moved_at\":1}\n"[..],
        &leader.stored("someone").await,
    ]
    .concat();
    let quarantined = RecordName::from("waxseal:quarantine:{wa:someone}:1");
    let put = leader
        .store
        .put(&quarantined, &Slot::Whole, &parcel, Expiry::Persistent);
    put.await.unwrap();
    replace_sealing_key(&leader).await;
    let expected = Block::Quarantined {
        id: first,
        values: 1,
    };
    assert_eq!(blocked(&leader).await, [expected]);
    assert_eq!(state(&leader, first), KeyState::DecryptOnly);
    let reports = leader.ring.reports().await.unwrap();
    assert_eq!(reports.audit.unwrap().quarantined[&first.to_string()], 1);
    leader.store.delete(&quarantined).await.unwrap();
    until_destroyed(&leader, first).await;
}

#[tokio::test]
async fn a_key_stays_while_a_value_in_quarantine_cannot_be_read() {
    let world = World::new();
    let first = world.init(compressed_once()).await.sealing().id;
    let leader = world.process(false).await;
    // Larger than what the server gives a client at once.
    let limit = "normal 2mb 0 0";
    world
        .server
        .cli(&["CONFIG", "SET", "client-output-buffer-limit", limit]);
    let quarantined = RecordName::from("waxseal:quarantine:{wa:someone}:1");
    let parcel = vec![b'x'; 3 << 20];
    let put = leader
        .store
        .put(&quarantined, &Slot::Whole, &parcel, Expiry::Persistent);
    put.await.unwrap();
    replace_sealing_key(&leader).await;
    let expected = Block::Unreadable {
        id: first,
        values: 1,
    };
    assert_eq!(blocked(&leader).await, [expected]);
    assert_eq!(state(&leader, first), KeyState::DecryptOnly);
    leader.store.delete(&quarantined).await.unwrap();
    until_destroyed(&leader, first).await;
}

#[tokio::test]
async fn an_adopted_key_stays_while_a_value_without_a_header_does_not_open() {
    let world = World::new();
    let adopted = [SecretKey::generate().unwrap()];
    let ring = world
        .create_ring(compressed_once(), &adopted, now_ms())
        .await;
    let first = ring.sealing().id;
    world.put(&ring).await;
    let mut classic = world.start();
    classic.format = Format::Classic;
    let leader = world.process_with(classic).await;
    leader.write("someone", "{}").await;
    let stranger = Keyring::new(SecretKey::generate().unwrap()).unwrap();
    let stranger = Sealer::new(Arc::new(stranger), Mode::Required, Format::Classic);
    let sealed = stranger.seal(b"{}", Binding::record(b"wa:lost")).unwrap();
    leader.put("lost", &sealed).await;
    replace_sealing_key(&leader).await;
    let expected = Block::Unreadable {
        id: first,
        values: 1,
    };
    assert_eq!(blocked(&leader).await, [expected]);
    assert_eq!(state(&leader, first), KeyState::DecryptOnly);
    leader.store.delete(&name("lost")).await.unwrap();
    until_destroyed(&leader, first).await;
    assert_eq!(leader.read("someone").await, "{}");
}

#[tokio::test]
async fn a_value_that_is_restored_under_an_archived_key_comes_under_the_new_one_before_it_is_destroyed()
 {
    let world = World::new();
    let first = world.init(compressed_once()).await.sealing().id;
    let leader = world.process(false).await;
    leader.write("someone", "a state").await;
    let backup = leader.stored("someone").await;
    replace_sealing_key(&leader).await;
    until("the first key is archived", async || {
        once(&leader).await;
        state(&leader, first) == KeyState::Archived
    })
    .await;
    assert_ne!(leader.key_of("someone").await, first);
    leader.put("someone", &backup).await;
    assert_eq!(key_of(&backup), first);
    assert_eq!(leader.read("someone").await, "a state");
    until_destroyed(&leader, first).await;
    assert_ne!(leader.key_of("someone").await, first);
    assert_eq!(leader.read("someone").await, "a state");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_looks_again_before_it_destroys_a_key_that_it_found_unused_before_it_rested() {
    let world = World::new();
    let first = world.init(compressed_once()).await.sealing().id;
    let leader = world.process(false).await;
    leader.write("someone", "a state").await;
    let backup = leader.stored("someone").await;
    replace_sealing_key(&leader).await;
    let stop = Stop::default();
    let (upkeep, stopped) = (leader.upkeep.clone(), stop.clone());
    let running = tokio::spawn(async move { upkeep.run(&stopped).await });
    until("the first key is archived", async || {
        state(&leader, first) == KeyState::Archived
    })
    .await;
    leader.put("someone", &backup).await;
    assert_eq!(state(&leader, first), KeyState::Archived);
    until("the key is destroyed", async || {
        state(&leader, first) == KeyState::Destroyed
    })
    .await;
    stop.stop();
    running.await.unwrap();
    assert_eq!(leader.read("someone").await, "a state");
}

#[tokio::test]
async fn a_new_key_is_made_when_all_processes_together_have_sealed_enough() {
    let world = World::new();
    let settings = Settings {
        seals: 50,
        ..calm()
    };
    world.init(settings).await;
    let mut processes = Vec::new();
    for _ in 0..3 {
        processes.push(world.process(false).await);
    }
    let place = Binding::record(b"wa:someone");
    for (index, process) in processes.iter().enumerate() {
        assert_eq!(once(&processes[0]).await.due, None);
        assert_eq!(
            process.ring.ring().keys().len(),
            1,
            "after {index} processes"
        );
        for _ in 0..20 {
            process.sealer.seal(b"a state", place).unwrap();
        }
        // Counted on though the document changes meanwhile, and once however often it is reported.
        process.upkeep.register().await.unwrap();
        for _ in 0..3 {
            let id = process.upkeep.process();
            process.ring.report(id, "library", true).await.unwrap();
        }
    }
    let sealing = processes[0].ring.ring().sealing().id;
    assert_eq!(
        processes[0].ring.reports().await.unwrap().seals(sealing),
        60
    );
    let mut steps = Vec::new();
    let stop = Stop::default();
    let mut watch = |event: &waxseal_upkeep::RotationEvent| {
        if let waxseal_upkeep::RotationEvent::StepDone(step) = event {
            steps.push(*step);
        }
    };
    processes[2]
        .upkeep
        .once(false, &stop, &mut watch)
        .await
        .unwrap();
    assert_eq!(steps, [Step::Add(sealing)]);
    assert_eq!(processes[2].ring.ring().keys().len(), 2);
}
